/** What the `index` bench is asked for, what its processes are told and tell, and how all of them measure a search. */
import type { IndexAlgorithm } from '../../common/config.js';
import { percentile } from '../../evaluation/statistics.js';
import { readWhole } from './f32-file.js';
import { QUERIES, type IndexData } from './index-data.js';

/** How many hits are asked for. */
export const TOP = 10;
/** Before measured ones, by one client. */
export const WARM_UP_SEARCHES = 8;

/** Of the command line. */
export interface IndexBenchOptions {
  readonly vectors?: number;
  readonly dim: number;
  readonly algorithm: IndexAlgorithm;
  readonly clients: number;
  readonly searches: number;
  readonly rounds: number;
  readonly file?: string;
  readonly grow: boolean;
  readonly hnswlib: boolean;
  readonly json: boolean;
}

export interface IndexTask extends IndexData {
  readonly threads: number;
  /** Measured ones, at one client. */
  readonly searches: number;
  readonly clients: number;
}

export interface IndexMeasured {
  /** At one client. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly qpsOne: number;
  /** Ids of each query's hits. */
  readonly found: readonly (readonly string[])[];
}

/** The queries, each in memory of its own that begins where its buffer does. */
export function readQueries({ queriesFile, dim }: Pick<IndexTask, 'queriesFile' | 'dim'>): Float32Array<ArrayBuffer>[] {
  const numbers = readWhole(queriesFile, { dim, count: QUERIES });
  return Array.from({ length: QUERIES }, (_, i) => numbers.slice(i * dim, (i + 1) * dim));
}

/** What concurrent searches took, each by itself and all together. */
export interface Timed {
  readonly latenciesMs: readonly number[];
  readonly qps: number;
}

/**
 * Some searches to warm up, then measured ones, by clients that each begin another when they were answered.
 *
 * @param search the i-th
 */
export async function timeSearches(search: (i: number) => unknown, { searches, clients }: { readonly searches: number; readonly clients: number }): Promise<Timed> {
  const run = async (count: number): Promise<number[]> => {
    const latenciesMs: number[] = [];
    let begun = 0;
    await Promise.all(Array.from({ length: clients }, async () => {
      while (begun < count) {
        const startedAt = performance.now();
        await search(begun++);
        latenciesMs.push(performance.now() - startedAt);
      }
    }));
    return latenciesMs;
  };
  await run(Math.max(WARM_UP_SEARCHES, clients));
  const startedAt = performance.now();
  const latenciesMs = await run(searches);
  return { latenciesMs, qps: (searches * 1000) / (performance.now() - startedAt) };
}

/** The figures of searches at one client. */
export function describeTimed({ latenciesMs, qps }: Timed): Pick<IndexMeasured, 'p50Ms' | 'p99Ms' | 'qpsOne'> {
  return { p50Ms: percentile(latenciesMs, 0.5), p99Ms: percentile(latenciesMs, 0.99), qpsOne: qps };
}
