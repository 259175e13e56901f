/**
 * What filters say of each image of a shard: a bit a row of the catalog, found once for a filter and kept up by every write, for as
 * long as it is among those that were asked for lately. So a filter costs a look at all metadata when it is new, in short steps
 * between which the event loop turns, one filter after the other; and next to nothing when it comes again.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { Filter } from '../common/filter.js';
import { ID_BYTES } from './row-chunk.js';
import type { Among } from './vector-index.js';

/** Rows that are looked at in one turn of the event loop: less than a millisecond. */
const SLICE_ROWS = 4_096;
/** Ids of one piece. */
const PIECE_IDS = 4_096;
/** Each costs every write a look at the image that is written. */
const FILTERS_MAX = 128;
const WORD_BITS = 32;
const WORD_SHIFT = 5;
const GROWTH = 1.25;

/** Rows of images that have metadata. */
export interface FilteredRows {
  /** All rows have numbers below it. */
  readonly rowsEnd: number;
  /** The row of an image; undefined for one that is not here. */
  rowOf(id: string): number | undefined;
  /** Writes the 32 bytes of the id of a row's image. */
  copyId(row: number, target: Uint8Array, at: number): void;
  /** Whether the metadata of a row match, as of when it is asked; no image is there: it does not. */
  rowTest(filter: Filter): (row: number) => boolean;
  /** Has one listener told of each row whose metadata may match otherwise from now on. */
  watch(changed: (row: number) => void): void;
}

/** The images that match a filter, as of when they are asked for. */
export interface Matching extends Among {
  readonly size: number;
}

export class FilterVerdicts {
  readonly #rows: FilteredRows;
  readonly #bytesMax: number;
  /** By the filter's JSON; the one that was asked for last comes last. */
  readonly #verdicts = new Map<string, Verdict>();
  #turn: Promise<unknown> = Promise.resolve();

  /** @param options.bytesMax memory of those that no search holds */
  constructor(rows: FilteredRows, { bytesMax }: { readonly bytesMax: number }) {
    this.#rows = rows;
    this.#bytesMax = bytesMax;
    rows.watch((row) => {
      for (const verdict of this.#verdicts.values()) verdict.judge(row);
    });
  }

  get memoryBytes(): number {
    let bytes = 0;
    for (const verdict of this.#verdicts.values()) bytes += verdict.memoryBytes;
    return bytes;
  }

  /** The images that match, to be released; searches that ask at once for what is new share the work. */
  async hold(filter: Filter): Promise<Matching> {
    const key = JSON.stringify(filter);
    const verdict = this.#verdicts.get(key) ?? this.#begin(filter);
    this.#verdicts.delete(key);
    this.#verdicts.set(key, verdict);
    verdict.holders++;
    this.#forget();
    await verdict.whenJudged;
    return verdict;
  }

  /** Once for every `hold`, with what it gave. */
  release(matching: Matching): void {
    (matching as Verdict).holders--;
    this.#forget();
  }

  #begin(filter: Filter): Verdict {
    const verdict = new Verdict(this.#rows, filter);
    this.#turn = verdict.whenJudged = this.#turn.then(() => verdict.judgeAll());
    return verdict;
  }

  /** Lets go of the oldest ones that no search holds, until the others fit. */
  #forget(): void {
    let bytes = this.memoryBytes;
    for (const [key, verdict] of this.#verdicts) {
      if (bytes <= this.#bytesMax && this.#verdicts.size <= FILTERS_MAX) return;
      if (verdict.holders > 0) continue;
      this.#verdicts.delete(key);
      bytes -= verdict.memoryBytes;
    }
  }
}

/** One filter's bits, by row. */
class Verdict implements Matching {
  holders = 0;
  whenJudged: Promise<void> = Promise.resolve();
  readonly #rows: FilteredRows;
  readonly #matches: (row: number) => boolean;
  #bits: Uint32Array;
  #size = 0;

  constructor(rows: FilteredRows, filter: Filter) {
    this.#rows = rows;
    this.#matches = rows.rowTest(filter);
    this.#bits = new Uint32Array(Math.ceil(rows.rowsEnd / WORD_BITS));
  }

  get size(): number {
    return this.#size;
  }

  get memoryBytes(): number {
    return this.#bits.byteLength;
  }

  has(id: string): boolean {
    const row = this.#rows.rowOf(id);
    return row !== undefined && ((this.#bits[row >>> WORD_SHIFT] ?? 0) & (1 << row)) !== 0;
  }

  *pieces(): Generator<Uint8Array> {
    const piece = new Uint8Array(PIECE_IDS * ID_BYTES);
    let ids = 0;
    for (let word = 0; word < this.#bits.length; word++) {
      for (let left = this.#bits[word] as number; left !== 0; left &= left - 1) {
        const row = word * WORD_BITS + (WORD_BITS - 1 - Math.clz32(left & -left));
        this.#rows.copyId(row, piece, ids++ * ID_BYTES);
        if (ids < PIECE_IDS) continue;
        yield piece;
        ids = 0;
      }
    }
    if (ids > 0) yield piece.subarray(0, ids * ID_BYTES);
  }

  /** Every row; what is written meanwhile is judged by whoever writes it, too. */
  async judgeAll(): Promise<void> {
    for (let row = 0; row < this.#rows.rowsEnd; await yieldToLoop()) {
      for (const end = Math.min(this.#rows.rowsEnd, row + SLICE_ROWS); row < end; row++) this.judge(row);
    }
  }

  judge(row: number): void {
    const word = row >>> WORD_SHIFT;
    const bit = 1 << row;
    const matched = ((this.#bits[word] ?? 0) & bit) !== 0;
    if (this.#matches(row) === matched) return;
    if (word >= this.#bits.length) this.#grow(word + 1);
    (this.#bits[word] as number) ^= bit;
    this.#size += matched ? -1 : 1;
  }

  #grow(words: number): void {
    const bits = new Uint32Array(Math.max(words, Math.ceil(this.#bits.length * GROWTH)));
    bits.set(this.#bits);
    this.#bits = bits;
  }
}
