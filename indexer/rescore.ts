/**
 * Settles a search among the candidates of its scans: reads their vectors and scores them as `dot()` of common/vector.ts
 * does, to the last bit. They are taken by what their scores are at most, so that it ends where no other can be better
 * than the worst that is kept. It runs in worker threads, because it waits for the disk.
 */
import { dot } from '../common/vector.js';
import { ID_BYTES, type ChunkViews } from './row-chunk.js';
import { readVectorsSync } from './vector-file.js';
import { TopK, type Ranked } from './top-k.js';

/** The candidates of one query, by number. */
export interface RescoreQuery {
  readonly vector: Float64Array;
  readonly keep: number;
  /** What each score is at most; NaN: unknown. */
  readonly uppers: Float64Array;
  /** Where the vectors lie, and what their bytes add up to. */
  readonly slots: Uint32Array;
  readonly checksums: Uint32Array;
  /** 32 bytes each: of equal scores, the smaller id is better. */
  readonly ids: Uint8Array;
}

/** What is to be scored for a query. */
export type RescoreRows = Omit<RescoreQuery, 'vector' | 'keep'>;

/** A row of which is known what its score is at most. */
export interface Candidate {
  readonly views: ChunkViews;
  readonly row: number;
  readonly upper: number;
}

/** Candidates with what it takes to score them. */
export function describeCandidates(candidates: readonly Candidate[]): RescoreRows {
  const ids = new Uint8Array(candidates.length * ID_BYTES);
  candidates.forEach(({ views, row }, i) => ids.set(views.ids.subarray(row * ID_BYTES, (row + 1) * ID_BYTES), i * ID_BYTES));
  return {
    uppers: Float64Array.from(candidates, ({ upper }) => upper),
    slots: Uint32Array.from(candidates, ({ views, row }) => views.slots[row] as number),
    checksums: Uint32Array.from(candidates, ({ views, row }) => views.checksums[row] as number),
    ids,
  };
}

export interface RescoreTask {
  /** Of a vector file. */
  readonly fd: number;
  readonly queries: readonly RescoreQuery[];
}

/** Candidates that were read, of all queries: what a search costs besides its scan. */
export interface Rescored {
  /** By query; the keys are numbers of candidates. */
  readonly ranked: readonly Ranked[];
  readonly read: number;
}

/** Candidates that are read at first; twice as many each time that was not enough. */
const READ_MIN = 16;
const READ_MAX = 4_096;

/** @throws EisError EIS_INDEX_DAMAGED */
export function rescore({ fd, queries }: RescoreTask): Rescored {
  let read = 0;
  const ranked = queries.map(({ vector, keep, uppers, slots, checksums, ids }) => {
    const best = new TopK(Math.min(keep, uppers.length), (a, b) => compareIds(ids, a, b) < 0);
    const candidates = byUpper(uppers);
    for (let first = 0, count = Math.max(keep, READ_MIN); first < candidates.length; first += count, count = Math.min(2 * count, READ_MAX)) {
      const open = candidates.slice(first, first + count).filter((candidate) => !((uppers[candidate] as number) < best.floor));
      if (open.length === 0) break;
      readVectorsSync({ fd, dim: vector.length, slots, checksums }, open, (candidate, row) => best.offer(dot(row, vector), candidate));
      read += open.length;
    }
    return best.drain();
  });
  return { ranked, read };
}

/** Numbers of candidates: those that nothing is known of first, then the highest. */
function byUpper(uppers: Float64Array): Uint32Array {
  const height = (i: number): number => (Number.isNaN(uppers[i]) ? Infinity : (uppers[i] as number));
  return Uint32Array.from(uppers.keys()).sort((a, b) => {
    const [left, right] = [height(a), height(b)];
    return left === right ? 0 : right - left;
  });
}

function compareIds(ids: Uint8Array, a: number, b: number): number {
  return Buffer.compare(ids.subarray(a * ID_BYTES, (a + 1) * ID_BYTES), ids.subarray(b * ID_BYTES, (b + 1) * ID_BYTES));
}
