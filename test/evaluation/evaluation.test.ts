import { describe, expect, it } from 'vitest';
import { evaluate, namedFigures, toJson } from '../../evaluation/evaluation.js';
import { findExamples } from '../../evaluation/examples.js';
import { toLoggedRuns } from '../../evaluation/mlflow-runs.js';
import { pairRuns, runName } from '../../evaluation/runs.js';
import { evaluation, FIRST, image, IMAGES, QUERIES, run, SECOND } from './fixtures.js';

describe('evaluate()', () => {
  it('has the means over queries, whole and by alteration', () => {
    const { figures, parts } = evaluation().runs[0]!;
    const log3 = 1 / Math.log2(3);
    expect(namedFigures(figures)).toEqual(new Map([['recall_at_1', 4 / 6], ['recall_at_2', 5 / 6], ['hit_at_1', 4 / 6], ['hit_at_2', 5 / 6], ['map_at_2', 4.5 / 6], ['ndcg_at_2', (4 + log3) / 6]]));
    expect([...parts].map(([part, { queries, recall, map }]) => [part, queries, recall.get(1), map])).toEqual([['grey', 3, 1, 1], ['flip', 3, 1 / 3, 0.5]]);
  });

  it('has the figures of each class, of which an image may have several', () => {
    const images = [image('a', 'cats'), image('b', 'cats', 'pets'), image('c', 'pets')];
    const queries = images.map((one) => ({ id: one.id, image: one, relevant: new Set(images.filter((other) => other !== one && [...other.labels].some((label) => one.labels.has(label))).map(({ id }) => id)) }));
    const judged = evaluate({ mode: 'labelled', source: 'photos', seed: 1, limit: undefined, places: [1] }, { images, duplicates: 0, unlabelled: 0, unreadable: [], queries }, [run('m', { a: 'c', b: 'a', c: 'b' })]);
    expect([...judged.runs[0]!.parts].map(([part, { queries: count, hit }]) => [part, count, hit.get(1)])).toEqual([['cats', 2, 0.5], ['pets', 2, 1]]);
  });

  it('says who answers which query better, and how much two have in common', () => {
    const [comparison] = evaluation().comparisons;
    expect(comparison).toMatchObject({ overlap: (1 + 1 + 1 + 1 + 1 + 0.5) / 6, wins: { a: 1, b: 2 }, ties: 3 });
    expect(comparison!.differences.map(({ query, a, b }) => [query.id, a, b])).toEqual([['a/grey', 1, 0.5], ['b/flip', 0.5, 1], ['c/flip', 0, 1]]);
  });

  it('takes two that answer nothing to have nothing in common', () => {
    expect(evaluation([run('first', {}), run('second', {})]).comparisons).toMatchObject([{ overlap: 0, ties: 6 }]);
  });
});

describe('pairRuns()', () => {
  it('holds models against each other by their first index, and the other indexes of a model against its first', () => {
    const runs = ['x', 'y'].flatMap((model) => ['brute', 'hnsw', 'kd_tree'].map((algorithm) => run(model, {}, algorithm)));
    expect(pairRuns(runs).map((pair) => pair.map(runName).join(' : '))).toEqual(['x (brute) : y (brute)', 'x (brute) : x (hnsw)', 'x (brute) : x (kd_tree)', 'y (brute) : y (hnsw)', 'y (brute) : y (kd_tree)']);
    expect(pairRuns([runs[0]!])).toEqual([]);
  });
});

describe('findExamples()', () => {
  it('has the worst and the best, one for each image', () => {
    const { worst, best } = findExamples(QUERIES, FIRST, { places: [1, 2], worst: 2, best: 2 });
    expect(worst.map(({ query, averagePrecision }) => [query.id, averagePrecision])).toEqual([['c/flip', 0], ['b/flip', 0.5]]);
    expect(best.map(({ averagePrecision }) => averagePrecision)).toEqual([1, 1]);
    expect(new Set(best.map(({ query }) => query.image.id)).size).toBe(2);
  });
});

describe('toJson()', () => {
  it('rounds figures and has names in order', () => {
    const json = toJson(evaluation()) as { runs: { alterations: object; recall_at_1: number; embed_ms: object; bytes_per_vector: number }[]; comparisons: object[] };
    expect(json).toMatchObject({ mode: 'altered', source: 'photos', seed: 1, limit: null, k: [1, 2], images: 3, queries: 6 });
    expect(json.runs[0]).toMatchObject({ model: 'first', algorithm: 'brute', recall_at_1: 0.6667, map_at_2: 0.75, embed_ms: { p50: 1.23, p95: 2.35, calls: 2 }, memory_bytes: 300, bytes_per_vector: 100 });
    expect(Object.keys(json.runs[0]!.alterations)).toEqual(['flip', 'grey']);
    expect(json.comparisons).toEqual([
      {
        a: { model: 'first', algorithm: 'brute' }, b: { model: 'second', algorithm: 'brute' }, overlap_at_2: 0.9167, wins_a: 1, wins_b: 2, ties: 3,
        differences: [
          { query: 'a/grey', name: 'a.png', winner: 'a', average_precision: { a: 1, b: 0.5 } },
          { query: 'b/flip', name: 'b.png', winner: 'b', average_precision: { a: 0.5, b: 1 } },
          { query: 'c/flip', name: 'c.png', winner: 'b', average_precision: { a: 0, b: 1 } },
        ],
      },
    ]);
  });

  it('is the same for the same answers, in whatever order the unreadable were met', () => {
    const one = { name: 'x.png', code: 'EIS_IMAGE_INVALID', message: 'no image' };
    const two = { ...one, name: 'b.png' };
    const of = (unreadable: typeof one[]): object => toJson(evaluate({ mode: 'altered', source: 's', seed: 1, limit: 5, places: [1] }, { images: IMAGES, duplicates: 1, unlabelled: 0, unreadable, queries: QUERIES }, [FIRST]));
    expect(of([one, two])).toEqual(of([two, one]));
  });
});

describe('toLoggedRuns()', () => {
  it('has a run for each model and index: settings as parameters, figures by alteration and against others as metrics', () => {
    const [first, second] = toLoggedRuns(evaluation(), { startedAt: 1_000, endedAt: 2_000 });
    expect([first!.name, second!.name]).toEqual([runName(FIRST), runName(SECOND)]);
    expect(Object.fromEntries(first!.params)).toMatchObject({ mode: 'altered', source: 'photos', seed: '1', limit: 'none', k: '1 2', model: 'first', algorithm: 'brute', images: '3', queries: '6' });
    expect(first!.metrics.get('recall_at_1')).toBeCloseTo(4 / 6);
    expect(first!.metrics.get('alteration/flip/recall_at_1')).toBeCloseTo(1 / 3);
    expect(first!.metrics.get('against/second brute/wins')).toBe(1);
    expect(second!.metrics.get('against/first brute/wins')).toBe(2);
  });
});
