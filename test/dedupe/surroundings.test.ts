import { describe, expect, it } from 'vitest';
import { marginOf, MARGIN_MAX, NEIGHBOURS_MIN, surroundingScore, type Neighbour } from '../../dedupe/surroundings.js';

/** Neighbours with scores from 0.99 down, a hundredth each. */
const neighbours = (count: number): Neighbour[] => Array.from({ length: count }, (_, i) => ({ id: String(i), score: 0.99 - i / 100 }));
/** Hashes that have nothing in common. */
const looksOf = (neighbour: string): string => ((BigInt(Number(neighbour) + 1) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn).toString(16).padStart(16, '0');

describe('surroundingScore()', () => {
  it('is the mean of the 9th to the 16th nearest looks', () => {
    expect(surroundingScore('0'.repeat(16), neighbours(30), looksOf)).toBeCloseTo(0.99 - 11.5 / 100, 6);
  });

  it('counts what looks alike to the hash once, and the image itself not at all', () => {
    const copies = new Set(['0', '3', '4']);
    const surrounding = surroundingScore('0'.repeat(16), neighbours(30), (id) => (copies.has(id) ? '0'.repeat(15) + '1' : looksOf(id)));
    expect(surrounding).toBeCloseTo(0.99 - 14.5 / 100, 6);
  });

  it('is not known of an image with too few neighbours', () => {
    expect(surroundingScore('0'.repeat(16), neighbours(NEIGHBOURS_MIN - 1), looksOf)).toBeUndefined();
  });
});

describe('marginOf()', () => {
  it('asks that both are nearer to each other than to their surroundings', () => {
    expect(marginOf(0.8, 0.5, 0.9)).toBeLessThan(0);
    expect(marginOf(0.8, 0.5, 0.7)).toBe(marginOf(0.8, 0.7, 0.5));
    expect(marginOf(0.8, 0.7, 0.7)).toBeGreaterThan(0);
  });

  it('is larger where images are dense, for the same difference', () => {
    expect(marginOf(0.98, 0.96, 0.96)).toBeCloseTo(0.1, 6);
    expect(marginOf(0.52, 0.5, 0.5)).toBeCloseTo(0.0283, 3);
  });

  it('is a number for equal pictures among equal ones, and never above its bound', () => {
    expect(marginOf(1, 1, 1)).toBe(0);
    expect(marginOf(1, 0, 0)).toBe(MARGIN_MAX);
  });
});
