/** What the gateway counts of one model's embeddings. */
import type { Metrics } from '../common/metrics.js';
import type { ConcurrencyLimit } from './concurrency-limit.js';
import type { EmbeddingCache } from './embedding-cache.js';

export interface EmbedMetrics {
  /** An image was looked for among the remembered ones. */
  looked(isFound: boolean): void;
  /** A search waits for the call of another one. */
  shared(): void;
  repeated(code: string): void;
}

interface Watched {
  readonly cache: EmbeddingCache;
  readonly limit: ConcurrencyLimit;
}

/** Makes the counters of one model, over what is watched when Prometheus asks. */
export type CreateEmbedMetrics = (model: string, watched: Watched) => EmbedMetrics;

export function createEmbedMetrics(metrics: Metrics): CreateEmbedMetrics {
  const watched = new Map<string, Watched>();
  const gauge = (name: string, help: string, read: (of: Watched) => number): void => {
    metrics.gauge(name, help, ['model'], function collect() {
      for (const [model, of] of watched) this.set({ model }, read(of));
    });
  };
  gauge('embed_calls_in_flight', 'Calls of the function that are under way', ({ limit }) => limit.inFlight);
  gauge('embed_calls_limit', 'Calls of the function that may be under way at once, as it was found out', ({ limit }) => limit.limit);
  gauge('embedding_cache_bytes', 'Memory of the embeddings that are remembered', ({ cache }) => cache.bytes);
  gauge('embedding_cache_entries', 'Embeddings that are remembered', ({ cache }) => cache.size);
  const lookups = metrics.counter('embedding_cache_lookups_total', 'Images that were looked for among the remembered embeddings, by result: hit or miss', ['model', 'result']);
  const shares = metrics.counter('embed_calls_shared_total', 'Searches that waited for the call of another search of the same image', ['model']);
  const repeats = metrics.counter('embed_calls_repeated_total', 'Calls of the function that were made again, by the error of the attempt before', ['model', 'code']);
  return (model, of) => {
    watched.set(model, of);
    return {
      looked: (isFound) => lookups.inc({ model, result: isFound ? 'hit' : 'miss' }),
      shared: () => shares.inc({ model }),
      repeated: (code) => repeats.inc({ model, code }),
    };
  };
}
