/**
 * A seeded day of load with a spike under `eis autoscale` (`test/support/autoscale-simulation.ts`): how often it changes numbers
 * of pods, how soon it is back under what is meant, what it saves; and the trace as a picture. Nothing here depends on
 * the machine.
 */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import sharp from 'sharp';
import { leastGapS, simulate, turnsWithinHour, type SimulationOptions, type Trace } from '../support/autoscale-simulation.js';
import { drawTraces } from './autoscale-picture.js';
import { printReport } from './report.js';

interface AutoscaleBenchOptions {
  readonly seed: number;
  readonly factor: number;
  readonly max: number;
  readonly picture?: string;
  readonly json: boolean;
}

export function addAutoscaleBench(program: Command): void {
  program
    .command('autoscale')
    .description('a simulated day with a spike, under eis autoscale')
    .option('--seed <n>', 'of the noise', Number, 1)
    .option('--factor <n>', 'of the spike, over the most of the day', Number, 1.5)
    .option('--max <n>', 'pods', Number, 16)
    .option('--picture <file>', 'write the trace there, as .svg or .png')
    .option('--json', 'end with one line of JSON', false)
    .action(benchAutoscale);
}

/** How far above what is meant a signal is late: requests in flight are a count at one moment. */
const TOLERANCE = { gateway: 1.25, worker: 1 };
const ROLES = ['gateway', 'worker'] as const;

async function benchAutoscale({ json, picture, ...options }: AutoscaleBenchOptions): Promise<void> {
  const day: SimulationOptions = {
    seed: options.seed, hours: 24, spike: { atS: 20 * 3_600, forS: 1_800, factor: options.factor }, pods: { min: 2, max: options.max },
    rules: { cooldownMs: 120_000, inFlightPerPod: 16, queueAgeS: 60 },
  };
  const meant = { gateway: day.rules.inFlightPerPod, worker: day.rules.queueAgeS };
  const traces = await Promise.all(ROLES.map((role) => simulate(role, day)));
  if (picture !== undefined) await writePicture(picture, drawTraces(traces.map((trace) => ({ trace, meant: meant[trace.target.role], max: options.max }))));
  printReport({ name: 'autoscale', options, figures: Object.assign({}, ...traces.map((trace) => figuresOf(trace, day, meant[trace.target.role]))) as Record<string, number>, ratios: {} }, { json });
}

function figuresOf(trace: Trace, { spike, pods: { max } }: SimulationOptions, meant: number): Record<string, number> {
  const { target: { role }, moments, changes } = trace;
  const late = moments.filter(({ signal }) => signal > meant * TOLERANCE[role]);
  const inSpike = late.filter(({ atS }) => atS >= spike.atS && atS < spike.atS + spike.forS);
  const podHours = moments.reduce((sum, { replicas }) => sum + replicas, 0) / moments.length * 24;
  return {
    [`${role}_changes_count`]: changes.length,
    [`${role}_turns_within_an_hour_count`]: turnsWithinHour(trace),
    [`${role}_least_gap_s`]: leastGapS(trace),
    [`${role}_above_target_share`]: late.length / moments.length,
    [`${role}_spike_back_under_target_s`]: (inSpike.at(-1)?.atS ?? spike.atS) - spike.atS,
    [`${role}_most_signal`]: Math.max(...moments.map(({ signal }) => signal)),
    [`${role}_pod_hours`]: podHours,
    [`${role}_pod_hours_at_max`]: max * 24,
  };
}

async function writePicture(file: string, svg: string): Promise<void> {
  if (file.endsWith('.svg')) writeFileSync(file, svg);
  else await sharp(Buffer.from(svg)).png().toFile(file);
  console.log(`The trace is in ${file}.`);
}
