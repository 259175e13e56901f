/**
 * The yardstick of exact search in a process of its own: usearch's `exactSearch` over float32, with as many threads as
 * ours. It is given arrays that begin where their buffers do and are not shared: from a part of a buffer it silently scans
 * from the buffer's start (2.25). It holds the thread that calls it, so many clients are one batch of their queries.
 */
import { exactSearch, MetricKind } from 'usearch';
import { idOf } from '../indexer/vectors.js';
import { readWhole } from './f32-file.js';
import { describeTimed, readQueries, timeSearches, TOP, type IndexMeasured, type IndexTask } from './index-task.js';

export interface UsearchMeasured extends IndexMeasured {
  /** Queries a second, of batches of as many as ours has clients. */
  readonly qpsMany: number;
}

const task = JSON.parse(process.argv[2] as string) as IndexTask;
console.log(JSON.stringify(await measure(task)));
process.exit();

async function measure({ vectorsFile, dim, vectors, threads, searches, clients, ...task }: IndexTask): Promise<UsearchMeasured> {
  const queries = readQueries({ ...task, dim });
  const stored = readWhole(vectorsFile, { dim, count: vectors });
  const search = (numbers: Float32Array): { readonly keys: BigUint64Array } => exactSearch(stored, numbers, dim, TOP, MetricKind.IP, threads);
  const found = queries.map((query) => Array.from(search(query).keys, (row) => idOf(Number(row))));
  const one = describeTimed(await timeSearches((i) => search(queries[i % queries.length] as Float32Array), { searches, clients: 1 }));
  const batches = Array.from({ length: Math.ceil(queries.length / clients) }, (_, b) => joinQueries(Array.from({ length: clients }, (_, i) => queries[(b * clients + i) % queries.length] as Float32Array)));
  const { qps } = await timeSearches((i) => search(batches[i % batches.length] as Float32Array), { searches: Math.max(16, Math.ceil(searches / clients)), clients: 1 });
  return { ...one, qpsMany: qps * clients, found };
}

function joinQueries(queries: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(queries.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const query of queries) {
    joined.set(query, filled);
    filled += query.length;
  }
  return joined;
}
