import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EisError } from '../../common/errors.js';
import { Replicas } from '../../gateway/replicas.js';

const open = new AbortController().signal;
const down = (): EisError => new EisError('EIS_SHARD_UNAVAILABLE', { shard: '0/1' });

/** Replicas a, b, c… which answer after `takesMs`, never where that is Infinity; `asked` has who was asked, in order. */
function setUp(count: number, { seed = 1 }: { readonly seed?: number } = {}) {
  vi.useFakeTimers();
  const failing = new Map<string, EisError>();
  const takesMs = new Map<string, number>();
  const asked: string[] = [];
  const stopped: string[] = [];
  const events: string[] = [];
  let state = seed;
  const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const replicas = new Replicas<string>({
    name: '0/1',
    connect: (address) => address,
    disconnect: (pod) => void events.push(`disconnect ${pod}`),
    probe: async (pod) => {
      events.push(`probe ${pod}`);
      if (failing.has(pod)) throw down();
    },
    observer: {
      hedged: () => events.push('hedged'),
      hedgeWon: () => events.push('hedge won'),
      retried: () => events.push('retried'),
      ejected: (address, restMs) => events.push(`ejected ${address} ${restMs}`),
      recovered: (address) => events.push(`recovered ${address}`),
    },
    random,
    now: () => Date.now(),
  });
  replicas.set([...'abcdef'.slice(0, count)]);
  const answer = (pod: string, signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => {
      asked.push(pod);
      const error = failing.get(pod);
      if (error) return reject(error);
      signal.addEventListener('abort', () => {
        stopped.push(pod);
        reject(signal.reason as Error);
      });
      const ms = takesMs.get(pod) ?? 2;
      if (Number.isFinite(ms)) setTimeout(() => resolve(pod), ms);
      return undefined;
    });
  const start = (signal = open): Promise<string> => replicas.ask(answer, signal);
  /** Asks, and lets as much time pass as it takes. */
  const ask = async (signal = open): Promise<string> => {
    let settled = false;
    const asking = start(signal).finally(() => (settled = true));
    asking.catch(() => undefined);
    while (!settled) await vi.advanceTimersByTimeAsync(1);
    return asking;
  };
  const askMany = async (times: number): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
      const pod = await ask();
      counts[pod] = (counts[pod] ?? 0) + 1;
    }
    return counts;
  };
  return { replicas, failing, takesMs, asked, stopped, events, start, ask, askMany };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('Replicas', () => {
  it('shares requests among those that are equally fast', async () => {
    const { askMany } = setUp(3);
    const counts = await askMany(300);
    for (const pod of 'abc') expect(counts[pod]).toBeGreaterThan(60);
  });

  it('prefers the faster ones, and tries a slow one again after a while', async () => {
    const { askMany, takesMs } = setUp(2);
    takesMs.set('a', 40);
    const slow = await askMany(200);
    expect(slow['a'] ?? 0).toBeLessThan(20);
    takesMs.set('a', 2);
    await vi.advanceTimersByTimeAsync(30_000);
    const fast = await askMany(200);
    expect(fast['a']).toBeGreaterThan(0);
  });

  it('prefers those that have less in hand', async () => {
    const { asked, takesMs, start } = setUp(2);
    for (const pod of 'ab') takesMs.set(pod, 50);
    const asking = Array.from({ length: 10 }, () => start());
    await vi.advanceTimersByTimeAsync(60);
    await Promise.all(asking);
    expect(asked.filter((pod) => pod === 'a')).toHaveLength(5);
  });

  it('asks another when one does not answer, and puts that one aside until a probe finds it well', async () => {
    const { askMany, failing, asked, events } = setUp(3);
    failing.set('a', down());
    expect((await askMany(60))['a']).toBeUndefined();
    expect(asked.filter((pod) => pod === 'a')).toHaveLength(1);
    expect(events.filter((event) => event === 'retried')).toHaveLength(1);
    expect(events).toContain('ejected a 500');
    await vi.advanceTimersByTimeAsync(500);
    expect(events.slice(-2)).toEqual(['probe a', 'ejected a 1000']);
    failing.clear();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(events.slice(-2)).toEqual(['probe a', 'recovered a']);
    expect((await askMany(90))['a']).toBeGreaterThan(10);
  });

  it('asks those that were put aside when no other is left, and takes back the one that answers', async () => {
    const { ask, failing, events } = setUp(2);
    failing.set('a', down()).set('b', down());
    await expect(ask()).rejects.toMatchObject({ code: 'EIS_SHARD_UNAVAILABLE' });
    failing.delete('b');
    expect(await ask()).toBe('b');
    expect(events).toContain('recovered b');
  });

  it('asks each at most once, and answers if any does', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(fc.subarray([...'abcdef'])), fc.nat(), async (count, rounds, seed) => {
      const { ask, failing, asked } = setUp(count, { seed: seed + 1 });
      for (const fail of rounds) {
        failing.clear();
        asked.length = 0;
        for (const pod of fail) failing.set(pod, down());
        const anyWell = [...'abcdef'.slice(0, count)].some((pod) => !fail.includes(pod));
        expect(await ask().then(() => true, () => false)).toBe(anyWell);
        expect(new Set(asked).size).toBe(asked.length);
      }
    }), { numRuns: 50 });
  });

  it('looks for another that holds the right model version, without holding it against the first', async () => {
    const { askMany, failing, events } = setUp(2);
    failing.set('a', new EisError('EIS_MODEL_VERSION', { held: 'v1', asked: 'v2' }));
    expect(await askMany(10)).toEqual({ b: 10 });
    expect(events.filter((event) => event.startsWith('ejected'))).toEqual([]);
  });

  it('does not repeat a question that is wrong in itself', async () => {
    const { ask, failing, asked } = setUp(3);
    for (const pod of 'abc') failing.set(pod, new EisError('EIS_IMAGE_UNKNOWN', { id: 'x' }));
    await expect(ask()).rejects.toMatchObject({ code: 'EIS_IMAGE_UNKNOWN' });
    expect(asked).toHaveLength(1);
  });

  it('asks nobody once the time is over', async () => {
    const { ask, asked } = setUp(2);
    await expect(ask(AbortSignal.abort(new EisError('EIS_SHARD_TIMEOUT', { shard: '0/1', timeoutMs: 1 })))).rejects.toMatchObject({ code: 'EIS_SHARD_TIMEOUT' });
    expect(asked).toEqual([]);
  });

  it('puts the one aside that has not answered when the time is over, not when only the client left', async () => {
    const { takesMs, start, events, stopped } = setUp(1);
    takesMs.set('a', Infinity);
    const leaving = new AbortController();
    const left = start(leaving.signal);
    leaving.abort(new EisError('EIS_CLIENT_CLOSED', {}));
    await expect(left).rejects.toMatchObject({ code: 'EIS_CLIENT_CLOSED' });
    expect(events).toEqual([]);
    const timing = new AbortController();
    const late = start(timing.signal);
    timing.abort(new EisError('EIS_SHARD_TIMEOUT', { shard: '0/1', timeoutMs: 1 }));
    await expect(late).rejects.toMatchObject({ code: 'EIS_SHARD_TIMEOUT' });
    expect(events).toEqual(['ejected a 500']);
    expect(stopped).toEqual(['a', 'a']);
  });

  it('says so when there is none', async () => {
    await expect(setUp(0).ask()).rejects.toMatchObject({ code: 'EIS_SHARD_UNAVAILABLE' });
  });
});

describe('hedging', () => {
  /** Both are known to take 4 ms; then each takes as long as `ms` says. */
  async function warmedUp(ms: Record<string, number>) {
    const system = setUp(2);
    for (const pod of 'ab') system.takesMs.set(pod, 4);
    await system.askMany(100);
    for (const [pod, takes] of Object.entries(ms)) system.takesMs.set(pod, takes);
    system.asked.length = 0;
    system.events.length = 0;
    return system;
  }

  it('asks a second one when the first takes longer than the fastest mostly does, and stops the loser', async () => {
    const { start, asked, events, stopped } = await warmedUp({ a: 500, b: 2 });
    stopped.length = 0;
    const answers = Promise.all([start(), start()]); // one to each
    await vi.advanceTimersByTimeAsync(20);
    expect(await answers).toEqual(['b', 'b']);
    expect([...asked].sort()).toEqual(['a', 'b', 'b']);
    expect(events).toEqual(['hedged', 'hedge won']);
    expect(stopped).toEqual(['a']);
  });

  it('asks no second one while too little is known', async () => {
    const { askMany, takesMs, events } = setUp(2);
    takesMs.set('a', 30);
    await askMany(10);
    expect(events).toEqual([]);
  });

  it('costs at most a twentieth more when all become slow', async () => {
    const { askMany, asked, events } = await warmedUp({ a: 100, b: 100 });
    await askMany(200);
    const hedges = events.filter((event) => event === 'hedged').length;
    expect(hedges).toBeGreaterThan(0);
    expect(hedges).toBeLessThanOrEqual(5 + 200 * 0.05);
    expect(asked).toHaveLength(200 + hedges);
  });

  it('fails only when both did', async () => {
    const { replicas, failing } = await warmedUp({});
    const slowly = replicas.ask(async (pod, signal) => {
      await new Promise((resolve) => setTimeout(resolve, pod === 'a' ? 40 : 60));
      signal.throwIfAborted();
      throw failing.get(pod) ?? down();
    }, open);
    slowly.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(200);
    await expect(slowly).rejects.toMatchObject({ code: 'EIS_SHARD_UNAVAILABLE' });
    expect(replicas.ejectedCount).toBe(2);
  });
});

describe('Replicas that come and go', () => {
  it('asks those that are named now, and lets go of the others', async () => {
    const { replicas, askMany, events } = setUp(2);
    await askMany(10);
    replicas.set(['b', 'c']);
    expect(Object.keys(await askMany(40)).sort()).toEqual(['b', 'c']);
    expect(events.filter((event) => event.startsWith('disconnect'))).toEqual(['disconnect a']);
    expect(replicas.pods).toEqual(['b', 'c']);
  });

  it('forgets that one was put aside when it goes', async () => {
    const { replicas, ask, failing, events } = setUp(1);
    failing.set('a', down());
    await expect(ask()).rejects.toThrow();
    replicas.set([]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(events.filter((event) => event === 'probe a')).toEqual([]);
    expect(replicas.ejectedCount).toBe(0);
  });
});
