/** What a worker counts. */
import type { Metrics } from '../common/metrics.js';
import type { LedgerState } from '../common/wire.js';
import { observeQueues } from './queue-metrics.js';
import type { ImageQueue } from './queue/queue.js';

export interface WorkerMetrics {
  countOutcome(outcome: LedgerState): void;
  /** @param kind what was repeated: `function`, `store`, `bucket`, or `message` for one that is delivered again */
  countRetry(kind: 'function' | 'store' | 'bucket' | 'message'): void;
  /** A message that was in the hands of a worker before: after a crash, a lost connection, or a failure. */
  countRedelivery(): void;
  setInFlight(messages: number): void;
  /** @param part what the worker needs, and consumes nothing while it waits for it */
  setWaiting(part: 'function' | 'store', isWaiting: boolean): void;
  observeEmbed(seconds: number): void;
  observeWrite(seconds: number): void;
}

export function createWorkerMetrics(metrics: Metrics, { model, queue }: { readonly model: string; readonly queue: ImageQueue }): WorkerMetrics {
  const outcomes = metrics.counter('ingest_outcomes_total', 'Messages worked off, by what became of them', ['model', 'outcome']);
  const retries = metrics.counter('ingest_retries_total', 'Attempts that were repeated, by what failed', ['kind']);
  const redeliveries = metrics.counter('ingest_redeliveries_total', 'Messages that had been delivered before');
  const inFlight = metrics.gauge('ingest_in_flight', 'Messages in the hands of this worker');
  const waiting = metrics.gauge('ingest_waiting', '1 while this worker takes no messages because it waits for this part: function or store', ['part']);
  for (const part of ['function', 'store']) waiting.set({ part }, 0);
  const embed = metrics.histogram('ingest_embed_seconds', 'Time to embed one image, waiting for the function included');
  const write = metrics.histogram('ingest_write_seconds', 'Time to write one batch to the store and the ledger');
  observeQueues(metrics, { models: [model], queue });
  return {
    countOutcome: (outcome) => outcomes.inc({ model, outcome }),
    countRetry: (kind) => retries.inc({ kind }),
    countRedelivery: () => redeliveries.inc(),
    setInFlight: (messages) => inFlight.set(messages),
    setWaiting: (part, isWaiting) => waiting.set({ part }, isWaiting ? 1 : 0),
    observeEmbed: (seconds) => embed.observe(seconds),
    observeWrite: (seconds) => write.observe(seconds),
  };
}
