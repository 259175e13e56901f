/**
 * Fetches an image from a URL that a stranger chose. Only http and https, on the web's ports, without a user name or
 * password; only public addresses, judged when they are dialled; bounded in bytes, in time and in redirects. A redirect is
 * a new URL and goes the whole way again.
 */
import type { Agent, Dispatcher, request as undiciRequest } from 'undici';
import type { FetchSettings } from './environment.js';
import { EisError, isEisError } from './errors.js';
import { parseFetchRules, type FetchRules } from './fetch-rules.js';
import type { Limits } from './limits.js';
import type { ResolveName } from './public-dialer.js';
import { abandonResponse, readResponse } from './read-bounded.js';

export interface SafeFetch {
  /**
   * The bytes that a URL answers with.
   *
   * @throws EisError EIS_URL_INVALID, EIS_URL_FORBIDDEN, EIS_URL_REJECTED (its host answers 4xx, 408 and 429 excepted),
   *   EIS_URL_FAILED, EIS_URL_TIMEOUT, EIS_IMAGE_TOO_LARGE; the signal's reason when it aborts
   */
  fetch(url: string, options?: { readonly signal?: AbortSignal }): Promise<Buffer>;
  close(): Promise<void>;
}

export type { ResolveName };

export interface SafeFetchOptions {
  readonly limits: Pick<Limits, 'fetchTimeoutMs' | 'fetchRedirectsMax' | 'imageBytesMax' | 'urlLengthMax'>;
  readonly from: FetchSettings;
  /** Default: the system's. */
  readonly resolve?: ResolveName;
}

const HEADERS = { accept: 'image/*,*/*;q=0.5', 'accept-encoding': 'identity', 'user-agent': 'elastic-image-search' };
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Answers that another attempt may not get. */
const TRANSIENT = new Set([408, 429]);

/** @throws EisError EIS_ENVIRONMENT_INVALID when a setting cannot be read */
export function createSafeFetch(options: SafeFetchOptions): SafeFetch {
  const { limits } = options;
  const rules = parseFetchRules(options.from);
  let opening: Promise<Client> | undefined;
  return {
    async fetch(url, { signal } = {}) {
      const client = await (opening ??= openClient(options, rules));
      const deadline = AbortSignal.timeout(limits.fetchTimeoutMs);
      try {
        return await follow(url, { ...client, limits, rules, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
      } catch (thrown) {
        if (isEisError(thrown)) throw thrown;
        if (signal?.aborted) throw signal.reason;
        if (deadline.aborted || /Timeout/.test((thrown as Error).name)) throw new EisError('EIS_URL_TIMEOUT', { timeoutMs: limits.fetchTimeoutMs }, { cause: thrown });
        throw new EisError('EIS_URL_FAILED', { detail: describeFailure(thrown) }, { cause: thrown });
      }
    },
    close: async () => (await opening)?.agent.destroy(),
  };
}

interface Client {
  readonly agent: Agent;
  readonly request: typeof undiciRequest;
}

/** Loads the HTTP client, with the first URL: it takes longer than all else that a process which is sent bytes needs for a start. */
async function openClient({ limits, resolve }: SafeFetchOptions, { allowed, denied }: FetchRules): Promise<Client> {
  const [{ Agent, request }, { createPublicConnector }] = await Promise.all([import('undici'), import('./public-dialer.js')]);
  const agent = new Agent({
    connect: createPublicConnector({ allowed, denied, resolve, timeoutMs: limits.fetchTimeoutMs, refuse }),
    headersTimeout: limits.fetchTimeoutMs,
    bodyTimeout: limits.fetchTimeoutMs,
    maxResponseSize: -1,
    keepAliveTimeout: 1_000,
  });
  return { agent, request };
}

function refuse(): EisError {
  return new EisError('EIS_URL_FORBIDDEN', { detail: 'its host is not at a public address, or at one that nothing is fetched from here.' });
}

function checkUrl(text: string, { limits: { urlLengthMax: lengthMax }, rules }: Context): URL {
  if (text.length > lengthMax) throw new EisError('EIS_URL_INVALID', { detail: `The URL has ${text.length} characters; at most ${lengthMax} are accepted.` });
  if (!URL.canParse(text)) throw new EisError('EIS_URL_INVALID', { detail: 'That is not a URL.' });
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new EisError('EIS_URL_FORBIDDEN', { detail: `${url.protocol} URLs are not fetched here; http:// and https:// ones are.` });
  if (url.username !== '' || url.password !== '') throw new EisError('EIS_URL_FORBIDDEN', { detail: 'it carries a user name or password. Leave them out.' });
  const refusal = rules.refusal(url);
  if (refusal !== undefined) throw new EisError('EIS_URL_FORBIDDEN', { detail: refusal });
  return url;
}

// ── Fetching ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Context extends Client {
  readonly limits: SafeFetchOptions['limits'];
  readonly rules: FetchRules;
  readonly signal: AbortSignal;
}

async function follow(first: string, context: Context): Promise<Buffer> {
  const { agent, request, limits, signal } = context;
  let url = checkUrl(first, context);
  for (let redirects = 0; redirects <= limits.fetchRedirectsMax; redirects++) {
    const response = await request(url, { dispatcher: agent, headers: HEADERS, signal });
    const location = response.headers['location'];
    if (!REDIRECTS.has(response.statusCode) || typeof location !== 'string') return readImage(response, limits.imageBytesMax);
    abandonResponse(response.body);
    if (!URL.canParse(location, url.href)) throw new EisError('EIS_URL_FAILED', { detail: 'its host redirects to something that is not a URL.' });
    url = checkUrl(new URL(location, url).href, context);
  }
  throw new EisError('EIS_URL_FAILED', { detail: `it redirects more than ${limits.fetchRedirectsMax} times.` });
}

async function readImage(response: Dispatcher.ResponseData, imageBytesMax: number): Promise<Buffer> {
  const error = refuseAnswer(response, imageBytesMax);
  if (error) {
    abandonResponse(response.body);
    throw error;
  }
  const bytes = await readResponse(response.body, imageBytesMax);
  if (!bytes) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
  return bytes;
}

function refuseAnswer({ statusCode, headers }: Dispatcher.ResponseData, imageBytesMax: number): EisError | undefined {
  if (statusCode >= 400 && statusCode < 500 && !TRANSIENT.has(statusCode)) return new EisError('EIS_URL_REJECTED', { status: statusCode });
  if (statusCode < 200 || statusCode >= 300) return new EisError('EIS_URL_FAILED', { detail: `its host answered ${statusCode}.` });
  if (Number(headers['content-length'] ?? 0) > imageBytesMax) return new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return new EisError('EIS_URL_FAILED', { detail: `its host sent the image encoded (${String(encoding)}) although it was asked not to.` });
  return undefined;
}

function describeFailure(thrown: unknown): string {
  switch ((thrown as NodeJS.ErrnoException).code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its host name is not known.';
    case 'ECONNREFUSED':
      return 'its host refuses connections.';
    default:
      return 'the connection to its host broke off, or was not accepted.';
  }
}
