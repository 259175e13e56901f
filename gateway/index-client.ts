/** Calls one index pod over HTTP. One call is one attempt; `replicas.ts` decides who is asked next. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Pool, type Dispatcher } from 'undici';
import { EisError, isEisError, relayError, type ErrorCode } from '../common/errors.js';
import type { Filter } from '../common/filter.js';
import { HEADERS } from '../common/headers.js';
import { encodeVector } from '../common/vector.js';
import { GroupsAnswer, IndexAnswer, IndexStats, type IndexSearch, ReloadAnswer, VectorAnswer } from '../common/wire.js';
import { readResponse, tryParseJson } from '../common/read-bounded.js';
import { traceHeaders } from '../common/trace-context.js';

/** What every call carries: its deadline as a signal, and the id of the request that it belongs to. */
export interface Call {
  readonly signal: AbortSignal;
  readonly requestId: string;
  /** That the pod has for its answer, told to it; the signal is what ends the call. */
  readonly timeoutMs: number;
}

export interface IndexQuery {
  /** L2-normalised. */
  readonly vector: Float32Array;
  /** Of the model that the vector is of: a pod that holds another must not answer. */
  readonly modelVersion: string;
  readonly top: number;
  /** Only images whose metadata match. */
  readonly filter?: Filter | undefined;
  /** Of each group of near-duplicates only the best. */
  readonly collapse: boolean;
  /** Images that are passed over. */
  readonly without: ReadonlySet<string>;
}

/**
 * Every method rejects with an EisError: what the pod answered where that means something to the caller
 * (EIS_MODEL_VERSION, EIS_IMAGE_UNKNOWN, EIS_NOT_READY…), EIS_SHARD_UNAVAILABLE, EIS_SHARD_RESPONSE, or the signal's reason.
 */
export interface IndexClient {
  search(query: IndexQuery, call: Call): Promise<IndexAnswer>;
  /** What of groups of near-duplicates, named by their canonical ids, is in this shard, but for images that are passed over. */
  groups(canonicals: readonly string[], call: Call & { readonly without: ReadonlySet<string> }): Promise<GroupsAnswer>;
  /** The stored vector of an image of this shard. */
  vector(id: string, call: Call): Promise<VectorAnswer>;
  stats(call: Call): Promise<IndexStats>;
  /** Resolves when the pod says that it can serve. */
  ready(call: Call): Promise<unknown>;
  reload(call: Call): Promise<ReloadAnswer>;
  close(): Promise<void>;
}

export interface IndexClientOptions {
  /** `i/n`, named in errors. */
  readonly shard: string;
  readonly url: string;
  /** Connections kept to the pod; requests beyond them wait. */
  readonly connections: number;
  /** Time to connect; a fraction of a call's, so that a sibling can still be asked. */
  readonly connectTimeoutMs: number;
}

/** Bytes of an answer that is read: 1,000 hits with a few dozen long URLs each. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Codes of a pod that mean the same to the gateway's caller. Any other is the pod's own trouble. */
const RELAYED: ReadonlySet<ErrorCode> = new Set(['EIS_MODEL_VERSION', 'EIS_IMAGE_UNKNOWN', 'EIS_NOT_READY', 'EIS_OVERLOADED', 'EIS_STORE_UNAVAILABLE', 'EIS_VECTOR_INVALID', 'EIS_FILTER_INVALID']);

const isIndexAnswer = Compile(IndexAnswer);
const isGroupsAnswer = Compile(GroupsAnswer);
const isVectorAnswer = Compile(VectorAnswer);
const isIndexStats = Compile(IndexStats);
const isReady = Compile(Type.Object({ status: Type.Literal('ready') }));
const isReloadAnswer = Compile(ReloadAnswer);

interface PodRequest<Answer> {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
  /** What a right answer looks like. */
  readonly answer: { Check(value: unknown): value is Answer };
}

export function createIndexClient({ shard, url, connections, connectTimeoutMs }: IndexClientOptions): IndexClient {
  const target = new URL(url);
  const prefix = target.pathname.replace(/\/$/, '');
  // No timeouts of the pool's own: every call carries its deadline.
  const pool = new Pool(target.origin, { connections, headersTimeout: 0, bodyTimeout: 0, connect: { timeout: connectTimeoutMs } });

  async function call<Answer>({ method, path, headers, body, answer }: PodRequest<Answer>, { signal, requestId, timeoutMs }: Call): Promise<Answer> {
    try {
      const response = await pool.request({ method, path: `${prefix}${path}`, headers: { accept: 'application/json', [HEADERS.requestId]: requestId, [HEADERS.timeout]: String(timeoutMs), ...traceHeaders(), ...headers }, body: body ?? null, signal });
      const value = await readJson(response, shard);
      if (response.statusCode !== 200) throw toShardError(shard, response.statusCode, value);
      if (!answer.Check(value)) throw new EisError('EIS_SHARD_RESPONSE', { shard, detail: `it does not have the shape that ${method} ${path.split('?')[0]} has.` });
      return value;
    } catch (thrown) {
      if (isEisError(thrown)) throw thrown;
      if (signal.aborted) throw signal.reason;
      throw new EisError('EIS_SHARD_UNAVAILABLE', { shard }, { cause: thrown, retryAfterS: 1 });
    }
  }

  return {
    async search({ vector, modelVersion, top, filter, collapse, without }, options) {
      const octets = encodeVector(vector);
      const [type, body] = filter ? ['application/json', toJson(octets, filter)] : ['application/octet-stream', octets];
      const headers = { 'content-type': type, [HEADERS.modelVersion]: modelVersion };
      const path = `/search?top=${top}${collapse ? '&collapse=true' : ''}${without.size > 0 ? `&without=${[...without].join(',')}` : ''}`;
      const answer = await call({ method: 'POST', path, headers, body, answer: isIndexAnswer }, options);
      return requireVersion(answer, modelVersion, shard);
    },
    groups: (canonicals, { without, ...options }) => call({ method: 'POST', path: '/groups', headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify({ canonical: canonicals, without: [...without] })), answer: isGroupsAnswer }, options),
    async vector(id, options) {
      const answer = await call({ method: 'GET', path: `/vectors/${id}`, answer: isVectorAnswer }, options);
      if (answer.vector.length !== answer.dim) throw new EisError('EIS_SHARD_RESPONSE', { shard, detail: `a vector of ${answer.vector.length} numbers where ${answer.dim} were announced.` });
      return answer;
    },
    ready: (options) => call({ method: 'GET', path: '/readyz', answer: isReady }, options),
    stats: (options) => call({ method: 'GET', path: '/stats', answer: isIndexStats }, options),
    reload: (options) => call({ method: 'POST', path: '/reload', answer: isReloadAnswer }, options),
    close: () => pool.close(),
  };
}

function toJson(octets: Buffer, filter: Filter): string {
  return JSON.stringify({ vectors: octets.toString('base64'), filter } satisfies IndexSearch);
}

/** Vectors of two versions cannot be compared: hits of another one are never taken. A shard that holds nothing yet has none. */
function requireVersion(answer: IndexAnswer, asked: string, shard: string): IndexAnswer {
  if (answer.model_version === asked) return answer;
  if (answer.model_version !== '') throw new EisError('EIS_MODEL_VERSION', { held: answer.model_version, asked });
  if (answer.hits.length > 0) throw new EisError('EIS_SHARD_RESPONSE', { shard, detail: 'hits without a model version.' });
  return answer;
}

async function readJson(response: Dispatcher.ResponseData, shard: string): Promise<unknown> {
  const body = await readResponse(response.body, ANSWER_BYTES_MAX);
  if (!body) throw new EisError('EIS_SHARD_RESPONSE', { shard, detail: `more than ${ANSWER_BYTES_MAX} bytes.` });
  return tryParseJson(body);
}

function toShardError(shard: string, statusCode: number, value: unknown): EisError {
  const relayed = relayError(value);
  if (relayed && RELAYED.has(relayed.code)) return relayed;
  if (statusCode >= 500) return new EisError('EIS_SHARD_UNAVAILABLE', { shard }, { cause: relayed ?? new Error(`status ${statusCode}`), retryAfterS: 1 });
  return new EisError('EIS_SHARD_RESPONSE', { shard, detail: `status ${statusCode}.` }, { cause: relayed });
}
