/** What the function counts and measures, in the names that Prometheus scrapes. */
import type { Counter, Histogram } from 'prom-client';
import type { Metrics } from '../common/metrics.js';
import type { FinishedCall } from './engines/batcher.js';
import type { Slots } from './slots.js';

const BATCH_BUCKETS = [1, 2, 4, 8];

export interface FunctionMetrics {
  /** By outcome: `ok`, or the code of the error. */
  readonly images: Counter<'outcome'>;
  readonly fetchSeconds: Histogram;
  readonly decodeSeconds: Histogram;
  readonly inferSeconds: Histogram;
  /** Images of one call of the engine. */
  readonly batchImages: Histogram;
  readonly waitSeconds: Histogram;
}

export function createFunctionMetrics(metrics: Metrics, slots: Slots): FunctionMetrics {
  metrics.gauge('function_in_flight_images', 'Images held at this moment', [], function () {
    this.set(slots.taken);
  });
  metrics.gauge('function_in_flight_bytes', 'Bytes of request bodies held at this moment', [], function () {
    this.set(slots.bytes);
  });
  return {
    images: metrics.counter('function_images_total', 'Images by outcome: ok, or the code of the error', ['outcome']),
    fetchSeconds: metrics.histogram('function_fetch_seconds', 'Time to fetch an image from its URL'),
    decodeSeconds: metrics.histogram('function_decode_seconds', 'Time to decode and resize an image, waiting for its turn included'),
    inferSeconds: metrics.histogram('function_infer_seconds', 'Time to compute an embedding, waiting for a thread included'),
    batchImages: metrics.histogram('function_batch_images', 'Images computed in one call of the engine', [], BATCH_BUCKETS),
    waitSeconds: metrics.histogram('function_infer_wait_seconds', 'Time that an image waits for a thread'),
  };
}

export function observeCall({ batchImages, waitSeconds }: FunctionMetrics, { images, waitedMs }: FinishedCall): void {
  batchImages.observe(images);
  for (const each of waitedMs) waitSeconds.observe(each / 1000);
}
