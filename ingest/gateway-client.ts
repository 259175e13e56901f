/**
 * The gateway as `eis ingest` sees it. Requests are repeated while the gateway, or what lies behind it, restarts: under
 * one submission that changes nothing but the time it takes.
 */
import { fetch, type FormData } from 'undici';
import { EisError, relayError } from '../common/errors.js';
import type { IngestAnswer, LedgerAnswer } from '../common/wire.js';
import { backoffMs, wait, type Backoff } from '../common/backoff.js';

const RETRIED_STATUS = new Set([429, 502, 503, 504]);
const REQUEST_TIMEOUT_MS = 60_000;

export interface Patience {
  /** Time without an answer before the gateway counts as not there: at first, and once it has answered. */
  readonly firstMs: number;
  readonly laterMs: number;
  readonly backoff: Backoff;
}

export const DEFAULT_PATIENCE: Patience = { firstMs: 5_000, laterMs: 60_000, backoff: { baseMs: 250, capMs: 3_000 } };

export interface GatewayClientOptions {
  readonly gatewayUrl: string;
  /** Undefined: it is asked without one. */
  readonly apiKey?: string | undefined;
  readonly submission: string;
  readonly signal: AbortSignal;
  readonly patience: Patience;
}

export type IngestBody = { readonly form: () => FormData } | { readonly urls: readonly (string | { readonly url: string; readonly metadata: object })[] };

export class GatewayClient {
  readonly #options: GatewayClientOptions;
  #hasAnswered = false;
  #progressAt = 0;

  constructor(options: GatewayClientOptions) {
    this.#options = options;
  }

  /** Sends images under the submission; see `#persist` for what it throws. */
  send(body: IngestBody): Promise<IngestAnswer> {
    return this.#persist('/images', {}, () =>
      'form' in body ? { method: 'POST', body: body.form() } : { method: 'POST', body: JSON.stringify({ urls: body.urls }), headers: { 'content-type': 'application/json' } },
    );
  }

  /** A page of the submission's entries in the ledger. */
  ledger(query: Readonly<Record<string, string>>): Promise<LedgerAnswer & { readonly counts: NonNullable<LedgerAnswer['counts']> }> {
    return this.#persist('/images', query, () => ({ method: 'GET' }));
  }

  /**
   * @throws EisError what the gateway answered; EIS_GATEWAY_UNREACHABLE, or its last answer, when it cannot serve for
   *   as long as there is patience; the signal's reason
   */
  async #persist<T>(path: string, query: Readonly<Record<string, string>>, init: () => { method: string; body?: FormData | string; headers?: Record<string, string> }): Promise<T> {
    const { gatewayUrl, submission, signal, patience } = this.#options;
    const url = `${gatewayUrl.replace(/\/+$/, '')}${path}?${new URLSearchParams({ submission, ...query }).toString()}`;
    const startedAt = Date.now();
    for (let failures = 1; ; failures++) {
      const attempt = await this.#try<T>(url, init());
      if ('answer' in attempt) return attempt.answer;
      const patienceMs = this.#hasAnswered ? patience.laterMs : patience.firstMs;
      if (Date.now() - Math.max(startedAt, this.#progressAt) > patienceMs) throw attempt.error;
      const waitMs = Math.min(backoffMs(patience.backoff, failures, attempt.error.retryAfterS), patienceMs);
      await wait(waitMs, signal);
    }
  }

  /** One request: its answer, or an error that may pass. */
  async #try<T>(url: string, init: { method: string; body?: FormData | string; headers?: Record<string, string> }): Promise<{ answer: T } | { error: EisError }> {
    const { signal, gatewayUrl, apiKey } = this.#options;
    const headers = { ...init.headers, ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }) };
    const unreachable = (cause: unknown): EisError => new EisError('EIS_GATEWAY_UNREACHABLE', { url: gatewayUrl }, { cause });
    let response: Awaited<ReturnType<typeof fetch>>;
    let body: unknown;
    try {
      response = await fetch(url, { ...init, headers, signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]) });
      body = await response.json();
    } catch (cause) {
      signal.throwIfAborted();
      return { error: unreachable(cause) };
    }
    if (response.ok) {
      this.#hasAnswered = true;
      this.#progressAt = Date.now();
      return { answer: body as T };
    }
    const retryAfterS = Number(response.headers.get('retry-after') ?? Number.NaN);
    const error = relayError(body, Number.isFinite(retryAfterS) ? { retryAfterS } : {}) ?? unreachable(new Error(`status ${response.status}`));
    if (RETRIED_STATUS.has(response.status)) return { error };
    throw error;
  }
}
