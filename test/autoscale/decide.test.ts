import { describe, expect, it } from 'vitest';
import { decide, forgetEnough, initialState, noteChange, type Observation, type ScaleRules, type ScaleState } from '../../autoscale/decide.js';
import type { Signal } from '../../autoscale/signals.js';
import type { ScaleTarget } from '../../autoscale/target.js';

const RULES: ScaleRules = { cooldownMs: 120_000, inFlightPerPod: 10, queueAgeS: 60 };
const GATEWAY: ScaleTarget = { role: 'gateway', model: 'm', deployment: 'gateway-m', min: 2, max: 10 };
const WORKER: ScaleTarget = { ...GATEWAY, role: 'worker', deployment: 'worker-m', min: 1 };
const LONG_AGO: ScaleState = { ...initialState({ nowMs: -1e9, replicas: 0 }) };

function at(replicas: number, signal: Partial<Signal> & { value: number }, more: Partial<Observation> = {}): Observation {
  return { nowMs: 0, replicas, running: replicas, signal: { pods: replicas, ...signal }, ...more };
}

const rested = (replicas: number): ScaleState => ({ ...LONG_AGO, replicas });

/** Every 15 s the same is seen; nothing that is decided is done. */
function watch(target: ScaleTarget, now: Observation, forMs: number, state = rested(now.replicas)): ReturnType<typeof decide> {
  let decision = decide(target, RULES, now, state);
  for (let nowMs = now.nowMs + 15_000; nowMs <= now.nowMs + forMs; nowMs += 15_000) decision = decide(target, RULES, { ...now, nowMs }, decision.state);
  return decision;
}

describe('decide()', () => {
  it('adds as many gateways as the requests in flight need', () => {
    expect(decide(GATEWAY, RULES, at(4, { value: 65 }), rested(4))).toMatchObject({ replicas: 7, reason: '65 requests are being answered by 4 pod(s), 16.3 each, where 10 are meant.' });
  });

  it.each([['a little more than is meant', 43], ['as much as is meant', 40], ['a little less', 34]])('leaves gateways as they are at %s', (_what, value) => {
    expect(watch(GATEWAY, at(4, { value }), 3_600_000).replicas).toBe(4);
  });

  it('never gives more than the range has, nor fewer', () => {
    expect(decide(GATEWAY, RULES, at(8, { value: 1_000 }), rested(8)).replicas).toBe(10);
    expect(watch(GATEWAY, at(3, { value: 0 }), 3_600_000).replicas).toBe(2);
    expect(decide(GATEWAY, RULES, at(1, { value: 0 }), rested(1)).replicas).toBe(2);
    expect(decide(GATEWAY, RULES, at(40, { value: 400 }), rested(40)).replicas).toBe(10);
  });

  it('adds at most as many as there are, or four', () => {
    const wide = { ...GATEWAY, max: 1_000 };
    expect([2, 20].map((pods) => decide(wide, RULES, at(pods, { value: 9_000 }), rested(pods)).replicas)).toEqual([6, 40]);
  });

  it('changes nothing within the cooldown of the last change, whoever made it', () => {
    const state = noteChange(rested(2), 4, 0);
    expect(decide(GATEWAY, RULES, at(4, { value: 90 }, { nowMs: 119_999 }), state)).toMatchObject({ replicas: 4, reason: expect.stringContaining('cooldown') as string });
    expect(decide(GATEWAY, RULES, at(4, { value: 90 }, { nowMs: 120_000 }), state).replicas).toBe(8);
    const byHand = decide(GATEWAY, RULES, at(3, { value: 90 }, { nowMs: 500_000 }), state);
    expect([byHand.replicas, byHand.state.changedAtMs]).toEqual([3, 500_000]);
  });

  it('waits as after a change where it has just begun to look', () => {
    expect(decide(GATEWAY, RULES, at(4, { value: 90 }), initialState({ nowMs: 0, replicas: 4 })).replicas).toBe(4);
  });

  it('takes pods away only when fewer were enough for five minutes, and no more than were needed meanwhile', () => {
    const now = at(8, { value: 16 });
    expect(watch(GATEWAY, now, 285_000)).toMatchObject({ replicas: 8, reason: expect.stringContaining('fewer have to be enough for 300 s') as string });
    expect(watch(GATEWAY, now, 300_000).replicas).toBe(2);
    const once = decide(GATEWAY, RULES, at(8, { value: 50 }, { nowMs: 100_000 }), watch(GATEWAY, now, 90_000).state);
    expect(watch(GATEWAY, { ...now, nowMs: 115_000 }, 200_000, once.state).replicas).toBe(7);
  });

  it('takes none away while it does not know what each pod does, or pods are coming and going', () => {
    expect(watch(GATEWAY, at(8, { value: 0, pods: 5 }), 600_000)).toMatchObject({ replicas: 8, reason: expect.stringContaining('5 of 8 pods say what they do') as string });
    expect(watch(GATEWAY, at(8, { value: 0, pods: 9 }, { running: 9 }), 600_000)).toMatchObject({ replicas: 8, reason: expect.stringContaining('9 of 8 pods run') as string });
  });

  it('begins to count anew after a time of which nothing is known', () => {
    const before = watch(GATEWAY, at(8, { value: 16 }), 285_000).state;
    expect(decide(GATEWAY, RULES, at(8, { value: 16 }, { nowMs: 300_000 }), forgetEnough(before)).replicas).toBe(8);
  });

  it('waits twice as long after taking pods away was wrong, and half as long again when it was right', () => {
    const down = noteChange(rested(8), 7, 0);
    const wrong = noteChange(down, 8, 200_000);
    expect([down.holdMs, wrong.holdMs]).toEqual([300_000, 600_000]);
    const right = noteChange(noteChange(wrong, 7, 900_000), 6, 2_000_000);
    expect(right.holdMs).toBe(300_000);
  });

  it('leaves alone what somebody set to none', () => {
    expect(decide(GATEWAY, RULES, at(0, { value: 90, pods: 0 }), rested(0)).replicas).toBe(0);
  });

  it('adds workers by how much too long images wait, at most as many again', () => {
    expect([90, 61, 6_000].map((value) => decide(WORKER, RULES, at(4, { value }), rested(4)).replicas)).toEqual([6, 5, 8]);
  });

  it('takes one worker away at a time, once hardly anything waits', () => {
    expect(watch(WORKER, at(4, { value: 3 }), 300_000).replicas).toBe(3);
    expect(watch(WORKER, at(4, { value: 30 }), 3_600_000).replicas).toBe(4);
  });

  it('adds no worker while those that there are wait for the function', () => {
    expect(decide(WORKER, RULES, at(4, { value: 900, waitingFor: 'function' }), rested(4))).toMatchObject({ replicas: 4, reason: expect.stringContaining('wait for the function') as string });
  });
});
