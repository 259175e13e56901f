/**
 * The exact scan: the dot product of every row with every query, the best kept. It runs in worker threads
 * (`scan-worker.ts`) over disjoint parts of the rows, and keeps no state between scans.
 *
 * Every score equals `dot()` of common/vector.ts to the last bit: each is one chain of float64 additions in the order of
 * the components. Speed comes from four rows at once, four such chains that do not wait for each other, and from
 * sharing: a block of rows is read from memory once for all queries.
 */
import { idPrecedes, viewChunk, type ChunkMemory, type ChunkViews } from './row-chunk.js';
import { TopK, type Ranked } from './top-k.js';

export interface ScanQuery {
  /** The query in float64 (which changes no value), so that the loop need not convert it for every row. */
  readonly vector: Float64Array;
  readonly keep: number;
  /** By the snapshot's row number: 1 for candidates. Undefined: every row is one. */
  readonly mask: Uint8Array | undefined;
}

/** Rows `[from, to)` of a chunk. */
export interface ScanRange {
  readonly memory: ChunkMemory;
  readonly from: number;
  readonly to: number;
  /** The snapshot's number of the chunk's row 0. */
  readonly firstRow: number;
}

export interface ScanTask {
  readonly version: number;
  readonly queries: readonly ScanQuery[];
  /** Ascending by `firstRow`. */
  readonly ranges: readonly ScanRange[];
}

interface OpenRange extends ScanRange {
  readonly views: ChunkViews;
}

const ROWS_AT_ONCE = 4;

/** The best rows of the task's ranges for each of its queries, keys being the snapshot's row numbers. */
export function scan({ version, queries, ranges }: ScanTask): Ranked[] {
  const open = ranges.map((range): OpenRange => ({ ...range, views: viewChunk(range.memory) }));
  const rows = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  const precedes = compareRows(open);
  const heaps = queries.map(({ keep }) => new TopK(Math.min(keep, rows), precedes));
  for (const range of open) scanRange(range, version, queries, heaps);
  return heaps.map((heap) => heap.drain());
}

/** Whether one row's id comes before another's, by the snapshot's row numbers. */
function compareRows(ranges: readonly OpenRange[]): (a: number, b: number) => boolean {
  const find = (row: number): OpenRange => {
    let low = 0;
    for (let high = ranges.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if ((ranges[middle] as OpenRange).firstRow <= row) low = middle;
      else high = middle;
    }
    return ranges[low] as OpenRange;
  };
  return (a, b) => {
    const left = find(a);
    const right = find(b);
    return idPrecedes({ ids: left.views.ids, row: a - left.firstRow }, { ids: right.views.ids, row: b - right.firstRow });
  };
}

function scanRange({ views, from, to, firstRow, memory: { dim } }: OpenRange, version: number, queries: readonly ScanQuery[], heaps: readonly TopK[]): void {
  const { vectors, diedAt } = views;
  const scores = new Float64Array(ROWS_AT_ONCE);
  for (let row = from; row < to; row += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, to - row);
    for (let q = 0; q < queries.length; q++) {
      const { vector, mask } = queries[q] as ScanQuery;
      const heap = heaps[q] as TopK;
      if (count === ROWS_AT_ONCE) dotFour(vectors, row * dim, vector, scores);
      else for (let i = 0; i < count; i++) scores[i] = dotOne(vectors, (row + i) * dim, vector);
      for (let i = 0; i < count; i++) {
        const died = diedAt[row + i] as number;
        const isCandidate = (died === 0 || died > version) && (mask === undefined || mask[firstRow + row + i] === 1);
        if (isCandidate) heap.offer(scores[i] as number, firstRow + row + i);
      }
    }
  }
}

function dotOne(rows: Float32Array, start: number, query: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < query.length; i++) sum += (rows[start + i] as number) * (query[i] as number);
  return sum;
}

function dotFour(rows: Float32Array, start: number, query: Float64Array, scores: Float64Array): void {
  const dim = query.length;
  const second = start + dim;
  const third = second + dim;
  const fourth = third + dim;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < dim; i++) {
    const x = query[i] as number;
    a += (rows[start + i] as number) * x;
    b += (rows[second + i] as number) * x;
    c += (rows[third + i] as number) * x;
    d += (rows[fourth + i] as number) * x;
  }
  scores[0] = a;
  scores[1] = b;
  scores[2] = c;
  scores[3] = d;
}
