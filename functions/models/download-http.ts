/**
 * Opens the URLs of models: through proxies, over redirects, and without letting a host lead us to where it should not.
 *
 * The operator chose the first URL, so its host may be at any address. A redirect to another host or port must lead to a
 * public one, judged where it is dialled. Where a proxy dials it, only IP addresses written in the URL can be judged:
 * what a name means is then up to the proxy, and so is what may be reached through it.
 */
import { EnvHttpProxyAgent, buildConnector, request, type Dispatcher } from 'undici';
import type { ProxySettings } from '../../common/environment.js';
import { unlessAborted } from '../../common/deadline.js';
import { parseRanges } from '../../common/public-address.js';
import { createPublicConnector, isPrivateLiteral, type AddressRange } from '../../common/public-dialer.js';
import { abandonResponse } from '../../common/read-bounded.js';
import { TransferFailure, displayUrl } from './download-failure.js';

export interface ModelHttpOptions {
  /** Chosen by the operator; its user name and password go to its origin alone. */
  readonly first: URL;
  readonly proxy: ProxySettings | undefined;
  /** CIDR ranges that redirects may lead to although they are not public. */
  readonly redirectAllow: readonly string[];
}

export interface ModelHttp {
  /**
   * The answer at the end of the redirects, its body unread.
   *
   * @throws TransferFailure about redirects; else what undici throws, or the signal's reason
   */
  open(url: URL, options: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal }): Promise<Dispatcher.ResponseData>;
  close(): Promise<void>;
}

const HEADERS = { 'accept-encoding': 'identity', 'user-agent': 'elastic-image-search' };
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const REDIRECTS_MAX = 5;
const CONNECT_TIMEOUT_MS = 10_000;

class NotPublic extends Error {}

export function createModelHttp({ first, proxy, redirectAllow }: ModelHttpOptions): ModelHttp {
  const allowed = parseRanges(redirectAllow);
  const dispatchers = createDispatchers(proxy, allowed);

  async function ask(url: URL, { headers, signal }: Parameters<ModelHttp['open']>[1]): Promise<Dispatcher.ResponseData> {
    const isFirst = isSameHost(url, first);
    if (!isFirst && isPrivateLiteral(url.hostname, allowed)) throw notPublic(url);
    try {
      const asking = request(withoutLogin(url), {
        dispatcher: dispatchers.of(url, isFirst ? 'any' : 'public'),
        headers: { ...HEADERS, ...(url.origin === first.origin ? loginOf(first) : {}), ...headers },
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      return await answerUnlessAborted(asking, signal);
    } catch (thrown) {
      throw thrown instanceof NotPublic ? notPublic(url) : thrown;
    }
  }

  return {
    async open(start, options) {
      let url = start;
      for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
        const response = await ask(url, options);
        const location = response.headers['location'];
        if (!REDIRECTS.has(response.statusCode) || typeof location !== 'string') return response;
        abandonResponse(response.body);
        url = redirected(url, location);
      }
      throw new TransferFailure(`its host redirects more than ${REDIRECTS_MAX} times`, 'Set "model_url" to where the file really lies.');
    },
    close: () => dispatchers.close(),
  };
}

/** undici looks at the signal once there is a connection, which may be never. */
async function answerUnlessAborted(asking: Promise<Dispatcher.ResponseData>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  try {
    return await unlessAborted(asking, signal);
  } finally {
    if (signal.aborted) asking.then(({ body }) => abandonResponse(body), () => undefined);
  }
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to?.protocol !== 'https:' && to?.protocol !== 'http:') throw new TransferFailure('its host redirects to something that is not an http:// or https:// URL', 'Set "model_url" to where the file really lies.');
  if (from.protocol === 'https:' && to.protocol === 'http:') throw new TransferFailure(`its host redirects from https to http (${displayUrl(to)}), where anybody on the way could change the model`, 'Ask its host for an https:// address. If that one is trusted all the same, set "model_url" to it.');
  return to;
}

function notPublic(url: URL): TransferFailure {
  return new TransferFailure(`its host redirects to an address that is not public (${displayUrl(url)})`, 'If that address is trusted, set "model_url" to it.');
}

function isSameHost(one: URL, other: URL): boolean {
  return one.hostname === other.hostname && portOf(one) === portOf(other);
}

function portOf({ port, protocol }: URL): string {
  return port === '' ? (protocol === 'https:' ? '443' : '80') : port;
}

function withoutLogin(url: URL): URL {
  const plain = new URL(url);
  plain.username = '';
  plain.password = '';
  return plain;
}

function loginOf({ username, password }: URL): { readonly authorization?: string } {
  if (username === '' && password === '') return {};
  return { authorization: `Basic ${Buffer.from(`${decode(username)}:${decode(password)}`).toString('base64')}` };
}

/** Percent-encoding undone; the text itself where it is none. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// ── Dialling ────────────────────────────────────────────────────────────────────────────────────────────────────────

type Reach = 'any' | 'public';

/** A dispatcher for each scheme and reach, made when it is first needed. */
function createDispatchers(proxy: ProxySettings | undefined, allowed: readonly AddressRange[]): { of(url: URL, reach: Reach): Dispatcher; close(): Promise<void> } {
  const made = new Map<string, EnvHttpProxyAgent>();
  return {
    of(url, reach) {
      const key = `${reach} ${url.protocol}`;
      const dispatcher = made.get(key) ?? createDispatcher((url.protocol === 'https:' ? proxy?.httpsProxy : proxy?.httpProxy) ?? '', proxy?.noProxy ?? '', connectorFor(reach, allowed));
      made.set(key, dispatcher);
      return dispatcher;
    },
    async close() {
      await Promise.all([...made.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

function connectorFor(reach: Reach, allowed: readonly AddressRange[]): buildConnector.connector {
  return reach === 'any' ? buildConnector({ timeout: CONNECT_TIMEOUT_MS }) : createPublicConnector({ allowed, timeoutMs: CONNECT_TIMEOUT_MS, refuse: () => new NotPublic() });
}

/**
 * Each setting is given, though it be empty: undici looks the missing ones up in the environment. Both schemes are given
 * the one proxy, since undici sends https through HTTP_PROXY when there is no other, which curl does not. http:// URLs
 * are not tunnelled: many proxies allow tunnels to port 443 alone.
 */
function createDispatcher(proxy: string, noProxy: string, connect: buildConnector.connector): EnvHttpProxyAgent {
  return new EnvHttpProxyAgent({ httpProxy: proxy, httpsProxy: proxy, noProxy, proxyTunnel: false, connect, proxyTls: { timeout: CONNECT_TIMEOUT_MS }, requestTls: { timeout: CONNECT_TIMEOUT_MS } });
}
