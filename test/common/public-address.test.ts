import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDialable, parseRanges } from '../../common/public-address.js';

describe('isDialable()', () => {
  it('admits public addresses', () => {
    for (const address of ['8.8.8.8', '93.184.216.34', '172.32.0.1', '100.128.0.1', '2606:2800:220:1:248:1893:25c8:1946', '2a00:1450:4001:82b::200e']) expect(isDialable(address, []), address).toBe(true);
  });

  it('refuses every range that is not of the public internet', () => {
    const refused = [
      '0.0.0.0', '0.1.2.3', '10.0.0.1', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.8', '192.0.2.1', '192.88.99.1', '192.168.1.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255',
      '::', '::1', '::127.0.0.1', '::ffff:8.8.8.8', '::ffff:0:8.8.8.8', '64:ff9b::808:808', '64:ff9b:1::1', '100::1', '2001::1', '2001:db8::1', '2001:2::1', '2001:10::1', '2002:7f00:1::', '3fff::1', '5f00::1', 'fc00::1', 'fd12:3456::1', 'fe80::1', 'fec0::1', 'ff02::1', '2a00:1450::5efe:10.0.0.1', '2a00:1450::200:5efe:10.0.0.1',
      'fe80::1%eth0', 'example.com', '',
    ];
    for (const address of refused) expect(isDialable(address, []), address).toBe(false);
  });

  it('admits what an operator allows, of its own kind only', () => {
    const allowed = parseRanges(['10.0.0.0/8', 'fd00::/8']);
    expect(['10.1.2.3', 'fd00::1'].every((address) => isDialable(address, allowed))).toBe(true);
    expect(['11.0.0.1.5', '192.168.0.1', '::ffff:10.1.2.3', 'fc00::1'].some((address) => isDialable(address, allowed))).toBe(false);
  });

  it('refuses what is denied, though it is public or allowed, and mapped into IPv6 as well', () => {
    const [allowed, denied] = [parseRanges(['10.0.0.0/8', '::ffff:0:0/96']), parseRanges(['10.1.0.0/16', '93.184.216.34/32', '2606::/16'])];
    for (const address of ['10.1.2.3', '93.184.216.34', '2606:2800::1', '::ffff:10.1.2.3', '::ffff:5db8:d822']) expect(isDialable(address, allowed, denied), address).toBe(false);
    for (const address of ['10.2.0.1', '93.184.216.35', '2607::1', '::ffff:10.2.0.1']) expect(isDialable(address, allowed, denied), address).toBe(true);
  });
});

describe('parseRanges()', () => {
  it.each(['10.0.0.0', '10/8', '010.0.0.0/8', '0x0a.0.0.0/8', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/', '/8', 'fd00::%eth0/8', 'host/8'])('does not guess what %s means', (range) => {
    expect(() => parseRanges([range])).toThrow();
  });
});

/**
 * The special-purpose registries of IANA, written down from them (iana.org/assignments/iana-ipv4-special-registry and
 * …ipv6-special-registry; RFC 6890), whether "globally reachable" or not: none is where images lie. With them multicast
 * (RFC 5771) and the address at which Azure answers its virtual machines; of IPv6 everything but global unicast (RFC 4291, 2.4).
 */
const IPV4_SPECIAL = ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '168.63.129.16/32', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.31.196.0/24', '192.52.193.0/24', '192.88.99.0/24', '192.168.0.0/16', '192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '255.255.255.255/32'];
const IPV6_SPECIAL = ['::1/128', '::/128', '::/96', '::ffff:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '100:0:0:1::/64', '2001::/23', '2001::/32', '2001:1::1/128', '2001:1::2/128', '2001:1::3/128', '2001:2::/48', '2001:3::/32', '2001:4:112::/48', '2001:10::/28', '2001:20::/28', '2001:30::/28', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'];

type Bits = 32 | 128;
interface Special {
  readonly first: bigint;
  readonly last: bigint;
}

function valueOf(text: string, bits: Bits): bigint {
  if (bits === 32) return text.split('.').reduce((value, octet) => value * 256n + BigInt(octet), 0n);
  const [before = '', after = ''] = text.split('::');
  const [head, tail] = [before, after].map((part) => part.split(':').filter((word) => word !== '')) as [string[], string[]];
  return [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail].reduce((value, word) => value * 65_536n + BigInt(`0x${word}`), 0n);
}

function textOf(value: bigint, bits: Bits): string {
  const [width, count] = bits === 32 ? [8n, 4] : [16n, 8];
  const parts = Array.from({ length: count }, (_, i) => (value >> (width * BigInt(count - 1 - i))) & ((1n << width) - 1n));
  return bits === 32 ? parts.join('.') : parts.map((part) => part.toString(16)).join(':');
}

function special(cidr: string, bits: Bits): Special {
  const [base = '', prefix] = cidr.split('/');
  const first = valueOf(base, bits);
  return { first, last: first + (1n << BigInt(bits - Number(prefix))) - 1n };
}

const TABLES = { 32: IPV4_SPECIAL.map((cidr) => special(cidr, 32)), 128: IPV6_SPECIAL.map((cidr) => special(cidr, 128)) } as const;

/** Anywhere, within a special range, and just outside of one. */
function addresses(bits: Bits): fc.Arbitrary<bigint> {
  const max = (1n << BigInt(bits)) - 1n;
  const range = fc.constantFrom(...TABLES[bits]);
  const within = range.chain(({ first, last }) => fc.bigInt({ min: first, max: last }));
  const edges = range.chain(({ first, last }) => fc.constantFrom(first, last, first - 1n, last + 1n)).filter((value) => value >= 0n && value <= max);
  const anywhere = fc.bigInt({ min: 0n, max });
  const unicast = fc.bigInt({ min: valueOf('2000::', 128), max: valueOf('3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 128) });
  const isatap = fc.tuple(unicast, fc.constantFrom(0x0000_5efen, 0x0200_5efen)).map(([value, identifier]) => ((value >> 64n) << 64n) | (identifier << 32n) | (value & 0xffff_ffffn));
  return bits === 32 ? fc.oneof(anywhere, within, edges) : fc.oneof(anywhere, within, edges, unicast, isatap);
}

function isPublic(value: bigint, bits: Bits): boolean {
  if (TABLES[bits].some(({ first, last }) => value >= first && value <= last)) return false;
  if (bits === 32) return true;
  const identifier = (value >> 32n) & 0xffff_ffffn;
  return value >> 125n === 1n && identifier !== 0x0000_5efen && identifier !== 0x0200_5efen;
}

describe('isDialable(), against the registries of special-purpose addresses', () => {
  it.each([32, 128] as const)('agrees on addresses of %i bits', (bits) => {
    fc.assert(fc.property(addresses(bits), (value) => isDialable(textOf(value, bits), []) === isPublic(value, bits)), { numRuns: 5_000 });
  });
});
