import { describe, expect, it } from 'vitest';
import { ConcurrencyLimit, type CallAttempt, type CallPlace } from '../../gateway/concurrency-limit.js';

/**
 * A function of so many servers that take `serviceMs` each, first come first served, refusing beyond `holdsMax`, and
 * clients that send so many requests a second: simulated on a clock of its own.
 */
function simulate({ servers, serviceMs, perS, forMs, limit, clock, holdsMax = Infinity }: { servers: number; serviceMs: number; perS: number; forMs: number; limit: ConcurrencyLimit; clock: { ms: number }; holdsMax?: number }) {
  const until = clock.ms + forMs;
  const free = Array.from({ length: servers }, () => clock.ms);
  const ends: { readonly at: number; readonly startedAt: number; readonly place: CallPlace; readonly attempt: CallAttempt }[] = [];
  const tookMs: number[] = [];
  let refused = 0;
  let turnedAway = 0;
  for (let next = clock.ms; next < until; next += 1_000 / perS) {
    ends.sort((a, b) => a.at - b.at);
    while (ends[0] && ends[0].at <= next) {
      const { at, startedAt, place, attempt } = ends.shift() as (typeof ends)[number];
      clock.ms = at;
      attempt.answered();
      place.leave();
      tookMs.push(at - startedAt);
    }
    clock.ms = next;
    let place: CallPlace;
    try {
      place = limit.enter();
    } catch {
      turnedAway++;
      continue;
    }
    if (ends.length >= holdsMax) {
      refused++;
      place.begin().refused();
      place.leave();
      continue;
    }
    free.sort((a, b) => a - b);
    free[0] = Math.max(next, free[0] as number) + serviceMs;
    ends.push({ at: free[0], startedAt: next, place, attempt: place.begin() });
  }
  for (const { place, attempt } of ends) {
    attempt.failed();
    place.leave();
  }
  clock.ms = until + 1;
  tookMs.sort((a, b) => a - b);
  return { answered: tookMs.length, turnedAway, refused, p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] ?? NaN };
}

function create(queueTimeMaxMs = 50, callsMax = 256) {
  const clock = { ms: 0 };
  return { clock, limit: new ConcurrencyLimit({ model: 'm', callsMax, queueTimeMaxMs, now: () => clock.ms }) };
}

describe('ConcurrencyLimit', () => {
  it('turns nobody away while nothing queues', () => {
    const { clock, limit } = create();
    const { turnedAway, p99Ms } = simulate({ servers: 4, serviceMs: 20, perS: 150, forMs: 10_000, limit, clock });
    expect([turnedAway, p99Ms]).toEqual([0, 20]);
  });

  it('under four times what the function does, lets it do all that it does, and keeps waiting short', () => {
    const { clock, limit } = create();
    simulate({ servers: 4, serviceMs: 20, perS: 100, forMs: 2_000, limit, clock });
    simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 2_000, limit, clock }); // it is found out
    const { answered, p99Ms, turnedAway } = simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 10_000, limit, clock });
    expect(p99Ms).toBeLessThan(20 + 50 * 1.5);
    expect(answered).toBeGreaterThan(0.9 * 200 * 10);
    expect(turnedAway).toBeGreaterThan(5_000);
  });

  it('begins under load without knowing what an idle function takes', () => {
    const { clock, limit } = create();
    simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 5_000, limit, clock });
    const { answered, p99Ms } = simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 10_000, limit, clock });
    expect(p99Ms).toBeLessThan(20 + 50 * 1.5);
    expect(answered).toBeGreaterThan(0.8 * 200 * 10);
  });

  it('lets all through again within two seconds after', () => {
    const { clock, limit } = create();
    simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 5_000, limit, clock });
    simulate({ servers: 4, serviceMs: 20, perS: 150, forMs: 2_000, limit, clock });
    expect(simulate({ servers: 4, serviceMs: 20, perS: 150, forMs: 10_000, limit, clock }).turnedAway).toBe(0);
  });

  it('lets more through when the function grows', () => {
    const { clock, limit } = create();
    simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 5_000, limit, clock });
    simulate({ servers: 16, serviceMs: 20, perS: 700, forMs: 5_000, limit, clock });
    expect(simulate({ servers: 16, serviceMs: 20, perS: 700, forMs: 5_000, limit, clock }).turnedAway).toBeLessThan(0.02 * 3_500);
  });

  it('backs off where the function refuses, without waiting being long', () => {
    const { clock, limit } = create();
    simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 2_000, limit, clock, holdsMax: 6 });
    const { refused, answered } = simulate({ servers: 4, serviceMs: 20, perS: 800, forMs: 10_000, limit, clock, holdsMax: 6 });
    expect(answered).toBeGreaterThan(0.8 * 200 * 10);
    expect(refused).toBeLessThan(0.1 * 800 * 10);
  });

  it('meets a rush within its first moments, before answers tell that they queued', () => {
    const { clock, limit } = create(40);
    simulate({ servers: 8, serviceMs: 80, perS: 50, forMs: 2_000, limit, clock });
    const { answered, p99Ms } = simulate({ servers: 8, serviceMs: 80, perS: 400, forMs: 60_000, limit, clock });
    expect(p99Ms).toBeLessThanOrEqual(2 * 80);
    expect(answered).toBeGreaterThan(0.9 * 100 * 60);
  });

  it('turns away what comes while a function hangs, but not for calls that are slow by themselves', () => {
    const { clock, limit } = create();
    const begin = (): CallAttempt => limit.enter().begin();
    const idle = begin();
    clock.ms += 20;
    idle.answered();
    const [slow] = Array.from({ length: 20 }, begin);
    clock.ms += 20;
    begin().answered();
    clock.ms += 5_000;
    expect(begin).not.toThrow();
    for (let i = 0; i < 20; i++) begin();
    clock.ms += 5_000;
    expect(begin).toThrowError(expect.objectContaining({ code: 'EIS_OVERLOADED' }) as Error);
    slow!.failed();
  });

  it('never holds more than it may', () => {
    const { limit } = create(50, 3);
    for (let i = 0; i < 3; i++) limit.enter();
    expect(() => limit.enter()).toThrowError(expect.objectContaining({ code: 'EIS_OVERLOADED', retryAfterS: 1 }) as Error);
  });

  describe('a spare place', () => {
    const endless = (): void => undefined;

    it('is given while half of the calls that there may be are free, and counts for no search', () => {
      const { limit } = create(50, 4);
      limit.enter();
      const spare = limit.enterSpare(endless);
      expect([spare === undefined, limit.inFlight]).toEqual([false, 1]);
      expect(limit.enterSpare(endless)).toBeUndefined();
      spare?.leave();
      expect(limit.enterSpare(endless)).toBeDefined();
    });

    it('is taken back, the oldest first, when a search needs it; no search is turned away for one', () => {
      const { limit } = create(50, 4);
      const ended: string[] = [];
      for (const name of ['first', 'second']) limit.enterSpare(() => ended.push(name));
      limit.enter();
      limit.enter();
      expect(ended).toEqual([]);
      limit.enter();
      expect(ended).toEqual(['first']);
      limit.enter();
      expect(ended).toEqual(['first', 'second']);
      expect(() => limit.enter()).toThrow('as much to do');
    });

    it('is taken back, and given to nobody for a while, when the function refuses a search', () => {
      const { clock, limit } = create(50);
      let ended = 0;
      limit.enterSpare(() => ended++);
      limit.enter().begin().refused();
      clock.ms += 4_999;
      expect([ended, limit.enterSpare(endless)]).toEqual([1, undefined]);
    });

    it('is taken back, and given to nobody for a while, when calls queue', () => {
      const { clock, limit } = create(50);
      let ended = 0;
      simulate({ servers: 4, serviceMs: 20, perS: 50, forMs: 500, limit, clock });
      limit.enterSpare(() => ended++);
      simulate({ servers: 4, serviceMs: 20, perS: 300, forMs: 2_000, limit, clock });
      expect([ended, limit.enterSpare(endless)]).toEqual([1, undefined]);
    });

    it('is given to nobody for a while after such a call was refused, or took longer than the function does', () => {
      const { clock, limit } = create(50);
      limit.enterSpare(endless)?.refused();
      expect(limit.enterSpare(endless)).toBeUndefined();
      clock.ms += 5_000;
      for (const tookMs of [20, 20, 30]) {
        const place = limit.enterSpare(endless);
        clock.ms += tookMs;
        place?.answered();
        place?.leave();
      }
      expect(limit.enterSpare(endless)).toBeUndefined();
    });
  });
});
