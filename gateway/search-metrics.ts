/** What the gateway counts of searches. */
import type { Metrics } from '../common/metrics.js';

/** The parts that the time of a search is told apart by. For a search by id, `embed` is the look-up of its vector. */
export const STAGES = ['embed', 'fan_out', 'merge', 'total'] as const;
export type Stage = (typeof STAGES)[number];
export type Timings = Readonly<Record<Stage, number>>;

export interface SearchMetrics {
  /** @param outcome `ok`, `partial`, or the code of the error */
  searched(model: string, outcome: string): void;
  /** @param timingsMs of a search that was answered */
  took(model: string, timingsMs: Timings): void;
  shardFailed(model: string, shard: string, code: string): void;
}

/** Of searches that are counted elsewhere. */
export const UNCOUNTED: SearchMetrics = { searched: () => undefined, took: () => undefined, shardFailed: () => undefined };

export function createSearchMetrics(metrics: Metrics): SearchMetrics {
  const searches = metrics.counter('search_total', 'Searches by outcome: ok, partial (a shard is missing) or the code of the error', ['model', 'outcome']);
  const seconds = metrics.histogram('search_duration_seconds', 'Time of the searches that were answered, by stage', ['model', 'stage']);
  const failures = metrics.counter('shard_failures_total', 'Calls of an index shard that failed on all its replicas', ['model', 'shard', 'code']);
  return {
    searched: (model, outcome) => searches.inc({ model, outcome }),
    took: (model, timingsMs) => {
      for (const stage of STAGES) seconds.observe({ model, stage }, timingsMs[stage] / 1000);
    },
    shardFailed: (model, shard, code) => failures.inc({ model, shard, code }),
  };
}
