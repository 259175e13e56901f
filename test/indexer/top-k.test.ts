import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeRanked, TopK } from '../../indexer/top-k.js';

const byKey = (a: number, b: number): boolean => a < b;

describe('TopK', () => {
  it('keeps the best k, ties by key, whatever the order of offers', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(-1, 0, 0.25, 0.5, 1), { maxLength: 60 }), fc.integer({ min: 0, max: 20 }), fc.boolean(), (scores, k, backwards) => {
        const offers = scores.map((score, key) => ({ score, key }));
        const heap = new TopK(k, byKey);
        for (const { score, key } of backwards ? offers.toReversed() : offers) heap.offer(score, key);
        const expected = offers.toSorted((a, b) => b.score - a.score || a.key - b.key).slice(0, k);
        const { scores: kept, keys } = heap.drain();
        expect([...keys]).toEqual(expected.map(({ key }) => key));
        expect([...kept]).toEqual(expected.map(({ score }) => score));
      }),
    );
  });

  it('says what an offer must reach, once it is full', () => {
    const heap = new TopK(2, byKey);
    const worst = [3, 1, 2, 0].map((score, key) => {
      heap.offer(score, key);
      return heap.floor;
    });
    expect(worst).toEqual([-Infinity, 1, 2, 2]);
    expect(new TopK(0, byKey).floor).toBe(Infinity);
  });

  it('is empty after it was drained', () => {
    const heap = new TopK(2, byKey);
    heap.offer(1, 1);
    heap.drain();
    expect([...heap.drain().keys]).toEqual([]);
  });
});

describe('mergeRanked()', () => {
  it('gives the first k of all lists together', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 15 }), { maxLength: 6 }), fc.integer({ min: 0, max: 40 }), (lists, k) => {
        const ranked = lists.map((list) => list.toSorted((a, b) => a - b));
        expect(mergeRanked(ranked, k, (a, b) => a - b)).toEqual(lists.flat().sort((a, b) => a - b).slice(0, k));
      }),
    );
  });
});
