/**
 * The scan: every row's codes with those of every query. It runs in worker threads (`scan-worker.ts`) over disjoint parts
 * of the rows, and keeps no state between scans. What it answers is not scores but the rows that could still be among the
 * best: quantisation.ts says why no other can, `rescore.ts` settles it.
 */
import { bindKernel } from './kernel/kernel.js';
import { BLOCK_ROWS, QUERIES_IN_SCRATCH, viewChunk, viewScratch, type ChunkMemory, type ChunkViews } from './row-chunk.js';
import type { QuantisedQuery } from './quantisation.js';
import { TopK } from './top-k.js';

export interface ScanQuery {
  readonly quantised: QuantisedQuery;
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
  readonly ranges: readonly ScanRange[];
  /** The piece of the chunks' memory that is this task's alone. */
  readonly scratch: number;
}

/** What a part of the rows has for a query. */
export interface Candidates {
  /** Rows by the snapshot's numbers, in no order, with what their score is at most; NaN: unknown. */
  readonly rows: Uint32Array;
  readonly uppers: Float64Array;
  /** What the scores of the `keep` best are at least, best first. */
  readonly lowers: Float64Array;
}

/** Room that is made before what fell behind is dropped. */
const SPARE_CANDIDATES = 1_024;

/** The candidates of the task's ranges for each of its queries. */
export function scan(task: ScanTask): Candidates[] {
  const rows = task.ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  const collectors = task.queries.map((query) => new Collector(query, rows));
  for (let first = 0; first < collectors.length; first += QUERIES_IN_SCRATCH) {
    const group = collectors.slice(first, first + QUERIES_IN_SCRATCH);
    for (const range of task.ranges) scanRange(range, task, group);
  }
  return collectors.map((collector) => collector.drain());
}

function scanRange({ memory, from, to, firstRow }: ScanRange, { version, scratch: number }: ScanTask, group: readonly Collector[]): void {
  const kernel = bindKernel(memory.memory);
  const views = viewChunk(memory);
  const scratch = viewScratch(memory, number);
  group.forEach(({ codes }, i) => scratch.queries.set(codes, i * views.stride));
  for (let row = from; row < to; row += BLOCK_ROWS) {
    const block = { views, version, firstRow, from: row, to: Math.min(to, row + BLOCK_ROWS) };
    if (!group.some((collector) => collector.wants(block))) continue;
    const [rows, codes, at] = [block.to - row, row * views.stride, scratch.dotsAt];
    for (let first = 0; first < group.length; ) {
      const queries = scratch.queriesAt + first * views.stride * 2;
      // The first brings the block into the cache, alone; what is left come in pairs.
      if (first === 0 || first === group.length - 1) {
        kernel.dotsOfOne(codes, rows, views.stride, queries, at);
        group[first++]?.collect(block, scratch.dots, 0, 1);
      } else {
        kernel.dotsOfTwo(codes, rows + (rows % 2), views.stride, queries, at);
        group[first++]?.collect(block, scratch.dots, 0, 2);
        group[first++]?.collect(block, scratch.dots, 1, 2);
      }
    }
  }
}

/** Rows `[from, to)` of a chunk. */
interface Block {
  readonly views: ChunkViews;
  readonly version: number;
  readonly firstRow: number;
  readonly from: number;
  readonly to: number;
}

/** The candidates of one query as they are found. */
class Collector {
  readonly #query: ScanQuery;
  readonly #lowers: TopK;
  #rows: number[] = [];
  #uppers: number[] = [];

  constructor(query: ScanQuery, rows: number) {
    this.#query = query;
    this.#lowers = new TopK(Math.min(query.keep, rows), () => false);
  }

  get codes(): Int16Array {
    return this.#query.quantised.codes;
  }

  /** Whether one of the rows may be a candidate. */
  wants({ firstRow, from, to }: Block): boolean {
    const { mask } = this.#query;
    if (!mask) return true;
    for (let i = firstRow + from; i < firstRow + to; i++) if (mask[i] === 1) return true;
    return false;
  }

  /** @param dots the query's with the block's row r at `[step · r + offset]` */
  collect({ views, version, firstRow, from, to }: Block, dots: Int32Array, offset: number, step: number): void {
    const { scales, errors, norms, diedAt } = views;
    const { quantised: { scale, perError, perNorm }, mask } = this.#query;
    let floor = this.#lowers.floor;
    for (let i = from; i < to; i++) {
      if (mask !== undefined && mask[firstRow + i] !== 1) continue;
      const score = (dots[step * (i - from) + offset] as number) * ((scales[i] as number) * scale);
      const error = perError * (errors[i] as number) + perNorm * (norms[i] as number);
      if (score + error < floor) continue; // a comparison with NaN is false: what is not known is kept
      const died = diedAt[i] as number;
      if (died !== 0 && died <= version) continue;
      this.#rows.push(firstRow + i);
      this.#uppers.push(score + error);
      const lower = score - error;
      this.#lowers.offer(Number.isNaN(lower) ? -Infinity : lower, 0);
      floor = this.#lowers.floor;
    }
    if (this.#rows.length > 4 * this.#query.keep + SPARE_CANDIDATES) this.#drop(floor);
  }

  drain(): Candidates {
    this.#drop(this.#lowers.floor);
    return { rows: Uint32Array.from(this.#rows), uppers: Float64Array.from(this.#uppers), lowers: this.#lowers.drain().scores };
  }

  /** Forgets rows that `floor`, which has risen since, leaves out. */
  #drop(floor: number): void {
    const kept = this.#uppers.map((upper, i) => (upper < floor ? -1 : i)).filter((i) => i >= 0);
    this.#rows = kept.map((i) => this.#rows[i] as number);
    this.#uppers = kept.map((i) => this.#uppers[i] as number);
  }
}
