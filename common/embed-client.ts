/**
 * Calls the function that embeds images, for the gateway and the workers alike. One call is one attempt: POST is not
 * repeated here, because only the caller knows its deadline and what it holds (a search gives up, a worker waits).
 */
import { Pool, errors as undiciErrors, type Dispatcher } from 'undici';
import { withDeadline } from './deadline.js';
import { EisError, isEisError, relayError } from './errors.js';
import { BACKGROUND, HEADERS } from './headers.js';
import { callWithToken, identityTokensOf, type IdentityTokens } from './identity-token.js';
import { readResponse, tryParseJson } from './read-bounded.js';
import { traceHeaders } from './trace-context.js';
import { withSpan, type Span, type SpanStart } from './tracing.js';
import { decodeVector } from './vector.js';
import type { Embedding } from './wire.js';

/** An image as the function takes it. */
export type EmbedInput = { readonly bytes: Uint8Array } | { readonly url: string };

export interface EmbedCall {
  readonly signal?: AbortSignal;
  readonly requestId?: string;
  /** Where less than the client's own is left. */
  readonly timeoutMs?: number;
  /** Nobody waits for it: the function takes it only while it has room for many more. */
  readonly isBackground?: boolean;
}

export interface EmbedClient {
  /**
   * The embedding of an image. The function is told how much time it has.
   *
   * @throws EisError what the function answered, in its own words; EIS_FUNCTION_UNAVAILABLE, EIS_FUNCTION_TIMEOUT or
   *   EIS_FUNCTION_RESPONSE when it did not answer, or not with an embedding
   */
  embed(input: EmbedInput, options?: EmbedCall): Promise<Embedding>;
  close(): Promise<void>;
}

export interface EmbedClientOptions {
  readonly model: string;
  readonly url: string;
  readonly timeoutMs: number;
  /** Connections kept to the function; requests beyond them wait. */
  readonly connections: number;
  /** Default: those that the address asks for. */
  readonly tokens?: IdentityTokens | undefined;
}

/** Bytes of an answer that is read: an embedding of 16,384 numbers, or an error. */
const ANSWER_BYTES_MAX = 256 * 1024;

export function createEmbedClient({ model, url, timeoutMs: timeoutMsMax, connections, tokens = identityTokensOf(url) }: EmbedClientOptions): EmbedClient {
  const target = new URL(url);
  const pool = new Pool(target.origin, { connections, headersTimeout: timeoutMsMax, bodyTimeout: timeoutMsMax, connect: { timeout: Math.min(timeoutMsMax, 2_000) } });
  const start: SpanStart = { name: 'embed', kind: 'client', attributes: { 'http.request.method': 'POST', 'eis.model': model }, peer: url };

  async function call(input: EmbedInput, { signal, requestId, timeoutMs: timeoutMsLeft = timeoutMsMax, isBackground = false }: EmbedCall, span: Span): Promise<Embedding> {
    const timeoutMs = Math.min(timeoutMsMax, timeoutMsLeft);
    try {
      return await withDeadline({ timeoutMs, parent: signal, timeoutError: () => new EisError('EIS_FUNCTION_TIMEOUT', { model, timeoutMs }) }, async (deadline) => {
        const response = await callWithToken(tokens, deadline, (authorization) => pool.request({
          method: 'POST',
          path: target.pathname,
          headers: {
            accept: 'application/octet-stream',
            'content-type': 'bytes' in input ? 'application/octet-stream' : 'application/json',
            [HEADERS.timeout]: String(timeoutMs),
            ...authorization,
            ...(isBackground && { [HEADERS.priority]: BACKGROUND }),
            ...(requestId === undefined ? {} : { [HEADERS.requestId]: requestId }),
            ...traceHeaders(),
          },
          body: 'bytes' in input ? input.bytes : JSON.stringify({ url: input.url }),
          signal: deadline,
        }));
        span.answered(response.statusCode);
        const body = await readResponse(response.body, ANSWER_BYTES_MAX);
        if (!body) throw new EisError('EIS_FUNCTION_RESPONSE', { model, detail: `more than ${ANSWER_BYTES_MAX} bytes.` });
        if (response.statusCode !== 200) throw toFunctionError(model, response, body);
        return decodeAnswer(model, response, body);
      });
    } catch (thrown) {
      throw signal?.aborted && !isEisError(thrown) ? signal.reason : explain(thrown, { model, timeoutMs });
    }
  }

  return {
    embed: (input, options = {}) => withSpan(start, (span) => call(input, options, span)),
    close: () => pool.close(),
  };
}

function explain(thrown: unknown, { model, timeoutMs }: { readonly model: string; readonly timeoutMs: number }): EisError {
  if (isEisError(thrown)) return thrown;
  if (isTimeout(thrown)) return new EisError('EIS_FUNCTION_TIMEOUT', { model, timeoutMs }, { cause: thrown });
  return new EisError('EIS_FUNCTION_UNAVAILABLE', { model }, { cause: thrown, retryAfterS: 1 });
}

function isTimeout(thrown: unknown): boolean {
  return thrown instanceof undiciErrors.HeadersTimeoutError || thrown instanceof undiciErrors.BodyTimeoutError;
}

function toFunctionError(model: string, response: Dispatcher.ResponseData, body: Buffer): EisError {
  const retryAfterS = Number(response.headers['retry-after']);
  const options = Number.isFinite(retryAfterS) && response.headers['retry-after'] !== undefined ? { retryAfterS } : {};
  const relayed = relayError(tryParseJson(body), options);
  if (relayed) return relayed;
  if (response.statusCode === 429) return new EisError('EIS_OVERLOADED', { detail: `The function of model ${model} is at its capacity.` }, options);
  if (response.statusCode >= 500) return new EisError('EIS_FUNCTION_UNAVAILABLE', { model }, { ...options, cause: new Error(`status ${response.statusCode}`) });
  if (response.statusCode === 401 || response.statusCode === 403) return new EisError('EIS_FUNCTION_UNAVAILABLE', { model }, { cause: new Error(`status ${response.statusCode}: the function does not let this caller in. Its account needs the role roles/run.invoker, and the function's address must be its own: tokens are for that.`) });
  return new EisError('EIS_FUNCTION_RESPONSE', { model, detail: `status ${response.statusCode}.` });
}

function decodeAnswer(model: string, response: Dispatcher.ResponseData, body: Buffer): Embedding {
  const header = (name: string): string => {
    const value = response.headers[name];
    if (typeof value !== 'string') throw new EisError('EIS_FUNCTION_RESPONSE', { model, detail: `no header ${name}.` });
    return value;
  };
  const vector = decodeVector(body);
  if (vector.length !== Number(header(HEADERS.dim))) throw new EisError('EIS_FUNCTION_RESPONSE', { model, detail: `${vector.length} numbers where ${header(HEADERS.dim)} were announced.` });
  return {
    model: header(HEADERS.model),
    modelVersion: header(HEADERS.modelVersion),
    vector,
    sha256: header(HEADERS.sha256),
    phash: header(HEADERS.phash),
    width: Number(header(HEADERS.width)),
    height: Number(header(HEADERS.height)),
    format: header(HEADERS.format),
    timingsMs: JSON.parse(header(HEADERS.timings)) as Embedding['timingsMs'],
  };
}
