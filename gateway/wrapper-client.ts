/** Streams requests on to the wrapper and its answers back: no body is held, none is looked into. */
import { PassThrough, type Readable } from 'node:stream';
import { Pool } from 'undici';
import { EisError, isEisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import { traceHeaders } from '../common/trace-context.js';
import { withSpan, type Span, type SpanStart } from '../common/tracing.js';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface WrapperRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** As the client sent them; what the wrapper may see is chosen here. */
  readonly headers: Headers;
  readonly body?: Readable | undefined;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

export interface WrapperAnswer {
  readonly statusCode: number;
  /** End-to-end headers only. */
  readonly headers: Headers;
  readonly body: Readable;
}

export interface WrapperClient {
  /**
   * Forwards one request. The request's body is never destroyed, whatever happens: its client has yet to be answered.
   *
   * @throws EisError EIS_WRAPPER_UNAVAILABLE, or the reason of the signal
   */
  forward(request: WrapperRequest): Promise<WrapperAnswer>;
  close(): Promise<void>;
}

export interface WrapperClientOptions {
  readonly url: string;
  /** Requests that are forwarded at once. */
  readonly connections: number;
  /** Time without a byte from the wrapper where it only looks something up. */
  readonly lookupTimeoutMs?: number;
  /** The same after an upload: the wrapper confirms up to 1,000 images in one. */
  readonly uploadTimeoutMs?: number;
}

const LOOKUP_TIMEOUT_MS = 5_000;
const UPLOAD_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 2_000;

/** Request headers that mean something to the wrapper. Credentials, cookies and hop-by-hop headers are not among them. */
const FORWARDED = ['accept', 'content-type', 'content-length', 'content-encoding', 'range', 'if-range', 'if-none-match', 'if-modified-since', HEADERS.submission];

/** Headers that concern one connection only (RFC 9110, section 7.6.1), and the id, which is the gateway's to answer. */
const NOT_RETURNED = new Set(['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', HEADERS.requestId]);

export function createWrapperClient({ url, connections, lookupTimeoutMs = LOOKUP_TIMEOUT_MS, uploadTimeoutMs = UPLOAD_TIMEOUT_MS }: WrapperClientOptions): WrapperClient {
  const target = new URL(url);
  const prefix = target.pathname.replace(/\/$/, '');
  const pool = new Pool(target.origin, { connections, connect: { timeout: CONNECT_TIMEOUT_MS } });
  const describe = (method: string): SpanStart => ({ name: 'forward', kind: 'client', attributes: { 'http.request.method': method }, peer: url });

  async function send({ method, path, headers, body, requestId, signal }: WrapperRequest, span: Span): Promise<WrapperAnswer> {
    const upload = body ? detach(body) : null;
    const silenceMs = method === 'POST' ? uploadTimeoutMs : lookupTimeoutMs;
    try {
      const forwarded = { ...pick(headers, FORWARDED), [HEADERS.requestId]: requestId, ...traceHeaders() };
      const response = await pool.request({ method, path: `${prefix}${path}`, headers: forwarded, body: upload, signal, headersTimeout: silenceMs, bodyTimeout: silenceMs });
      span.answered(response.statusCode);
      response.body.once('close', () => upload?.destroy()); // an answer may come before the end of the upload
      return { statusCode: response.statusCode, headers: endToEnd(response.headers), body: response.body };
    } catch (thrown) {
      upload?.destroy();
      if (isEisError(thrown)) throw thrown;
      if (signal.aborted) throw signal.reason;
      throw new EisError('EIS_WRAPPER_UNAVAILABLE', {}, { cause: thrown, retryAfterS: 1 });
    }
  }

  return {
    forward: (request) => withSpan(describe(request.method), (span) => send(request, span)),
    close: () => pool.close(),
  };
}

/** A copy of a stream that may be destroyed, when the wrapper is gone, without taking the client's connection with it. */
function detach(body: Readable): PassThrough {
  const through = new PassThrough();
  through.once('close', () => {
    body.unpipe(through);
    body.resume(); // what is left is read over, so that the client gets to read its answer
  });
  return body.pipe(through);
}

function pick(headers: Headers, names: readonly string[]): Record<string, string | string[]> {
  return Object.fromEntries(names.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]])));
}

function endToEnd(headers: Headers): Headers {
  const named = String(headers['connection'] ?? '').toLowerCase().split(',').map((name) => name.trim());
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_RETURNED.has(name) && !named.includes(name)));
}
