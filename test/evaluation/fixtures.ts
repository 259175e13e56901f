/** Small evaluations whose figures can be computed by hand. */
import type { EvaluatedImage, Query } from '../../evaluation/collection.js';
import { evaluate, type Evaluation, type Mode } from '../../evaluation/evaluation.js';
import type { Run } from '../../evaluation/runs.js';

export const image = (id: string, ...labels: string[]): EvaluatedImage => ({ id, path: `/images/${id}.png`, name: `${id}.png`, labels: new Set(labels) });

/** @param answers by query id: ids of the hits, a letter each */
export function run(model: string, answers: Readonly<Record<string, string>>, algorithm = 'brute'): Run {
  const latency = { calls: 2, p50Ms: 1.23456, p95Ms: 2.34567 };
  const hits = (ids: string): { id: string; score: number }[] => [...ids].map((id, i) => ({ id, score: 1 - i / 10 }));
  return { model, modelVersion: `${model}-version-0123456789`, algorithm, dim: 4, vectors: 3, memoryBytes: 300, embed: latency, search: latency, answers: new Map(Object.entries(answers).map(([id, ids]) => [id, hits(ids)])) };
}

export const IMAGES = ['a', 'b', 'c'].map((id) => image(id));
export const QUERIES: readonly Query[] = IMAGES.flatMap((one) => ['grey', 'flip'].map((alteration) => ({ id: `${one.id}/${alteration}`, image: one, alteration, relevant: new Set([one.id]) })));

/** Finds all grey copies at once, and the flipped ones at the places 1, 2 and none. */
export const FIRST = run('first', { 'a/grey': 'abc', 'a/flip': 'abc', 'b/grey': 'bac', 'b/flip': 'abc', 'c/grey': 'cab', 'c/flip': 'ab' });
/** Finds everything at once but one grey copy, which it has second. */
export const SECOND = run('second', { 'a/grey': 'bac', 'a/flip': 'abc', 'b/grey': 'bac', 'b/flip': 'bac', 'c/grey': 'cab', 'c/flip': 'cab' });

export function evaluation(runs: readonly Run[] = [FIRST, SECOND], mode: Mode = 'altered', queries: readonly Query[] = QUERIES): Evaluation {
  return evaluate({ mode, source: 'photos', seed: 1, limit: undefined, places: [1, 2] }, { images: IMAGES, duplicates: 0, unlabelled: 0, unreadable: [], queries }, runs);
}
