/** What the function counts and measures, in the names that Prometheus scrapes. */
import type { Counter, Histogram } from 'prom-client';
import type { Metrics } from '../common/metrics.js';
import type { Slots } from './slots.js';

export interface FunctionMetrics {
  /** By outcome: `ok`, or the code of the error. */
  readonly images: Counter<'outcome'>;
  readonly fetchSeconds: Histogram;
  readonly decodeSeconds: Histogram;
  readonly inferSeconds: Histogram;
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
  };
}
