/** The hits that exact search has to find: a plain scan with `dot()`, accumulated in float64, for a part of the queries. */
import { compareHits, dot } from '../../common/vector.js';
import type { Hit } from '../../indexer/vector-index.js';
import { idOf } from '../indexer/vectors.js';
import { readSlices } from './f32-file.js';
import type { IndexData } from './index-data.js';
import { readQueries, TOP } from './index-task.js';

export interface ReferenceTask extends IndexData {
  /** Queries `[from, to)`. */
  readonly from: number;
  readonly to: number;
}

const SLICE_ROWS = 256;

const task = JSON.parse(process.argv[2] as string) as ReferenceTask;
const found = scanAll(task, readQueries(task).slice(task.from, task.to));
console.log(JSON.stringify(found.map((hits) => hits.map(({ id }) => id))));

function scanAll({ vectorsFile, dim, vectors }: ReferenceTask, queries: readonly Float32Array[]): Hit[][] {
  const found = queries.map((): Hit[] => []);
  for (const slice of readSlices(vectorsFile, { dim, count: vectors, sliceRows: SLICE_ROWS })) {
    for (const [q, query] of queries.entries()) {
      slice.vectors.forEach((vector, i) => offer(found[q] as Hit[], dot(vector, query), slice.first + i));
    }
  }
  return found;
}

/** Keeps the best, ranked. */
function offer(hits: Hit[], score: number, row: number): void {
  if (hits.length === TOP && score < (hits[TOP - 1] as Hit).score) return;
  hits.push({ id: idOf(row), score });
  hits.sort(compareHits).splice(TOP);
}
