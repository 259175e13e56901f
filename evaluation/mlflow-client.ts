/**
 * Calls of an MLflow tracking server by its REST API 2.0 (mlflow/protos/service.proto, mlflow_artifacts.proto): JSON in and
 * out, errors as `{ error_code, message }`. What may pass is tried again, as MLflow's own client does (408, 429, 500, 502,
 * 503, 504, no connection, no answer in time).
 */
import { request } from 'undici';
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import { withDeadline } from '../common/deadline.js';
import { readResponse, tryParseJson } from '../common/read-bounded.js';

export interface MlflowServer {
  /** Of the server, without credentials. */
  readonly url: string;
  /** What the Authorization header says; undefined: none is sent. */
  readonly authorization: string | undefined;
}

/** The server refuses a call, or does not answer it; the message is for a person. */
export class MlflowFailure extends Error {
  /** @param code of the server: `RESOURCE_DOES_NOT_EXIST`; undefined: it did not answer */
  constructor(message: string, readonly code?: string) {
    super(message);
    this.name = 'MlflowFailure';
  }
}

const PASSING_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const ATTEMPTS_MAX = 4;
const ATTEMPT_TIMEOUT_MS = 10_000;
const BACKOFF: Backoff = { baseMs: 250, capMs: 4_000 };
/** A run with its parameters and metrics is the longest. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Below /api/2.0, with its query. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly content: string | Buffer };
}

export class MlflowClient {
  /** @param signal ends what is under way, and all waiting */
  constructor(private readonly server: MlflowServer, private readonly signal: AbortSignal) {}

  /** @throws MlflowFailure; the signal's reason */
  get<T>(path: string, query: Readonly<Record<string, string>>): Promise<T> {
    return this.#call<T>({ method: 'GET', path: `${path}?${new URLSearchParams(query).toString()}` });
  }

  /** @throws MlflowFailure; the signal's reason */
  post<T>(path: string, message: object): Promise<T> {
    return this.#call<T>({ method: 'POST', path, body: { type: 'application/json', content: JSON.stringify(message) } });
  }

  /**
   * Puts a file where the server passes artifacts on to their store.
   *
   * @param path below the root of the artifacts
   * @throws MlflowFailure; the signal's reason
   */
  async putArtifact(path: string, type: string, content: Buffer): Promise<void> {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    await this.#call({ method: 'PUT', path: `/mlflow-artifacts/artifacts/${encoded}`, body: { type, content } });
  }

  async #call<T>(call: Call): Promise<T> {
    for (let failures = 1; ; failures++) {
      const outcome = await this.#attempt<T>(call);
      if ('value' in outcome) return outcome.value;
      this.signal.throwIfAborted();
      if (!outcome.mayPass || failures >= ATTEMPTS_MAX) throw outcome.failure;
      await wait(backoffMs(BACKOFF, failures, Math.min(outcome.retryAfterS ?? 0, BACKOFF.capMs / 1000)), this.signal);
    }
  }

  async #attempt<T>(call: Call): Promise<{ readonly value: T } | { readonly failure: MlflowFailure; readonly mayPass: boolean; readonly retryAfterS?: number }> {
    const place = call.path.split('?')[0];
    try {
      return await withDeadline({ timeoutMs: ATTEMPT_TIMEOUT_MS, parent: this.signal, timeoutError: () => new MlflowFailure(`no answer to ${place} within ${ATTEMPT_TIMEOUT_MS / 1000} s`) }, async (signal) => {
        const answer = await request(`${this.server.url}/api/2.0${call.path}`, { method: call.method, headers: this.#headers(call), body: call.body?.content ?? null, signal });
        const value = tryParseJson((await readResponse(answer.body, ANSWER_BYTES_MAX)) ?? '');
        if (answer.statusCode === 200 && typeof value === 'object' && value !== null) return { value: value as T };
        const retryAfterS = Number(answer.headers['retry-after']);
        return { failure: refusal(`${answer.statusCode} to ${place}`, value), mayPass: PASSING_STATUS.has(answer.statusCode), ...(Number.isFinite(retryAfterS) ? { retryAfterS } : {}) };
      });
    } catch (error) {
      return { failure: error instanceof MlflowFailure ? error : new MlflowFailure(`no answer to ${place} (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`), mayPass: true };
    }
  }

  #headers({ body }: Call): Record<string, string> {
    const { authorization } = this.server;
    return { ...(body ? { 'content-type': body.type } : {}), ...(authorization === undefined ? {} : { authorization }) };
  }
}

/** What it says may be long, or of several lines. */
function refusal(what: string, answer: unknown): MlflowFailure {
  const { error_code: code, message } = (answer ?? {}) as { error_code?: unknown; message?: unknown };
  if (typeof code !== 'string') return new MlflowFailure(`${what}, which is no answer of an MLflow server`, '');
  return new MlflowFailure(`${what}: ${code}${typeof message === 'string' ? `, ${message.split('\n')[0]?.slice(0, 200)}` : ''}`, code);
}
