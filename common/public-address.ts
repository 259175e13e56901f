/** Which IP addresses belong to the public internet. Everything else may be a machine that trusts its neighbours. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** What `ipaddr.js` has no name for, or may name otherwise one day; most carry an IPv4 address that a gateway unwraps. */
const REFUSED = [
  '0.0.0.0/8', // this network
  '100.64.0.0/10', // carrier-grade NAT
  '168.63.129.16/32', // what a virtual machine of Azure asks about itself: of a public range, but answered by its host
  '192.0.0.0/24', // protocol assignments
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // multicast tunnelling
  '192.88.99.0/24', // 6to4 relays
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarking
  '240.0.0.0/4', // reserved
  '64:ff9b::/96', // NAT64
  '64:ff9b:1::/48', // NAT64, local use
  '2001::/23', // Teredo and other protocol assignments
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
].map((range): Range => ipaddr.parseCIDR(range));

/** The part of IPv6 from which public addresses are given out (RFC 4291); loopback, ULA, mapped… lie outside. */
const GLOBAL_UNICAST: Range = ipaddr.parseCIDR('2000::/3');

/** Interface identifiers of ISATAP (RFC 5214), which carry an IPv4 address, whatever the prefix. */
const ISATAP = new Set([0x0000_5efe, 0x0200_5efe]);

/**
 * CIDR ranges. The address of one is written out in full: what other notations mean (is 010.0.0.0 ten or eight, is 10/8 ten
 * or 0.0.0.10) differs from reader to reader.
 *
 * @throws Error when one is no CIDR range
 */
export function parseRanges(ranges: readonly string[]): Range[] {
  return ranges.map((range) => {
    if (range.includes('%') || isIP(range.split('/', 1)[0] as string) === 0) throw new Error(`${range} is not a CIDR range.`);
    return ipaddr.parseCIDR(range);
  });
}

/** Whether an address is of one of the ranges; an IPv4 address wrapped in IPv6 is not of an IPv4 range. */
function isWithin(address: ipaddr.IPv4 | ipaddr.IPv6, ranges: readonly Range[]): boolean {
  return ranges.some(([base, bits]) => address.kind() === base.kind() && address.match(base, bits));
}

/**
 * Whether an IP address is public, or of one of the `allowed` ranges; and of none of the `denied` ones, which reach into
 * IPv4 addresses mapped into IPv6, too: a system dials those as what they are. False for what is no IP address.
 */
export function isDialable(text: string, allowed: readonly Range[], denied: readonly Range[] = []): boolean {
  if (isIP(text) === 0 || text.includes('%')) return false;
  const address = ipaddr.parse(text);
  if (isWithin(address, denied) || isWithin(ipaddr.process(text), denied)) return false;
  if (isWithin(address, allowed)) return true;
  if (address.range() !== 'unicast' || isWithin(address, REFUSED)) return false;
  return address.kind() === 'ipv4' || (isWithin(address, [GLOBAL_UNICAST]) && !isIsatap(address as ipaddr.IPv6));
}

function isIsatap(address: ipaddr.IPv6): boolean {
  const [high = 0, low = 0] = address.parts.slice(4, 6);
  return ISATAP.has(high * 0x1_0000 + low);
}

/** The host of a URL without the brackets that an IPv6 address stands in there. */
export function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** Whether a name means this machine, whatever a name server says of it: `localhost`, and every name under it (RFC 6761, 6.3). */
export function isLocalName(hostname: string): boolean {
  return /(^|\.)localhost\.?$/i.test(hostname);
}

/** Whether the host of a URL is this machine, by name or by address. */
export function isThisMachine(hostname: string): boolean {
  return isLocalName(hostname) || isLoopback(withoutBrackets(hostname));
}

/** Whether an IP address is this machine's own, also as IPv6 writes an IPv4 one. False for what is no IP address. */
export function isLoopback(text: string): boolean {
  return ipaddr.isValid(text) && ipaddr.process(text).range() === 'loopback';
}
