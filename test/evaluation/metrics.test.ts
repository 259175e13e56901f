import { describe, expect, it } from 'vitest';
import { overlapAt } from '../../common/overlap.js';
import { averagePrecisionAt, hitAt, ndcgAt, recallAt, type Judged } from '../../evaluation/metrics.js';
import { mean, percentile, round } from '../../evaluation/statistics.js';
import { SeededRandom } from '../support/seeded-random.js';

const judged = (ranked: string, relevant: string): Judged => ({ ranked: [...ranked], relevant: new Set(relevant) });

/** Right answers at the places 1, 3 and 6; d is nowhere. */
const EXAMPLE = judged('axbyzc', 'abcd');

describe('the figures of a ranking, against values computed by hand', () => {
  it('recall@k is the part of what is relevant that stands among the first k', () => {
    expect([1, 2, 3, 5, 6, 100].map((k) => recallAt(k, EXAMPLE))).toEqual([0.25, 0.25, 0.5, 0.5, 0.75, 0.75]);
  });

  it('hit@k is whether anything does', () => {
    expect([1, 2].map((k) => hitAt(k, judged('xa', 'a')))).toEqual([0, 1]);
    expect(hitAt(10, judged('xyz', 'a'))).toBe(0);
  });

  it('average precision is the mean of the precision at relevant places, over as many as could be there', () => {
    expect(averagePrecisionAt(6, EXAMPLE)).toBeCloseTo((1 / 1 + 2 / 3 + 3 / 6) / 4, 12);
    expect(averagePrecisionAt(3, EXAMPLE)).toBeCloseTo((1 / 1 + 2 / 3) / 3, 12);
    expect(averagePrecisionAt(2, EXAMPLE)).toBeCloseTo(1 / 2, 12);
  });

  it('of one relevant image it is one over its place', () => {
    expect([1, 2, 3, 4].map((place) => averagePrecisionAt(10, judged(`${'wxy'.slice(0, place - 1)}a`, 'a')))).toEqual([1, 1 / 2, 1 / 3, 1 / 4]);
  });

  it('nDCG discounts a place by the logarithm of the one after it', () => {
    const gain = 1 + 1 / 2 + 1 / Math.log2(7);
    const best = 1 + 1 / Math.log2(3) + 1 / 2 + 1 / Math.log2(5);
    expect(ndcgAt(6, EXAMPLE)).toBeCloseTo(gain / best, 12);
    expect(ndcgAt(1, EXAMPLE)).toBe(1);
    expect(ndcgAt(2, judged('xa', 'a'))).toBeCloseTo(1 / Math.log2(3), 12);
  });
});

/** The definitions, written as they are read. */
const DEFINITIONS = {
  recall: (k: number, { ranked, relevant }: Judged): number => [...relevant].filter((id) => ranked.indexOf(id) >= 0 && ranked.indexOf(id) < k).length / relevant.size,
  averagePrecision: (k: number, { ranked, relevant }: Judged): number => {
    const precisionAt = (place: number): number => ranked.slice(0, place).filter((id) => relevant.has(id)).length / place;
    const places = ranked.slice(0, k).flatMap((id, i) => (relevant.has(id) ? [i + 1] : []));
    return places.map(precisionAt).reduce((sum, value) => sum + value, 0) / Math.min(k, relevant.size);
  },
  ndcg: (k: number, { ranked, relevant }: Judged): number => {
    const dcg = (gains: readonly number[]): number => gains.slice(0, k).reduce((sum, gain, i) => sum + gain / Math.log2(i + 2), 0);
    return dcg(ranked.map((id) => Number(relevant.has(id)))) / dcg(Array.from({ length: Math.max(k, relevant.size) }, (_, i) => Number(i < relevant.size)));
  },
};

describe('the figures of a ranking, against their definitions', () => {
  const random = new SeededRandom(7);
  const cases = Array.from({ length: 400 }, () => {
    const ids = random.shuffle(Array.from({ length: random.between(1, 30) }, (_, i) => `id${i}`));
    const relevant = new Set(random.shuffle([...ids, 'never-found']).slice(0, random.between(1, ids.length)));
    return { k: random.between(1, 35), one: { ranked: ids.slice(0, random.between(0, ids.length)), relevant } satisfies Judged };
  });

  it('are what the definitions say, and from 0 to 1', () => {
    for (const { k, one } of cases) {
      expect(recallAt(k, one)).toBeCloseTo(DEFINITIONS.recall(k, one), 12);
      expect(averagePrecisionAt(k, one)).toBeCloseTo(DEFINITIONS.averagePrecision(k, one), 12);
      expect(ndcgAt(k, one)).toBeCloseTo(DEFINITIONS.ndcg(k, one), 12);
      expect(hitAt(k, one)).toBe(DEFINITIONS.recall(k, one) > 0 ? 1 : 0);
      for (const figure of [recallAt, averagePrecisionAt, ndcgAt]) {
        expect(figure(k, one)).toBeGreaterThanOrEqual(0);
        expect(figure(k, one)).toBeLessThanOrEqual(1 + 1e-12);
      }
    }
  });

  it('are 1 when everything relevant comes first, and do not fall when a right answer moves up', () => {
    for (const { k, one } of cases) {
      const perfect = { ...one, ranked: [...one.relevant, ...one.ranked.filter((id) => !one.relevant.has(id))] };
      expect(averagePrecisionAt(k, perfect)).toBeCloseTo(1, 12);
      expect(ndcgAt(k, perfect)).toBeCloseTo(1, 12);
      const place = one.ranked.findIndex((id, i) => i > 0 && one.relevant.has(id));
      if (place < 1) continue;
      const moved = [...one.ranked];
      [moved[place - 1], moved[place]] = [moved[place]!, moved[place - 1]!];
      for (const figure of [recallAt, averagePrecisionAt, ndcgAt]) expect(figure(k, { ...one, ranked: moved })).toBeGreaterThanOrEqual(figure(k, one) - 1e-12);
    }
  });

  it('overlap is symmetric, and 1 with itself', () => {
    for (const [i, { k, one }] of cases.entries()) {
      const other = cases[(i + 1) % cases.length]!.one.ranked;
      expect(overlapAt(k, one.ranked, other)).toBe(overlapAt(k, other, one.ranked));
      if (one.ranked.length > 0) expect(overlapAt(k, one.ranked, one.ranked)).toBe(1);
    }
  });
});

describe('what many numbers come to', () => {
  it('is their mean, their nearest rank, and fewer digits', () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect([0, 0.25, 0.5, 0.51, 0.95, 1].map((part) => percentile([40, 10, 30, 20], part))).toEqual([10, 10, 20, 30, 40, 40]);
    expect([round(0.123456, 4), round(2, 4), round(1e-9, 4)]).toEqual([0.1235, 2, 0]);
  });
});
