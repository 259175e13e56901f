/** The index pod's HTTP interface, from injected parts. */
import { Type } from 'typebox';
import { callerSignal } from '../common/caller-signal.js';
import { EisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import { createService, type App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import { ErrorBodySchema, GroupsAnswer, IMAGE_ID, ImageId, IndexAnswer, IndexStats, ReloadAnswer, VectorAnswer } from '../common/wire.js';
import type { IndexHost } from './index-host.js';
import type { IndexMetrics } from './index-metrics.js';
import { readQueries } from './query-vectors.js';
import { readSearchBody } from './search-body.js';

export interface IndexAppOptions {
  readonly model: string;
  /** i/n, counted from 0. */
  readonly shard: string;
  readonly algorithm: string;
  readonly host: IndexHost;
  readonly limits: Limits;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly indexMetrics: IndexMetrics;
}

/** The longest vector that a model may give. */
const DIM_MAX = 16_384;
const OCTETS = 'application/octet-stream';
const JSON_TYPE = 'application/json';
/** Images that a search passes over. */
const PASSED_OVER_MAX = 100;
/** Of a search in JSON, around its vectors and its filter. */
const JSON_EXTRA_BYTES = 1_024;
const errors = { '4xx': ErrorBodySchema, '5xx': ErrorBodySchema };

export function createIndexApp(options: IndexAppOptions): App {
  const { log, metrics, host, limits } = options;
  const vectorBytesMax = limits.queriesPerRequestMax * DIM_MAX * Float32Array.BYTES_PER_ELEMENT;
  const bodyBytesMax = Math.ceil((vectorBytesMax * 4) / 3) + limits.filterBytesMax + JSON_EXTRA_BYTES; // as base64 in JSON
  const app = createService({ log, metrics, readiness: () => host.readiness(), bodyBytesMax });
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser(OCTETS, { parseAs: 'buffer', bodyLimit: vectorBytesMax }, (_request, body, done) => done(null, body));
  addSearch(app, options);
  addVectors(app, options);
  addGroups(app, options);
  addAdministration(app, options);
  return app;
}

function addSearch(app: App, { host, limits, indexMetrics }: IndexAppOptions): void {
  const schema = {
    description: 'The nearest images of one or more vectors (little-endian float32, one after the other): one answer, or a list of them for several vectors. With a filter: as JSON, `{ "vectors": "<base64>", "filter": { … } }`, and the nearest are those of the images that match.',
    consumes: [OCTETS, JSON_TYPE],
    querystring: Type.Object({
      top: Type.Integer({ minimum: 1, maximum: limits.topMax, default: 10 }),
      collapse: Type.Boolean({ default: false, description: 'of each group of near-duplicates only the best' }),
      without: Type.Optional(Type.String({ pattern: `^[0-9a-f]{64}(,[0-9a-f]{64}){0,${PASSED_OVER_MAX - 1}}$`, description: 'ids that are passed over, separated by commas' })),
    }),
    headers: Type.Object({ [HEADERS.modelVersion]: Type.Optional(Type.String({ description: 'the version that the vectors are of; another one is held: 409' })) }),
    response: { 200: Type.Union([IndexAnswer, Type.Array(IndexAnswer)]), ...errors },
  };
  // Answers are built in the schema's shape; matching each against the union again would cost more than the search.
  app.post('/search', { schema, serializerCompiler: () => JSON.stringify }, async (request, reply) => {
    requireReady(host);
    const { vectors, filter } = readSearchBody(request.body ?? undefined, limits);
    const signal = callerSignal(request.raw, reply.raw);
    host.requireVersion(request.headers[HEADERS.modelVersion]);
    const { freshnessS, dim } = host.stats();
    // While nothing is held no length is known: whatever was sent is one vector that nothing is similar to.
    const queries = readQueries(vectors, { dim: dim || Math.max(1, vectors.byteLength / Float32Array.BYTES_PER_ELEMENT), queriesMax: limits.queriesPerRequestMax });
    const { top, collapse, without } = request.query;
    const { modelVersion, hits } = await host.search(queries, { top, filter, collapse, without: without === undefined ? undefined : new Set(without.split(',')), modelVersion: request.headers[HEADERS.modelVersion], signal });
    indexMetrics.searched(queries.length);
    const answers = hits.map((found): IndexAnswer => ({ model_version: modelVersion, hits: found, vectors: host.stats().vectors, freshness_s: freshnessS }));
    return answers.length === 1 ? (answers[0]) : answers;
  });
}

function addVectors(app: App, { host }: IndexAppOptions): void {
  const schema = { description: 'The vector of an image of this shard', params: Type.Object({ id: Type.String() }), response: { 200: VectorAnswer, ...errors } };
  app.get('/vectors/:id', { schema }, async ({ params: { id } }): Promise<VectorAnswer> => {
    requireReady(host);
    if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
    const { modelVersion, vector, image: { urls, width, height, metadata } } = await host.vector(id);
    return { id, model_version: modelVersion, dim: vector.length, vector: Array.from(vector), urls: [...urls], width, height, ...(metadata && { metadata }) };
  });
}

function addGroups(app: App, { host, limits }: IndexAppOptions): void {
  const schema = {
    description: 'What of groups of near-duplicates is in this shard',
    body: Type.Object({
      canonical: Type.Array(ImageId, { maxItems: limits.topMax }),
      without: Type.Optional(Type.Array(ImageId, { maxItems: PASSED_OVER_MAX, description: 'images that are neither counted nor named' })),
    }),
    response: { 200: GroupsAnswer, ...errors },
  };
  app.post('/groups', { schema }, async (request): Promise<GroupsAnswer> => {
    requireReady(host);
    const { modelVersion, groups } = host.groups(request.body.canonical, { top: limits.duplicatesMax, without: new Set(request.body.without) });
    return { model_version: modelVersion, groups };
  });
}

function addAdministration(app: App, { model, shard, algorithm, host }: IndexAppOptions): void {
  app.post('/reload', { schema: { description: 'Loads the index anew from the store, beside the one that answers, and swaps', response: { 200: ReloadAnswer, ...errors } } }, async (): Promise<ReloadAnswer> => {
    const { modelVersion, vectors, loadS } = await host.reload();
    return { model, model_version: modelVersion, shard, vectors, load_s: loadS };
  });
  app.get('/stats', { schema: { description: 'What this pod holds', response: { 200: IndexStats, ...errors } } }, async (): Promise<IndexStats> => {
    const { modelVersion, liveVersion, dim, vectors, freshnessS, loadedAt, memoryBytes } = host.stats();
    return { model, model_version: modelVersion, live_version: liveVersion, shard, algorithm, dim, vectors, freshness_s: freshnessS, loaded_at: loadedAt === undefined ? null : new Date(loadedAt).toISOString(), memory_bytes: memoryBytes };
  });
}

function requireReady(host: IndexHost): void {
  const { ready, detail } = host.readiness();
  if (!ready) throw new EisError('EIS_NOT_READY', { detail }, { retryAfterS: 1 });
}
