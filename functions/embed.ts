/** The function `embed`: an image in, its embedding out (contract in ARCHITECTURE.md), and what a platform asks of a service. */
import type { ServerResponse } from 'node:http';
import { callerSignal } from '../common/caller-signal.js';
import { EisError, toEisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import { sha256 } from '../common/sha256.js';
import { continueTrace, withSpan } from '../common/tracing.js';
import type { Embedding } from '../common/wire.js';
import { admit, bodyKind, ROUTES, type Route } from './admission.js';
import { sendBytes, sendEmbedding, sendError, sendJson } from './answer.js';
import type { InferencePool } from './engines/inference-pool.js';
import type { ReadRequest } from './framework-guard.js';
import type { DecodeImage } from './image.js';
import type { FunctionMetrics } from './function-metrics.js';
import type { LoadedModel } from './models/model.js';
import type { Slots } from './slots.js';
import { readImage, type ImageSourceOptions } from './source.js';

/** A model that is loaded, with the threads that run it. */
export interface Embedder {
  readonly model: Pick<LoadedModel, 'name' | 'version' | 'input' | 'layer'>;
  readonly pool: Pick<InferencePool, 'embed' | 'description' | 'bestBatch'>;
}

export interface EmbedParts {
  /** Resolves when the model is loaded: an instance that is just starting lets its first requests wait. */
  readonly embedder: Promise<Embedder>;
  /** The same, as soon as it is there. */
  readonly ready: () => Embedder | undefined;
  readonly decode: DecodeImage;
  readonly source: ImageSourceOptions;
  readonly imageBytesMax: number;
  readonly slots: Slots;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly observed: FunctionMetrics;
}

export type Handler = (request: ReadRequest, response: ServerResponse) => Promise<void>;

/** The handler of every route. It never rejects: the framework would answer with a stack trace. */
export function createEmbedHandler(parts: EmbedParts): Handler {
  const routes: Readonly<Record<Route, Handler>> = {
    embed: (request, response) => traced(parts, request, response),
    health: async (_request, response) => sendJson(response, 200, { status: 'alive' }),
    ready: async (_request, response) => sendReadiness(parts, response),
    metrics: async (_request, response) => sendBytes(response, 200, { type: parts.metrics.contentType, bytes: Buffer.from(await parts.metrics.text()) }),
  };
  return async (request, response) => {
    try {
      await routes[admit(request, parts).route](request, response);
    } catch (thrown) {
      refuse(parts, request, response, thrown);
    }
  };
}

function sendReadiness(parts: EmbedParts, response: ServerResponse): void {
  const embedder = parts.ready();
  if (!embedder) throw new EisError('EIS_NOT_READY', { detail: 'The model is being loaded.' }, { retryAfterS: 1 });
  const { model, pool } = embedder;
  const { engine, dim, threads, workers, passedOver } = pool.description;
  sendJson(response, 200, { model: model.name, model_version: model.version, layer: model.layer, dim, engine, threads, workers, batch: pool.bestBatch, passed_over: passedOver });
}

/** Never rejects, so that the span has the status of what was answered. */
function traced(parts: EmbedParts, request: ReadRequest, response: ServerResponse): Promise<void> {
  const attributes = { 'http.request.method': 'POST', 'http.route': ROUTES.embed, 'url.path': ROUTES.embed, 'url.scheme': 'http', 'eis.request_id': String(request.headers[HEADERS.requestId]) };
  return continueTrace(request.headers, { name: `POST ${ROUTES.embed}`, kind: 'server', attributes }, async (span) => {
    await embed(parts, request, response).catch((thrown: unknown) => refuse(parts, request, response, thrown));
    span.answered(response.statusCode);
  });
}

async function embed(parts: EmbedParts, request: ReadRequest, response: ServerResponse): Promise<void> {
  parts.slots.work(request);
  const started = performance.now();
  try {
    const embedding = await embedImage(parts, request, response);
    sendEmbedding(request, response, embedding);
    parts.observed.images.inc({ outcome: 'ok' });
    parts.log.debug({ reqId: request.headers[HEADERS.requestId], sha256: embedding.sha256, ms: Math.round(performance.now() - started) }, 'embedded');
  } finally {
    parts.slots.release(request);
  }
}

async function embedImage(parts: EmbedParts, request: ReadRequest, response: ServerResponse): Promise<Embedding> {
  const kind = bodyKind(request.headers);
  const body = request.rawBody ?? Buffer.alloc(0);
  // The framework keeps the latest request; an image of 20 MB need not stay with it.
  Object.assign(request, { rawBody: undefined, body: undefined });
  if (body.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
  const signal = callerSignal(request, response);
  const { model, pool } = await parts.embedder;
  const { observed } = parts;
  const [image, fetch] = await timed(kind === 'json' ? 'fetch' : undefined, async () => readImage({ kind, body, signal }, parts.source));
  const hashing = sha256(image);
  const [decoded, decode] = await timed('decode', () => parts.decode(image, model.input, signal));
  signal.throwIfAborted();
  const [vector, infer] = await timed('infer', () => pool.embed(decoded.pixels, signal));
  if (kind === 'json') observed.fetchSeconds.observe(fetch / 1000);
  observed.decodeSeconds.observe(decode / 1000);
  observed.inferSeconds.observe(infer / 1000);
  const { width, height, format, phash } = decoded;
  return { model: model.name, modelVersion: model.version, vector, sha256: await hashing, phash, width, height, format, timingsMs: { fetch: kind === 'json' ? fetch : 0, decode, infer } };
}

/** The result of some work, and how long it took: ms, to the microsecond. `name`: of its span. */
async function timed<T>(name: string | undefined, work: () => Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  const result = await (name === undefined ? work() : withSpan({ name }, work));
  return [result, Math.round((performance.now() - started) * 1000) / 1000];
}

/** Answers, counts and logs a request that failed, wherever it failed. */
function refuse(parts: Pick<EmbedParts, 'log' | 'observed'>, request: ReadRequest, response: ServerResponse, thrown: unknown): void {
  const error = toEisError(thrown);
  sendError(request, response, error);
  noteRefusal(parts, request, error);
}

/** Counts and logs an error that was answered. */
export function noteRefusal({ log, observed }: Pick<EmbedParts, 'log' | 'observed'>, request: ReadRequest, error: EisError): void {
  const reqId = request.headers[HEADERS.requestId];
  if (request.method === 'POST') observed.images.inc({ outcome: error.code });
  if (error.statusCode >= 500 && error.code !== 'EIS_NOT_READY') log.error({ err: error.cause ?? error, code: error.code, reqId }, error.message);
  else log.debug({ code: error.code, reqId }, error.message);
}
