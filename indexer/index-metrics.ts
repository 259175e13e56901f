/** The metrics of an index pod. */
import type { Metrics } from '../common/metrics.js';
import type { FinishedScan } from './vector-index.js';
import type { ChangeKind } from './follower.js';

const SCAN_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const LOAD_BUCKETS_S = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];

export type IndexMetrics = ReturnType<typeof createIndexMetrics>;

/** @param read what the gauges show when they are asked */
export function createIndexMetrics(metrics: Metrics, read: () => { readonly vectors: number; readonly memoryBytes: number; readonly freshnessS: number; readonly unsavedS: number }) {
  metrics.gauge('index_vectors', 'Vectors held', [], function () {
    this.set(read().vectors);
  });
  metrics.gauge('index_memory_bytes', 'Memory of vectors, ids and what is known of the images', [], function () {
    this.set(read().memoryBytes);
  });
  metrics.gauge('index_freshness_seconds', 'Age of what the pod knows of the store', [], function () {
    this.set(read().freshnessS);
  });
  metrics.gauge('index_unsaved_seconds', 'Age of the oldest change that no snapshot holds; 0: every change is held, or no snapshots are kept', [], function () {
    this.set(read().unsavedS);
  });
  const searches = metrics.counter('index_searches_total', 'Query vectors answered');
  const scans = metrics.histogram('index_scan_duration_seconds', 'Time of one pass over the vectors, shared by the searches of that moment', [], SCAN_BUCKETS_S);
  const rescored = metrics.counter('index_rescored_vectors_total', 'Vectors that the codes did not rule out, scored in full');
  const failures = metrics.counter('index_follow_failures_total', 'Polls of the store that failed');
  const changes = metrics.counter('index_changes_applied_total', 'Changes of the store that were applied', ['kind']);
  const loads = metrics.counter('index_loads_total', 'Loads of the index from the store', ['outcome']);
  const loadSeconds = metrics.histogram('index_load_duration_seconds', 'Time of one load that succeeded', [], LOAD_BUCKETS_S);
  return {
    searched: (queries: number) => searches.inc(queries),
    scanned({ seconds, rescored: vectors = 0 }: FinishedScan) {
      scans.observe(seconds);
      rescored.inc(vectors);
    },
    followFailed: () => failures.inc(),
    changed: (kind: ChangeKind) => changes.inc({ kind }),
    loaded(seconds: number) {
      loads.inc({ outcome: 'ok' });
      loadSeconds.observe(seconds);
    },
    loadFailed: () => loads.inc({ outcome: 'failed' }),
  };
}
