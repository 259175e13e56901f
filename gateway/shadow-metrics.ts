/** What the gateway counts of shadow traffic. `model` answered the search, `shadow` did so as well, unseen. */
import type { Metrics } from '../common/metrics.js';
import { STAGES, type Timings } from './search-metrics.js';

export type Names = Readonly<Record<'model' | 'shadow', string>>;
/** Why a search was not followed: as many are, the shadow's function has other things to do, this gateway closes. */
type DropReason = 'in_flight' | 'function' | 'closing';

export interface ShadowMetrics {
  /** @param outcome `ok`, `partial` (either answer lacks a shard), or the code of the error */
  answered(names: Names, outcome: string): void;
  dropped(names: Names, reason: DropReason): void;
  /** @param timings of the two answers to one search, in ms */
  took(names: Names, timings: Readonly<Record<'live' | 'shadow', Timings>>): void;
  /** @param overlap 0 to 1 */
  overlapped(names: Names, overlap: number): void;
}

const OVERLAP_BUCKETS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

/** @param inFlight how many are under way */
export function createShadowMetrics(metrics: Metrics, inFlight: () => number): ShadowMetrics {
  const searches = metrics.counter('shadow_searches_total', 'Searches that a second model answered as well, by outcome: ok, partial (a shard is missing) or the code of the error', ['model', 'shadow', 'outcome']);
  const drops = metrics.counter('shadow_dropped_total', 'Searches that a second model would have answered as well, by what was in the way: in_flight, function, closing', ['model', 'shadow', 'reason']);
  const seconds = metrics.histogram('shadow_duration_seconds', 'Time of the searches that both models answered, of each (live, shadow), by stage', ['model', 'shadow', 'of', 'stage']);
  const overlaps = metrics.histogram('shadow_overlap_ratio', 'Share of the first ten results (or of as many as were asked for) that both models name', ['model', 'shadow'], OVERLAP_BUCKETS);
  metrics.gauge('shadow_in_flight', 'Searches that a second model is answering', [], function collect() {
    this.set(inFlight());
  });
  return {
    answered: (names, outcome) => searches.inc({ ...names, outcome }),
    dropped: (names, reason) => drops.inc({ ...names, reason }),
    took(names, timings) {
      for (const of of ['live', 'shadow'] as const) for (const stage of STAGES) seconds.observe({ ...names, of, stage }, timings[of][stage] / 1000);
    },
    overlapped: (names, overlap) => overlaps.observe({ ...names }, overlap),
  };
}
