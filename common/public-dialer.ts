/**
 * Connects to public addresses only. The address is judged when it is dialled, not before: a name may answer another
 * address the second time it is asked. Names are judged by a lookup that refuses when any of their addresses is not
 * public; IP literals, for which Node asks no lookup, before connecting; and whatever was connected to once more by its
 * remote address.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { isDialable, isLocalName, withoutBrackets, type parseRanges } from './public-address.js';

/** For who loads this when it is needed: in a bundle, `import('undici')` has no names, because the package is CommonJS. */
export { Agent, request } from 'undici';

/** Every address of a name. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>;

export type AddressRange = ReturnType<typeof parseRanges>[number];

export interface PublicDialerOptions {
  /** What may be dialled although it is not public. */
  readonly allowed: readonly AddressRange[];
  /** What may not be dialled, public or allowed though it is. Default: none. */
  readonly denied?: readonly AddressRange[];
  /** To connect, TLS included. */
  readonly timeoutMs: number;
  /** Default: the system's. */
  readonly resolve?: ResolveName | undefined;
  /** The error for an address that may not be dialled. */
  readonly refuse: () => Error;
}

/** A connector for undici's agents that fails with `refuse()` where the address is not public. */
export function createPublicConnector(options: PublicDialerOptions): buildConnector.connector {
  const { allowed, denied, refuse } = options;
  const connect = buildConnector({ lookup: createLookup(options), timeout: options.timeoutMs });
  return (target, callback) => {
    if (isPrivateLiteral(target.hostname, allowed, denied)) return callback(refuse(), null);
    return connect(target, (...[error, socket]: Parameters<buildConnector.Callback>) => {
      if (error !== null) return callback(error, null);
      if (isDialable(socket.remoteAddress ?? '', allowed, denied)) return callback(null, socket);
      socket.destroy();
      return callback(refuse(), null);
    });
  };
}

/** Whether a URL's host is an IP address, in brackets or not, that may not be dialled. False for every name. */
export function isPrivateLiteral(hostname: string, allowed: readonly AddressRange[], denied: readonly AddressRange[] = []): boolean {
  const host = withoutBrackets(hostname);
  return isIP(host) !== 0 && !isDialable(host, allowed, denied);
}

/** A lookup for `net.connect` that fails when any address of the name is not public. */
function createLookup({ allowed, denied, resolve = resolveBySystem, refuse }: PublicDialerOptions): LookupFunction {
  return (hostname, options, callback) => {
    resolve(isLocalName(hostname) ? 'localhost' : hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (!first || !addresses.every(({ address }) => isDialable(address, allowed, denied))) callback(refuse(), '', 0);
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
