/**
 * Fetches an image from a URL that a stranger chose. Only http and https, on any port, without a user name or password;
 * only public addresses; bounded in bytes, in time and in redirects.
 *
 * The address is judged when it is dialled, not before: a name may answer another address the second time it is asked.
 * Names are judged by a lookup that refuses when any of their addresses is not public; IP literals, for which Node asks
 * no lookup, before connecting; and whatever was connected to once more by its remote address. A redirect is a new URL
 * and goes the whole way again.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, request, type Dispatcher } from 'undici';
import { EisError, isEisError } from './errors.js';
import type { Limits } from './limits.js';
import { isDialable, parseRanges } from './public-address.js';
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

/** Every address of a name. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface SafeFetchOptions {
  readonly limits: Pick<Limits, 'fetchTimeoutMs' | 'fetchRedirectsMax' | 'imageBytesMax' | 'urlLengthMax'>;
  /** CIDR ranges that may be fetched from although they are not public. */
  readonly allow: readonly string[];
  /** Default: the system's. */
  readonly resolve?: ResolveName;
}

type Range = ReturnType<typeof parseRanges>[number];

const HEADERS = { accept: 'image/*,*/*;q=0.5', 'accept-encoding': 'identity', 'user-agent': 'elastic-image-search' };
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Answers that another attempt may not get. */
const TRANSIENT = new Set([408, 429]);

/** @throws EisError EIS_ENVIRONMENT_INVALID when `allow` holds something else than CIDR ranges */
export function createSafeFetch(options: SafeFetchOptions): SafeFetch {
  const { limits } = options;
  const agent = new Agent({
    connect: createConnector(readAllowed(options.allow), options.resolve ?? resolveBySystem, limits.fetchTimeoutMs),
    headersTimeout: limits.fetchTimeoutMs,
    bodyTimeout: limits.fetchTimeoutMs,
    maxResponseSize: -1,
    keepAliveTimeout: 1_000,
  });
  return {
    async fetch(url, { signal } = {}) {
      const deadline = AbortSignal.timeout(limits.fetchTimeoutMs);
      try {
        return await follow(checkUrl(url, limits.urlLengthMax), { agent, limits, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
      } catch (thrown) {
        if (isEisError(thrown)) throw thrown;
        if (signal?.aborted) throw signal.reason;
        if (deadline.aborted || /Timeout/.test((thrown as Error).name)) throw new EisError('EIS_URL_TIMEOUT', { timeoutMs: limits.fetchTimeoutMs }, { cause: thrown });
        throw new EisError('EIS_URL_FAILED', { detail: describeFailure(thrown) }, { cause: thrown });
      }
    },
    close: () => agent.destroy(),
  };
}

function readAllowed(allow: readonly string[]): Range[] {
  try {
    return parseRanges(allow);
  } catch (cause) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'EIS_FETCH_ALLOW', detail: `${JSON.stringify(allow.join(','))} is not a list of CIDR ranges such as 10.0.0.0/8, separated by commas.` }, { cause });
  }
}

function checkUrl(text: string, lengthMax: number): URL {
  if (text.length > lengthMax) throw new EisError('EIS_URL_INVALID', { detail: `The URL has ${text.length} characters; at most ${lengthMax} are accepted.` });
  if (!URL.canParse(text)) throw new EisError('EIS_URL_INVALID', { detail: 'That is not a URL.' });
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new EisError('EIS_URL_FORBIDDEN', { detail: `${url.protocol} URLs are not fetched here; http:// and https:// ones are.` });
  if (url.username !== '' || url.password !== '') throw new EisError('EIS_URL_FORBIDDEN', { detail: 'it carries a user name or password. Leave them out.' });
  return url;
}

// ── Dialling ────────────────────────────────────────────────────────────────────────────────────────────────────────

function refused(): EisError {
  return new EisError('EIS_URL_FORBIDDEN', { detail: 'its host is not at a public address.' });
}

function createConnector(allowed: readonly Range[], resolve: ResolveName, timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ lookup: createLookup(allowed, resolve), timeout: timeoutMs });
  return (options, callback) => {
    const host = options.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0 && !isDialable(host, allowed)) return callback(refused(), null);
    return connect(options, (...[error, socket]: Parameters<buildConnector.Callback>) => {
      if (error !== null) return callback(error, null);
      if (isDialable(socket.remoteAddress ?? '', allowed)) return callback(null, socket);
      socket.destroy();
      return callback(refused(), null);
    });
  };
}

/** A lookup for `net.connect` that fails when any address of the name is not public. */
function createLookup(allowed: readonly Range[], resolve: ResolveName): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (!first || !addresses.every(({ address }) => isDialable(address, allowed))) callback(refused(), '', 0);
        else if (options.all === true) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}

function resolveBySystem(hostname: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });
}

// ── Fetching ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Context {
  readonly agent: Agent;
  readonly limits: SafeFetchOptions['limits'];
  readonly signal: AbortSignal;
}

async function follow(first: URL, { agent, limits, signal }: Context): Promise<Buffer> {
  let url = first;
  for (let redirects = 0; redirects <= limits.fetchRedirectsMax; redirects++) {
    const response = await request(url, { dispatcher: agent, headers: HEADERS, signal });
    const location = response.headers['location'];
    if (!REDIRECTS.has(response.statusCode) || typeof location !== 'string') return readImage(response, limits.imageBytesMax);
    abandonResponse(response.body);
    if (!URL.canParse(location, url.href)) throw new EisError('EIS_URL_FAILED', { detail: 'its host redirects to something that is not a URL.' });
    url = checkUrl(new URL(location, url).href, limits.urlLengthMax);
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
