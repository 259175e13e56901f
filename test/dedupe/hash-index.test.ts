import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hammingDistance, HashIndex, RADIUS_MAX } from '../../dedupe/hash-index.js';

const hash = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const toHex = (value: bigint): string => value.toString(16).padStart(16, '0');
/** Hashes of which many are near each other: some, with a few bits of each flipped. */
const hashes = fc.array(fc.tuple(fc.nat(3), fc.array(fc.nat(63), { maxLength: 14 })), { minLength: 1, maxLength: 60 }).chain((flips) =>
  fc.array(hash, { minLength: 4, maxLength: 4 }).map((centres) => flips.map(([centre, bits]) => toHex(bits.reduce((value, bit) => value ^ (1n << BigInt(bit)), centres[centre] as bigint)))),
);

describe('HashIndex', () => {
  it('finds what comparing all hashes finds, at every radius', () => {
    fc.assert(fc.property(hashes, fc.integer({ min: 0, max: RADIUS_MAX }), (all, radius) => {
      const index = new HashIndex(radius);
      all.forEach((value, i) => index.add(String(i), value));
      const expected = all.map((value, i) => ({ id: String(i), distance: hammingDistance(value, all[0] as string) })).filter(({ distance }) => distance <= radius);
      expect(index.within(all[0] as string)).toEqual(expected.sort((a, b) => a.distance - b.distance || Number(a.id) - Number(b.id)));
    }));
  });

  it('gives no more than it is asked for, the first ones of those that are equal', () => {
    const index = new HashIndex(2);
    for (let i = 0; i < 100; i++) index.add(String(i), '00000000000000ff');
    expect(index.within('00000000000000ff', 3).map(({ id }) => id)).toEqual(['0', '1', '2']);
  });

  it('refuses a radius that it cannot search', () => {
    for (const radius of [-1, 1.5, RADIUS_MAX + 1]) expect(() => new HashIndex(radius)).toThrow(RangeError);
  });
});

describe('hammingDistance()', () => {
  it('counts the bits that differ', () => {
    fc.assert(fc.property(hash, hash, (a, b) => {
      expect(hammingDistance(toHex(a), toHex(b))).toBe([...(a ^ b).toString(2)].filter((bit) => bit === '1').length);
    }));
  });
});
