/** From which hosts and ports images may be fetched, as the operator's settings say. What is not said: `public-address.ts`. */
import { isIP } from 'node:net';
import type { FetchSettings } from './environment.js';
import { EisError } from './errors.js';
import { parseRanges } from './public-address.js';
import type { AddressRange } from './public-dialer.js';

export interface FetchRules {
  readonly allowed: readonly AddressRange[];
  readonly denied: readonly AddressRange[];
  /** Why a URL may not be fetched, by the name of its host and its port; undefined: it may, if its address may. */
  refusal(url: URL): string | undefined;
}

interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** @throws EisError EIS_ENVIRONMENT_INVALID naming the variable, what is wrong with it and what would be right */
export function parseFetchRules({ allow, deny, ports }: FetchSettings): FetchRules {
  const allowed = allow.map((entry) => parseRange('EIS_FETCH_ALLOW', entry));
  const denied = deny.filter(isRange).map((entry) => parseRange('EIS_FETCH_DENY', entry));
  const names = deny.filter((entry) => !isRange(entry)).map(parseName);
  const portRanges = ports.map(parsePorts);
  return {
    allowed,
    denied,
    refusal(url) {
      const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
      if (!portRanges.some(({ from, to }) => port >= from && port <= to)) return `it names port ${port}; images are fetched from ${ports.join(', ')}.`;
      const host = withoutDot(url.hostname);
      return names.some((name) => (name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name)) ? 'nothing is fetched from its host here.' : undefined;
    },
  };
}

function isRange(entry: string): boolean {
  return entry.includes('/');
}

function parseRange(variable: string, entry: string): AddressRange {
  try {
    return parseRanges([entry])[0] as AddressRange;
  } catch (cause) {
    throw invalid(variable, entry, 'a CIDR range such as 10.0.0.0/8', cause);
  }
}

/** A name as URLs carry it: lowercase, its letters in ASCII, without the dot at its end. */
function parseName(entry: string): string {
  const [, wildcard = '', name = ''] = /^(\*\.)?([^*/:@?#[\]\\\s]+)$/.exec(entry) ?? [];
  const host = URL.canParse(`http://${name}/`) ? withoutDot(new URL(`http://${name}/`).hostname) : '';
  if (host === '' || isIP(host) !== 0) throw invalid('EIS_FETCH_DENY', entry, 'a CIDR range such as 203.0.113.7/32 or 2001:db8::/32, a host name, or *. and a host name for every name under it');
  return wildcard + host;
}

function withoutDot(hostname: string): string {
  return hostname.replace(/\.$/, '');
}

function parsePorts(entry: string): PortRange {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(entry) ?? [];
  const range = { from: Number(first), to: Number(last) };
  if (range.from >= 1 && range.to <= 65_535 && range.from <= range.to) return range;
  throw invalid('EIS_FETCH_PORTS', entry, 'a port from 1 to 65535 or a range of them such as 8000-8999');
}

function invalid(variable: string, entry: string, right: string, cause?: unknown): EisError {
  return new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `${JSON.stringify(entry)} is not ${right}. Separate several by commas.` }, { cause });
}
