/**
 * One search: its images become a vector (`query-vector.ts`), every shard is asked for its nearest, their hits become one ranking. Only
 * I/O: no pixel and no tensor is touched here. Knows no web framework.
 */
import { EisError, toEisError } from '../common/errors.js';
import type { Filter } from '../common/filter.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import { withSpan } from '../common/tracing.js';
import type { GroupsAnswer, IndexAnswer, IndexHit, SearchAnswer, SearchResult } from '../common/wire.js';
import { browserUrl } from './browser-url.js';
import { withDeadline } from '../common/deadline.js';
import { groupsOf, withDuplicates, type GroupedResult } from './duplicates.js';
import { fanOut, type FanOutResult } from './fan-out.js';
import { mergeTop } from './merge.js';
import { findImages, toQuery, type Query, type QueryImages } from './query-vector.js';
import type { SearchMetrics, Timings } from './search-metrics.js';
import type { Searchable, SearchedModel, Shard } from './served-models.js';

export interface SearchRequest {
  readonly model: Searchable;
  readonly images: QueryImages;
  /** Only images whose metadata match are found. */
  readonly filter?: Filter | undefined;
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

/** Of a search's time, kept for its answer: what some shards found is answered rather than nothing, when others use up the rest. */
const ANSWER_MS = 50;

/** A search in one lane of its model. */
interface LaneRequest extends Omit<SearchRequest, 'model'> {
  readonly model: SearchedModel;
}

/**
 * The search of a gateway.
 *
 * It rejects with what the function answered about an image; EIS_IMAGE_UNKNOWN for an id that is in no shard;
 * EIS_QUERY_CANCELLED when the images cancel each other out;
 * EIS_MODEL_VERSION when every shard holds another version of the model; EIS_SEARCH_UNAVAILABLE when none answered;
 * EIS_SEARCH_TIMEOUT; or the reason of the request's signal.
 */
export function createSearch(parts: SearchParts): Search {
  const { limits, metrics } = parts;
  const timeoutError = (): EisError => new EisError('EIS_SEARCH_TIMEOUT', { timeoutMs: limits.searchTimeoutMs });
  return async (request) => {
    const model = request.model.name;
    try {
      const answer = await withDeadline({ timeoutMs: limits.searchTimeoutMs, parent: request.signal, timeoutError }, (signal) => request.model.inOneLane((lane) => run({ ...request, model: lane, signal }, parts)));
      metrics.searched(model, answer.partial ? 'partial' : 'ok');
      metrics.took(model, answer.timings_ms);
      return answer;
    } catch (thrown) {
      metrics.searched(model, toEisError(thrown).code);
      throw thrown;
    }
  };
}

async function run(request: LaneRequest, parts: SearchParts): Promise<SearchAnswer> {
  const started = performance.now();
  const find = (): ReturnType<typeof findImages> => findImages(request.images, { ...request, limits: parts.limits });
  const found = await find();
  try {
    return await searchShards(request, toQuery(found), { started, parts });
  } catch (thrown) {
    if (!found.some(({ isCached }) => isCached) || toEisError(thrown).code !== 'EIS_MODEL_VERSION') throw thrown;
    request.model.embedder.forgetVersion(); // the model was changed since: the function has to be asked
    return searchShards(request, toQuery(await find()), { started, parts });
  }
}

async function searchShards(request: LaneRequest, query: Query, { started, parts }: { readonly started: number; readonly parts: SearchParts }): Promise<SearchAnswer> {
  const { model, signal, requestId } = request;
  const { indexTimeoutMs, searchTimeoutMs } = parts.limits;
  const embedded = performance.now();
  const timeLeft = (): number => Math.max(1, Math.min(indexTimeoutMs, Math.floor(searchTimeoutMs - ANSWER_MS - (performance.now() - started))));
  const timeoutMs = timeLeft();
  const { top, filter, collapse } = request;
  const search = { vector: query.vector, modelVersion: query.modelVersion, top, filter, collapse, without: query.selves };
  const ask = (shard: Shard, deadline: AbortSignal): Promise<IndexAnswer> => shard.ask((pod, wanted) => pod.search(search, { signal: wanted, requestId, timeoutMs }), deadline);
  const asked = await fanOut({ shards: model.shards, ask, timeoutMs, signal });
  const answered = performance.now();
  noteFailures(request, asked, parts);
  const lists = asked.answers.map(({ answer }) => answer.hits);
  const groupOf = collapse ? ({ id, canonical }: IndexHit): string => canonical ?? id : undefined;
  const found = withSpan({ name: 'merge' }, () => mergeTop({ lists, top, without: query.selves, groupOf }).map((hit): GroupedResult => ({ result: toResult(hit), canonical: collapse ? hit.canonical : undefined })));
  const groups = await askGroups(request, asked, { canonicals: groupsOf(found), without: query.selves, timeoutMs: timeLeft() });
  noteShards(request, groups, parts);
  const results = withDuplicates(found, groups.answers.map(({ answer }) => answer), { imagesMax: parts.limits.duplicatesMax, without: query.selves });
  const merged = performance.now();
  const timings = { embed: toMs(embedded - started), fan_out: toMs(answered - embedded), merge: toMs(merged - answered), total: toMs(merged - started) };
  return toAnswer({ model: model.name, query, asked: without(asked, groups), results, timings });
}

/** What the shards that answered hold of the groups among the results; nobody is asked when there are none. */
function askGroups({ signal, requestId }: LaneRequest, { answers }: FanOutResult<Shard, IndexAnswer>, { canonicals, without, timeoutMs }: { readonly canonicals: readonly string[]; readonly without: ReadonlySet<string>; readonly timeoutMs: number }): Promise<FanOutResult<Shard, GroupsAnswer>> {
  const ask = (shard: Shard, deadline: AbortSignal): Promise<GroupsAnswer> => shard.ask((pod, wanted) => pod.groups(canonicals, { without, signal: wanted, requestId, timeoutMs }), deadline);
  return fanOut({ shards: canonicals.length > 0 ? answers.map(({ shard }) => shard) : [], ask, timeoutMs, signal });
}

/** A shard that answered, but then did not say what it holds of the groups, is missing from the answer: what it holds is not counted. */
function without(asked: FanOutResult<Shard, IndexAnswer>, { failures }: FanOutResult<Shard, GroupsAnswer>): FanOutResult<Shard, IndexAnswer> {
  const failed = new Set(failures.map(({ shard }) => shard));
  return { answers: asked.answers.filter(({ shard }) => !failed.has(shard)), failures: [...asked.failures, ...failures] };
}

/** Counts and logs every failed shard. */
function noteShards({ model, requestId }: LaneRequest, { failures }: Pick<FanOutResult<Shard, unknown>, 'failures'>, { metrics, log }: SearchParts): void {
  for (const { shard, error } of failures) {
    metrics.shardFailed(model.name, shard.name, error.code);
    log.warn({ reqId: requestId, model: model.name, shard: shard.name, code: error.code, err: error.cause }, 'a shard failed');
  }
}

/** Notes every failed shard. @throws EisError when no shard is left */
function noteFailures(request: LaneRequest, asked: FanOutResult<Shard, IndexAnswer>, parts: SearchParts): void {
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
    ...(query.examples.length > 1 ? { examples: [...query.examples] } : {}),
    results,
    shards: { total: answers.length + failures.length, ok: answers.length, failed: failures.map(({ shard, error }) => ({ shard: shard.name, code: error.code })) },
    partial: failures.length > 0,
    index: { vectors: answers.reduce((sum, { answer }) => sum + answer.vectors, 0), freshness_s: Math.max(0, ...answers.map(({ answer }) => answer.freshness_s)) },
    timings_ms: timings,
  };
}
