/** The wrapper: takes images in over HTTP, says what became of them, and hands out those that were sent as bytes. */
import multipart from '@fastify/multipart';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import { createService, type App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import { writtenVersions } from '../common/store/lane-versions.js';
import type { LedgerEntry, LiveVersion, Store } from '../common/store/store.js';
import { DeleteQuery, IMAGE_ID, LedgerQuery, SUBMISSION_ID, type DeleteAnswer, type LedgerAnswer, type LedgerEntryWire } from '../common/wire.js';
import { accept } from './accept.js';
import { addBackfillRoute } from './backfill-route.js';
import { imageType } from './image-type.js';
import { PublishError, type ImageQueue } from './queue/queue.js';
import { observeQueues } from './queue-metrics.js';
import { addQueuesRoutes } from './queues-route.js';
import { receiveImages, urlBytesMax } from './receive.js';
import { newSubmissionId } from './submission-id.js';

export interface WrapperParts {
  readonly queue: ImageQueue;
  readonly store: Store;
  readonly bucket: Bucket;
  /** The models whose workers get the images. */
  readonly ingestModels: readonly string[];
  /** Every model: an image is removed from all. */
  readonly models: readonly string[];
  /** The version that a model's function embeds with; undefined where no function is known. @throws EisError EIS_NOT_READY while it does not say */
  readonly functionVersion?: (model: string) => Promise<LiveVersion | undefined>;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly log: Log;
}

const Params = Type.Object({ id: Type.String() });

export async function createWrapperApp(parts: WrapperParts): Promise<App> {
  const { limits, metrics, log } = parts;
  const app = createService({ log, metrics, readiness: () => ({ ready: true, detail: 'taking images' }), bodyBytesMax: urlBytesMax(limits), requestTimeoutMs: 0 });
  // Every body stays a stream, which `receiveImages` reads or refuses.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  await app.register(multipart);
  addIngest(app, parts);
  addLedger(app, parts);
  addImages(app, parts);
  observeQueues(metrics, { models: parts.ingestModels, queue: parts.queue });
  addQueuesRoutes(app, { queue: parts.queue, store: parts.store, models: parts.ingestModels });
  addBackfillRoute(app, parts);
  return app;
}

// ── Taking images in ────────────────────────────────────────────────────────────────────────────────────────────────

function addIngest(app: App, { queue, store, bucket, ingestModels, limits, metrics }: WrapperParts): void {
  const accepted = metrics.counter('ingest_accepted_total', 'Images that every queue confirmed');
  const received = metrics.counter('ingest_bytes_total', 'Bytes of images that were stored in the bucket');
  const querystring = Type.Object({ submission: Type.Optional(Type.String({ pattern: SUBMISSION_ID.source })) });
  app.post('/images', { schema: { querystring } }, async (request, reply) => {
    const submission = request.query.submission ?? submissionHeader(request) ?? newSubmissionId();
    try {
      const images = await receiveImages(request, { bucket, limits, onBytes: (bytes) => received.inc(bytes) });
      const answer = await accept({ submission, images }, { queue, ledger: store.ledger, models: ingestModels });
      accepted.inc(answer.accepted);
      return await reply.code(202).send(answer);
    } catch (thrown) {
      if (thrown instanceof PublishError) return sendUnconfirmed(thrown, submission, { request, reply });
      throw thrown;
    }
  });
}

function submissionHeader(request: FastifyRequest): string | undefined {
  const sent = request.headers[HEADERS.submission];
  if (sent === undefined || (typeof sent === 'string' && SUBMISSION_ID.test(sent))) return sent;
  throw new EisError('EIS_BAD_REQUEST', { detail: `${HEADERS.submission} has 1 to 64 letters, digits, "-" or "_".` });
}

function sendUnconfirmed({ failure, confirmed }: PublishError, submission: string, { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply }): FastifyReply {
  request.log.error({ err: failure.cause ?? failure, code: failure.code, reqId: request.id }, failure.message);
  if (failure.retryAfterS !== undefined) void reply.header('retry-after', String(Math.ceil(failure.retryAfterS)));
  return reply.code(failure.statusCode).send({ ...failure.toBody(), submission, confirmed: confirmed.map(({ source }) => source) });
}

// ── What became of them ─────────────────────────────────────────────────────────────────────────────────────────────

function addLedger(app: App, { store }: WrapperParts): void {
  app.get('/images', { schema: { querystring: LedgerQuery } }, async (request): Promise<LedgerAnswer> => {
    const { submission, state, limit, after } = request.query;
    const { entries, next } = await store.ledger.list({ submission, state, limit, after });
    const counts = submission === undefined ? {} : { counts: await store.ledger.counts(submission) };
    return { entries: entries.map(toWire), next: next ?? null, ...counts };
  });
}

function toWire({ submission, source, model, state, id, code, message, updatedAt }: LedgerEntry): LedgerEntryWire {
  return {
    submission, source, model, state,
    ...(id === undefined ? {} : { id }),
    ...(code === undefined ? {} : { code }),
    ...(message === undefined ? {} : { message }),
    updated_at: new Date(updatedAt).toISOString(),
  };
}

// ── Stored images ───────────────────────────────────────────────────────────────────────────────────────────────────

function addImages(app: App, { store, bucket, models }: WrapperParts): void {
  app.get('/images/:id', { schema: { params: Params } }, async (request, reply) => {
    const id = requireId(request.params.id);
    const bytes = (await isRemoved(id, { store, models })) ? undefined : await bucket.get(id);
    if (!bytes) throw new EisError('EIS_IMAGE_UNKNOWN', { id });
    return sendImage(bytes, id, { request, reply });
  });

  app.delete('/images/:id', { schema: { params: Params, querystring: DeleteQuery } }, async (request): Promise<DeleteAnswer> => {
    const id = requireId(request.params.id);
    const removed = await remove(id, { store, models });
    // After the models: an image that is found has its bytes. An object that outlived its image can still be removed.
    const object = request.query.object === true ? await bucket.delete(id) : undefined;
    if (removed.length === 0 && object !== true) throw new EisError('EIS_IMAGE_UNKNOWN', { id });
    return { id, models: removed, ...(object === undefined ? {} : { object }) };
  });
}

/**
 * Removes an image that any model knows from all of them, and with it what of it is still in their queues.
 *
 * @returns the models that had it
 */
async function remove(id: string, { store, models }: Pick<WrapperParts, 'store' | 'models'>): Promise<string[]> {
  const at = Date.now();
  const written = await Promise.all(models.map(async (model) => (await writtenVersions(store, model)).map((version) => store.collection(model, version))));
  const collections = written.flat();
  const known = await Promise.all(collections.map((collection) => collection.getMany([id])));
  if (known.flat().length === 0) return []; // a tombstone for every id that somebody makes up would be without bound
  const had = await Promise.all(collections.map(async (collection) => ((await collection.delete(id, at)) ? [collection.model] : [])));
  return [...new Set(had.flat())];
}

/** Whether an image was removed, and no model holds it any more. One that is still on its way was not. */
async function isRemoved(id: string, { store, models }: Pick<WrapperParts, 'store' | 'models'>): Promise<boolean> {
  const records = await Promise.all(models.map(async (model) => {
    const live = await store.liveVersion(model);
    return live ? store.collection(model, live).getMany([id]) : [];
  }));
  const known = records.flat();
  return known.length > 0 && known.every(({ deletedAt }) => deletedAt !== undefined);
}

function requireId(id: string): string {
  if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
  return id;
}

/** Strangers' bytes on our own origin: what is not plainly an image is a download, and nothing in it may run. */
function sendImage(bytes: Buffer, id: string, { request, reply }: { readonly request: FastifyRequest; readonly reply: FastifyReply }): FastifyReply {
  const type = imageType(bytes);
  const etag = `"${id}"`;
  void reply.headers({
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
    'cache-control': 'public, max-age=3600',
    etag,
  });
  if (request.headers['if-none-match']?.split(',').some((tag) => [etag, `W/${etag}`, '*'].includes(tag.trim()))) return reply.code(304).send();
  if (type === undefined) void reply.header('content-disposition', 'attachment');
  return reply.type(type ?? 'application/octet-stream').send(bytes);
}
