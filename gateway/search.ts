/**
 * One search: the image becomes a vector, every shard is asked for its nearest, their hits become one ranking. Only
 * I/O: no pixel and no tensor is touched here. Knows no web framework.
 */
import { EisError, toEisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import { slotOf, slotRange } from '../common/slots.js';
import { withSpan } from '../common/tracing.js';
import type { GroupsAnswer, IndexAnswer, IndexHit, SearchAnswer, SearchedImage, SearchResult, VectorAnswer } from '../common/wire.js';
import { browserUrl } from './browser-url.js';
import { withDeadline } from '../common/deadline.js';
import { groupsOf, withDuplicates, type GroupedResult } from './duplicates.js';
import { fanOut, type FanOutResult } from './fan-out.js';
import { mergeTop } from './merge.js';
import type { SearchMetrics, Timings } from './search-metrics.js';
import type { ServedModel, Shard } from './served-models.js';

/** What is searched for: an image, or the stored image with this id ("more like this one"). */
export type SearchInput = { readonly bytes: Uint8Array } | { readonly url: string } | { readonly id: string };

export interface SearchRequest {
  readonly model: ServedModel;
  readonly input: SearchInput;
  readonly top: number;
  /** Whether of each group of near-duplicates only the best is a result. */
  readonly collapse: boolean;
  readonly requestId: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface SearchParts {
  readonly limits: Limits;
  readonly metrics: SearchMetrics;
  readonly log: Log;
}

export type Search = (request: SearchRequest) => Promise<SearchAnswer>;

/** A vector to search with. */
interface Query {
  readonly vector: Float32Array;
  readonly modelVersion: string;
  /** The image that it is of. */
  readonly image: SearchedImage;
  /** Of an embedding that was remembered: the model may have been changed since. */
  readonly isCached: boolean;
  /** Id of the image that the vector is of, when that is in the index: it is not its own result. */
  readonly self?: string;
}

/**
 * The search of a gateway.
 *
 * It rejects with what the function answered about the image; EIS_IMAGE_UNKNOWN for an id that is in no shard;
 * EIS_MODEL_VERSION when every shard holds another version of the model; EIS_SEARCH_UNAVAILABLE when none answered;
 * EIS_SEARCH_TIMEOUT; or the reason of the request's signal.
 */
export function createSearch(parts: SearchParts): Search {
  const { limits, metrics } = parts;
  const timeoutError = (): EisError => new EisError('EIS_SEARCH_TIMEOUT', { timeoutMs: limits.searchTimeoutMs });
  return async (request) => {
    const model = request.model.name;
    try {
      const answer = await withDeadline({ timeoutMs: limits.searchTimeoutMs, parent: request.signal, timeoutError }, (signal) => run({ ...request, signal }, parts));
      metrics.searched(model, answer.partial ? 'partial' : 'ok');
      metrics.took(model, answer.timings_ms);
      return answer;
    } catch (thrown) {
      metrics.searched(model, toEisError(thrown).code);
      throw thrown;
    }
  };
}

async function run(request: SearchRequest, parts: SearchParts): Promise<SearchAnswer> {
  const started = performance.now();
  const query = await toQuery(request, parts);
  try {
    return await searchShards(request, query, { started, parts });
  } catch (thrown) {
    if (!query.isCached || toEisError(thrown).code !== 'EIS_MODEL_VERSION') throw thrown;
    request.model.embedder.forgetVersion(); // the model was changed since: the function has to be asked
    return searchShards(request, await toQuery(request, parts), { started, parts });
  }
}

async function searchShards(request: SearchRequest, query: Query, { started, parts }: { readonly started: number; readonly parts: SearchParts }): Promise<SearchAnswer> {
  const { model, signal, requestId } = request;
  const { indexTimeoutMs, searchTimeoutMs } = parts.limits;
  const embedded = performance.now();
  const timeLeft = (): number => Math.max(1, Math.min(indexTimeoutMs, Math.ceil(searchTimeoutMs - (performance.now() - started))));
  const timeoutMs = timeLeft();
  const depth = toDepth(request.top, query, parts.limits);
  const search = { vector: query.vector, modelVersion: query.modelVersion, top: depth.ask, collapse: request.collapse, without: query.self };
  const ask = (shard: Shard, deadline: AbortSignal): Promise<IndexAnswer> => shard.ask((pod, wanted) => pod.search(search, { signal: wanted, requestId, timeoutMs }), deadline);
  const asked = await fanOut({ shards: model.shards, ask, timeoutMs, signal });
  const answered = performance.now();
  noteFailures(request, asked, parts);
  const lists = asked.answers.map(({ answer }) => answer.hits);
  const groupOf = request.collapse ? ({ id, canonical }: IndexHit): string => canonical ?? id : undefined;
  const found = withSpan({ name: 'merge' }, () => mergeTop({ lists, top: depth.keep, without: query.self, groupOf }).map((hit): GroupedResult => ({ result: toResult(hit), canonical: request.collapse ? hit.canonical : undefined })));
  const groups = await askGroups(request, asked, groupsOf(found), timeLeft());
  noteShards(request, groups, parts);
  const results = withDuplicates(found, groups.answers.map(({ answer }) => answer), { imagesMax: parts.limits.duplicatesMax, without: query.self });
  const merged = performance.now();
  const timings = { embed: toMs(embedded - started), fan_out: toMs(answered - embedded), merge: toMs(merged - answered), total: toMs(merged - started) };
  return toAnswer({ model: model.name, query, asked: without(asked, groups), results, timings });
}

/** What the shards that answered hold of the groups among the results; nobody is asked when there are none. */
function askGroups({ signal, requestId }: SearchRequest, { answers }: FanOutResult<Shard, IndexAnswer>, canonicals: readonly string[], timeoutMs: number): Promise<FanOutResult<Shard, GroupsAnswer>> {
  const ask = (shard: Shard, deadline: AbortSignal): Promise<GroupsAnswer> => shard.ask((pod, wanted) => pod.groups(canonicals, { signal: wanted, requestId, timeoutMs }), deadline);
  return fanOut({ shards: canonicals.length > 0 ? answers.map(({ shard }) => shard) : [], ask, timeoutMs, signal });
}

/** A shard that answered, but then did not say what it holds of the groups, is missing from the answer: what it holds is not counted. */
function without(asked: FanOutResult<Shard, IndexAnswer>, { failures }: FanOutResult<Shard, GroupsAnswer>): FanOutResult<Shard, IndexAnswer> {
  const failed = new Set(failures.map(({ shard }) => shard));
  return { answers: asked.answers.filter(({ shard }) => !failed.has(shard)), failures: [...asked.failures, ...failures] };
}

async function toQuery(request: SearchRequest, { limits }: SearchParts): Promise<Query> {
  const { model, input, requestId, signal } = request;
  if (!('id' in input)) {
    const { embedding: { vector, modelVersion, sha256: id, width, height }, isCached } = await model.embedder.embed(input, { signal, requestId });
    return { vector, modelVersion, image: { id, width, height }, isCached };
  }
  const shard = ownerOf(input.id, model.shards);
  const timeoutError = (): EisError => new EisError('EIS_SHARD_TIMEOUT', { shard: shard.name, timeoutMs: limits.indexTimeoutMs });
  const answer = await withDeadline({ timeoutMs: limits.indexTimeoutMs, parent: signal, timeoutError }, (deadline) => shard.ask((pod, wanted) => pod.vector(input.id, { signal: wanted, requestId, timeoutMs: limits.indexTimeoutMs }), deadline));
  return { vector: Float32Array.from(answer.vector), modelVersion: answer.model_version, image: toSearchedImage(answer), isCached: false, self: input.id };
}

function toSearchedImage({ id, urls, width, height, metadata }: VectorAnswer): SearchedImage {
  return { id, ...(urls && { url: browserUrl(id, urls), urls }), ...(width && { width }), ...(height && { height }), ...(metadata && { metadata }) };
}

/** The shard that owns an id's slot. */
function ownerOf(id: string, shards: readonly Shard[]): Shard {
  const slot = slotOf(id);
  return shards.find((_shard, i) => slot < slotRange(i, shards.length).end) as Shard; // the last range ends behind every slot
}

/**
 * How many hits every shard is asked for, and how many are kept. An image that is not its own result takes one place in
 * its own shard's answer; no shard may be asked for more than `topMax`, so one less is kept then, and the ranking is exact.
 */
function toDepth(top: number, { self }: Query, { topMax }: Limits): { readonly ask: number; readonly keep: number } {
  if (self === undefined) return { ask: top, keep: top };
  const ask = Math.min(top + 1, topMax);
  return { ask, keep: ask - 1 };
}

/** Counts and logs every failed shard. */
function noteShards({ model, requestId }: SearchRequest, { failures }: Pick<FanOutResult<Shard, unknown>, 'failures'>, { metrics, log }: SearchParts): void {
  for (const { shard, error } of failures) {
    metrics.shardFailed(model.name, shard.name, error.code);
    log.warn({ reqId: requestId, model: model.name, shard: shard.name, code: error.code, err: error.cause }, 'a shard failed');
  }
}

/** Notes every failed shard. @throws EisError when no shard is left */
function noteFailures(request: SearchRequest, asked: FanOutResult<Shard, IndexAnswer>, parts: SearchParts): void {
  noteShards(request, asked, parts);
  const { model } = request;
  const { answers, failures } = asked;
  const [first] = failures;
  if (answers.length > 0 || !first) return;
  if (failures.every(({ error }) => error.code === 'EIS_MODEL_VERSION')) throw first.error;
  throw new EisError('EIS_SEARCH_UNAVAILABLE', { model: model.name, shards: failures.length, codes: failures.map(({ error }) => error.code) }, { retryAfterS: 1 });
}

function toResult({ id, score, urls, width, height, metadata }: IndexHit): SearchResult {
  return { id, score: Math.max(-1, Math.min(1, score)), url: browserUrl(id, urls), urls, width, height, ...(metadata && { metadata }) };
}

/** Milliseconds to the microsecond. */
function toMs(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

interface Findings {
  readonly model: string;
  readonly query: Query;
  readonly asked: FanOutResult<Shard, IndexAnswer>;
  readonly results: SearchResult[];
  readonly timings: Timings;
}

function toAnswer({ model, query, asked: { answers, failures }, results, timings }: Findings): SearchAnswer {
  return {
    model,
    model_version: query.modelVersion,
    query: query.image,
    results,
    shards: { total: answers.length + failures.length, ok: answers.length, failed: failures.map(({ shard, error }) => ({ shard: shard.name, code: error.code })) },
    partial: failures.length > 0,
    index: { vectors: answers.reduce((sum, { answer }) => sum + answer.vectors, 0), freshness_s: Math.max(0, ...answers.map(({ answer }) => answer.freshness_s)) },
    timings_ms: timings,
  };
}
