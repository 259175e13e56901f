/**
 * Where the replicas of a shard are: the addresses that are named, and every address that a named host stands for (a
 * headless service has one for each pod), asked again every few seconds, as pods come and go.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { withoutBrackets } from '../common/public-address.js';

/** Every IP address of a host. */
export type ResolveHost = (hostname: string) => Promise<readonly string[]>;

export interface ShardAddressesOptions {
  /** URLs of the replicas. */
  readonly urls: readonly string[];
  /** Told of the URLs of all replicas, with IP addresses, whenever they may have changed. */
  readonly onAddresses: (urls: readonly string[]) => void;
  /** Told of a host that could not be resolved: what was known of it stays. */
  readonly onFailed: (hostname: string, error: unknown) => void;
  readonly refreshMs: number;
  readonly resolve?: ResolveHost;
}

export class ShardAddresses {
  readonly #options: Required<ShardAddressesOptions>;
  /** By URL. */
  readonly #known = new Map<string, readonly string[]>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: ShardAddressesOptions) {
    this.#options = { resolve: resolveBySystem, ...options };
  }

  /** Resolves once every host was asked, whether it is known or not. To be called once. */
  async start(): Promise<void> {
    await this.#refresh();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #refresh(): Promise<void> {
    const { urls, onAddresses, refreshMs } = this.#options;
    const named = urls.filter(isNamed);
    await Promise.all(named.map((url) => this.#resolve(url)));
    if (this.#isClosed) return;
    onAddresses(urls.flatMap((url) => (isNamed(url) ? (this.#known.get(url) ?? []) : [url])));
    if (named.length > 0) this.#timer = setTimeout(() => void this.#refresh(), refreshMs).unref();
  }

  async #resolve(url: string): Promise<void> {
    try {
      this.#known.set(url, await replicasAt(url, this.#options.resolve));
    } catch (error) {
      this.#options.onFailed(new URL(url).hostname, error);
    }
  }
}

/**
 * The URL of every replica that a URL stands for, as they are now.
 *
 * @throws Error when its host has no address, or the name service fails
 */
export async function replicasAt(url: string, resolve: ResolveHost = resolveBySystem): Promise<readonly string[]> {
  if (!isNamed(url)) return [url];
  const { hostname } = new URL(url);
  const addresses = await resolve(hostname);
  if (addresses.length === 0) throw new Error(`${hostname} has no address.`);
  return [...addresses].sort().map((address) => withHost(url, address));
}

/**
 * Whether a URL names its host. `https` stays as it is: its certificate is of the name, so a balancer stands behind it.
 */
function isNamed(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && hostname !== 'localhost' && isIP(withoutBrackets(hostname)) === 0;
}

function withHost(url: string, address: string): string {
  const target = new URL(url);
  target.hostname = isIP(address) === 6 ? `[${address}]` : address;
  return target.href.replace(/\/+$/, '');
}

async function resolveBySystem(hostname: string): Promise<readonly string[]> {
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}
