/** Settles the candidates of some queries in worker threads (`rescore.ts`), which share the queries. */
import type { RescoreQuery } from './rescore.js';
import { readId } from './row-chunk.js';
import type { Scanner } from './scan-pool.js';
import type { Ranked } from './top-k.js';
import type { Hit } from './vector-index.js';

/** The best of each query's candidates, and how many of them were scored. */
export interface RescoredHits {
  readonly hits: Hit[][];
  readonly rescored: number;
}

/**
 * @param fd of the vectors' file
 * @throws EisError EIS_INDEX_DAMAGED
 */
export async function rescoreQueries(scanner: Scanner, fd: number, queries: readonly RescoreQuery[]): Promise<RescoredHits> {
  const perTask = Math.ceil(queries.length / scanner.threads);
  const tasks = Array.from({ length: Math.ceil(queries.length / perTask) }, (_, i) => queries.slice(i * perTask, (i + 1) * perTask));
  const done = await allDone(tasks.map((part) => scanner.rescore({ fd, queries: part })));
  const ranked = done.flatMap((part) => part.ranked);
  return { hits: queries.map(({ ids }, q) => hitsOf(ranked[q] as Ranked, ids)), rescored: done.reduce((sum, { read }) => sum + read, 0) };
}

/** @param ids of the candidates, 32 bytes each, by the keys of what is ranked */
export function hitsOf({ keys, scores }: Ranked, ids: Uint8Array): Hit[] {
  return Array.from(keys, (key, i): Hit => ({ id: readId(ids, key), score: scores[i] as number }));
}

/** What all came to, once none is under way any more: what they work on may be used again then, also when one failed. */
export async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  return settled.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}
