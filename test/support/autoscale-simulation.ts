/**
 * A day of a cluster under `eis autoscale`, on a clock of its own: load that rises and falls, drawn noise and one spike; pods that
 * take a while to start; a Prometheus that has asked them some seconds ago. The autoscaler is the real one.
 */
import { Autoscaler } from '../../autoscale/autoscaler.js';
import type { ScaleRules } from '../../autoscale/decide.js';
import type { Prometheus } from '../../autoscale/prometheus.js';
import { ROUND_EVERY_MS } from '../../autoscale/rounds.js';
import type { Scales } from '../../autoscale/scales.js';
import { queriesOf } from '../../autoscale/signals.js';
import type { ScaleTarget } from '../../autoscale/target.js';
import { SILENT_LOG } from '../../common/log.js';
import { SeededRandom } from './seeded-random.js';

export interface Spike {
  readonly atS: number;
  readonly forS: number;
  /** What comes meanwhile, as a multiple of the day's most. */
  readonly factor: number;
}

export interface SimulationOptions {
  readonly seed: number;
  readonly hours: number;
  readonly spike: Spike;
  readonly rules: ScaleRules;
  readonly pods: { readonly min: number; readonly max: number };
  /** When Prometheus answers nothing. */
  readonly silence?: { readonly atS: number; readonly forS: number };
}

/** What was the case at one moment. */
export interface Moment {
  readonly atS: number;
  /** What comes in a second: requests, or images. */
  readonly perS: number;
  readonly replicas: number;
  readonly running: number;
  /** Requests in flight of each gateway, or seconds for which the foremost image has waited. */
  readonly signal: number;
}

export interface Trace {
  readonly target: ScaleTarget;
  readonly moments: readonly Moment[];
  readonly changes: readonly { readonly atS: number; readonly from: number; readonly to: number }[];
}

const STEP_S = 5;
const START_S = 40;
const DAY_S = 86_400;

/** Pods that were asked for are there after a while; those that go are gone at once. */
class Pods {
  #started: { readonly readyAtS: number }[];

  constructor(count: number) {
    this.#started = Array.from({ length: count }, () => ({ readyAtS: 0 }));
  }

  get replicas(): number {
    return this.#started.length;
  }

  running(nowS: number): number {
    return this.#started.filter(({ readyAtS }) => readyAtS <= nowS).length;
  }

  set(count: number, nowS: number): void {
    this.#started = [...this.#started.slice(0, count), ...Array.from({ length: Math.max(0, count - this.#started.length) }, () => ({ readyAtS: nowS + START_S }))];
  }
}

/** How one kind of pods works off what comes; `step` gives what its signal is then. */
interface Work {
  readonly mostPerS: number;
  step(perS: number, running: number): number;
}

/** A request takes 60 ms, and longer the nearer a gateway is to the 250 a second that it can do; what a gateway holds is bounded. */
function gatewayWork(): Work {
  return {
    mostPerS: 1_200,
    step(perS, running) {
      const busy = Math.min(0.98, perS / running / 250);
      return Math.min(256, ((perS / running) * 0.06) / (1 - busy));
    },
  };
}

/** A worker embeds two images a second; they are worked off in their order. */
function workerWork(): Work {
  const queue: { images: number; waitedS: number }[] = [];
  return {
    mostPerS: 12,
    step(perS, running) {
      for (const entry of queue) entry.waitedS += STEP_S;
      queue.push({ images: perS * STEP_S, waitedS: 0 });
      for (let left = running * 2 * STEP_S; left > 0 && queue[0]; ) {
        const done = Math.min(left, queue[0].images);
        queue[0].images -= done;
        left -= done;
        if (queue[0].images <= 1e-9) queue.shift();
      }
      return queue[0]?.waitedS ?? 0;
    },
  };
}

/** Low at night, most in the afternoon. */
function loadAt(atS: number, mostPerS: number, { atS: spikeS, forS, factor }: Spike): number {
  if (atS >= spikeS && atS < spikeS + forS) return mostPerS * factor;
  return mostPerS * (0.1 + 0.9 * (0.5 - 0.5 * Math.cos((2 * Math.PI * (atS - 10_800)) / DAY_S)) ** 2);
}

export async function simulate(role: ScaleTarget['role'], options: SimulationOptions): Promise<Trace> {
  const { seed, hours, spike, rules, pods: { min, max }, silence } = options;
  const target: ScaleTarget = { role, model: 'm', deployment: `${role}-m`, min, max };
  const random = new SeededRandom(seed);
  const work = role === 'gateway' ? gatewayWork() : workerWork();
  const pods = new Pods(min);
  const moments: Moment[] = [];
  const changes: Trace['changes'][number][] = [];
  let atS = 0;
  const scales: Scales = {
    get: async (deployment) => ({ deployment, replicas: pods.replicas, running: pods.running(atS), resourceVersion: '1' }),
    async set({ replicas }, to) {
      changes.push({ atS, from: replicas, to });
      pods.set(to, atS);
    },
  };
  const autoscaler = new Autoscaler({ targets: [target], rules, prometheus: prometheusOf(target, moments, () => silence !== undefined && atS >= silence.atS && atS < silence.atS + silence.forS), scales, isApplied: true, metrics: { observed: () => undefined, changed: () => undefined, failed: () => undefined }, log: SILENT_LOG, now: () => atS * 1000 });
  const { signal } = new AbortController();
  for (; atS < hours * 3_600; atS += STEP_S) {
    const perS = loadAt(atS, work.mostPerS, spike) * (0.85 + 0.3 * random.next());
    const running = Math.max(1, pods.running(atS));
    moments.push({ atS, perS, replicas: pods.replicas, running, signal: work.step(perS, running) });
    if (atS % (ROUND_EVERY_MS / 1000) === 0) await autoscaler.round(signal);
  }
  return { target, moments, changes };
}

/** Answers from what was the case a scrape ago, as the queries of `signals.ts` ask. */
function prometheusOf(target: ScaleTarget, moments: readonly Moment[], isSilent: () => boolean): Prometheus {
  const queries = queriesOf(target);
  const lag = 3;
  return {
    url: 'http://prometheus',
    async query(promql) {
      const last = moments.slice(-lag - 12, -lag);
      const seen = last.at(-1);
      if (isSilent() || !seen) return [];
      const mean = last.reduce((sum, { signal, running }) => sum + signal * running, 0) / last.length;
      const answers = new Map([[queries.value, target.role === 'gateway' ? mean : seen.signal], [queries.pods, moments.at(-1)!.running], [queries.age, lag * STEP_S]]);
      const value = answers.get(promql);
      return value === undefined ? [] : [{ labels: {}, value }];
    },
  };
}

/** The least time between two changes, in seconds. */
export function leastGapS({ changes }: Trace): number {
  return Math.min(Infinity, ...changes.slice(1).map(({ atS }, i) => atS - changes[i]!.atS));
}

/** How often the number of pods turned round within an hour: from more to fewer, or the other way. */
export function turnsWithinHour({ changes }: Trace): number {
  return changes.slice(1).filter(({ atS, from, to }, i) => atS - changes[i]!.atS < 3_600 && Math.sign(to - from) !== Math.sign(changes[i]!.to - changes[i]!.from)).length;
}
