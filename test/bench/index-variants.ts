/** The variants of the `index` bench, each run in a fresh process, and what their answers are held to. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { IndexAlgorithm } from '../../common/config.js';
import { INDEX_NODE_FLAGS } from '../../common/node-flags.js';
import { measureInProcess } from './embed.js';
import { QUERIES, type IndexData } from './index-data.js';
import type { HnswlibBuilt, HnswlibTask } from './index-hnswlib-process.js';
import type { OwnIndexMeasured, OwnIndexTask } from './index-process.js';
import type { ReferenceTask } from './index-reference-process.js';
import { TOP, type IndexMeasured, type IndexTask } from './index-task.js';
import type { UsearchMeasured } from './index-usearch-process.js';

/** Our index, over a folder of its own inside `folder`. */
export async function measureOwn(task: IndexTask, { algorithm, folder }: { readonly algorithm: IndexAlgorithm; readonly folder: string }): Promise<OwnIndexMeasured> {
  const own = join(folder, 'index');
  mkdirSync(own);
  try {
    return await measureInProcess<OwnIndexMeasured>('index-process', { ...task, algorithm, folder: own } satisfies OwnIndexTask, INDEX_NODE_FLAGS);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

export function measureUsearch(task: IndexTask): Promise<UsearchMeasured> {
  return measureInProcess('index-usearch-process', task);
}

/** @param graphFile where the graph is put, for `measureHnswlib` */
export function buildHnswlib(task: IndexTask, graphFile: string): Promise<HnswlibBuilt> {
  return measureInProcess('index-hnswlib-process', { ...task, step: 'build', graphFile } satisfies HnswlibTask);
}

export function measureHnswlib(task: IndexTask, graphFile: string): Promise<IndexMeasured> {
  return measureInProcess('index-hnswlib-process', { ...task, step: 'search', graphFile } satisfies HnswlibTask);
}

/** The ids of each query's best hits by a float64 scan, in as many processes as there are CPUs. */
export async function findReference(data: IndexData, processes: number): Promise<string[][]> {
  const share = Math.ceil(QUERIES / processes);
  const starts = Array.from({ length: Math.ceil(QUERIES / share) }, (_, i) => i * share);
  const parts = await Promise.all(starts.map((from) => measureInProcess<string[][]>('index-reference-process', { ...data, from, to: Math.min(QUERIES, from + share) } satisfies ReferenceTask)));
  return parts.flat();
}

/** The part of the reference's hits that was found, over all queries. */
export function recallOf({ found }: Pick<IndexMeasured, 'found'>, reference: readonly (readonly string[])[]): number {
  const common = reference.map((ids, q) => ids.filter((id) => found[q]?.includes(id)).length);
  return common.reduce((sum, count) => sum + count, 0) / (reference.length * TOP);
}
