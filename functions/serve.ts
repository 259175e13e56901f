/**
 * The parts of the function that answer requests. They are loaded while threads are started and the model is read, which
 * takes longer: so they cost a start nothing (`index.ts`).
 */
import type { ServerResponse } from 'node:http';
import { openObjectReader } from '../common/bucket/object-reader.js';
import type { Environment } from '../common/environment.js';
import type { EisError } from '../common/errors.js';
import type { Log } from '../common/log.js';
import { Metrics } from '../common/metrics.js';
import { createSafeFetch } from '../common/safe-fetch.js';
import { createEmbedHandler, noteRefusal, type Embedder } from './embed.js';
import type { FinishedCall } from './engines/batcher.js';
import type { ReadRequest } from './framework-guard.js';
import { createFunctionMetrics, observeCall } from './function-metrics.js';
import { createImageDecoder } from './image.js';
import type { Slots } from './slots.js';

export interface Serving {
  handle(request: ReadRequest, response: ServerResponse): Promise<void>;
  noteRefusal(request: ReadRequest, error: EisError): void;
  observeCall(call: FinishedCall): void;
  close(): Promise<void>;
}

export interface ServingParts {
  readonly environment: Environment;
  /** The name of the model. */
  readonly model: string;
  readonly cpus: number;
  readonly embedder: Promise<Embedder>;
  readonly ready: () => Embedder | undefined;
  readonly slots: Slots;
  readonly log: Log;
}

/** @throws EisError EIS_ENVIRONMENT_INVALID */
export function createServing({ environment, model, cpus, embedder, ready, slots, log }: ServingParts): Serving {
  const { limits } = environment;
  const metrics = new Metrics('function', { model }).collectProcess();
  const observed = createFunctionMetrics(metrics, slots);
  const safeFetch = createSafeFetch({ limits, from: environment.fetchFrom });
  const source = { safeFetch, objects: openObjectReader(environment), urlLengthMax: limits.urlLengthMax };
  const decode = createImageDecoder(limits, { cpus });
  return {
    handle: createEmbedHandler({ embedder, ready, decode, source, imageBytesMax: limits.imageBytesMax, slots, log, metrics, observed }),
    noteRefusal: (request, error) => noteRefusal({ log, observed }, request, error),
    observeCall: (call) => observeCall(observed, call),
    close: () => safeFetch.close(),
  };
}
