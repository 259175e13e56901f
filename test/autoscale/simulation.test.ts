import { describe, expect, it } from 'vitest';
import { leastGapS, simulate, turnsWithinHour, type SimulationOptions } from '../support/autoscale-simulation.js';

const DAY: SimulationOptions = {
  seed: 1, hours: 24, spike: { atS: 20 * 3_600, forS: 1_800, factor: 1.5 }, pods: { min: 2, max: 16 },
  rules: { cooldownMs: 120_000, inFlightPerPod: 16, queueAgeS: 60 },
};
/** Whether fewer workers are enough an age tells only afterwards: now and then one is taken away too early. */
const TURNS_MAX = { gateway: 6, worker: 16 };
const MOST = { gateway: DAY.rules.inFlightPerPod, worker: DAY.rules.queueAgeS };

describe.each(['gateway', 'worker'] as const)('a day of %ss', (role) => {
  it.each([1, 2])('keeps its bounds, changes once in a cooldown and does not flap (seed %i)', async (seed) => {
    const trace = await simulate(role, { ...DAY, seed });
    expect(Math.min(...trace.moments.map(({ replicas }) => replicas))).toBe(2);
    expect(Math.max(...trace.moments.map(({ replicas }) => replicas))).toBeLessThanOrEqual(16);
    expect(leastGapS(trace)).toBeGreaterThanOrEqual(120);
    expect(turnsWithinHour(trace)).toBeLessThanOrEqual(TURNS_MAX[role]);
    expect(trace.changes.length).toBeGreaterThan(4); // it follows the day
  });

  it('is back under what is meant soon after a spike began, and takes the pods away again after it', async () => {
    const { moments } = await simulate(role, DAY);
    const late = moments.filter(({ atS, signal }) => atS >= DAY.spike.atS && atS < DAY.spike.atS + DAY.spike.forS && signal > MOST[role] * (role === 'gateway' ? 1.25 : 1));
    expect(late.length).toBeGreaterThan(0);
    expect(late.at(-1)!.atS).toBeLessThan(DAY.spike.atS + 1_500);
    const peak = Math.max(...moments.filter(({ atS }) => atS >= DAY.spike.atS).map(({ replicas }) => replicas));
    expect(moments.at(-1)!.replicas).toBeLessThan(peak);
  });

  it('changes nothing while Prometheus is silent, although the load is another', async () => {
    const silence = { atS: DAY.spike.atS - 60, forS: 3_600 };
    const { changes } = await simulate(role, { ...DAY, silence });
    expect(changes.filter(({ atS }) => atS >= silence.atS && atS < silence.atS + silence.forS)).toEqual([]);
  });
});
