/**
 * A k-d tree (Bentley 1975) with bounding boxes over rows of vectors: built by splitting at the median of the widest
 * dimension until a leaf has few rows, which makes it complete: node n has the children 2n+1 and 2n+2, and which rows a
 * node has follows from its number alone. It is a list of places (`kd-rows.ts`) and a list of boxes, nothing per row.
 */
import type { KdRows, RowsMemory } from './kd-rows.js';

/** A leaf's rows at most: fewer make more boxes to bound, more make more rows to score for nothing. */
export const LEAF_ROWS_MAX = 64;

/** In shared memory. Of at least one row. */
export interface KdTree {
  /** Levels below the root: the leaves are the 2^depth nodes of the last one. */
  readonly depth: number;
  /** Places of rows; those of one node lie side by side. */
  readonly places: Uint32Array;
  /** Of node n: the least of every component at `[2·n·dim, (2·n+1)·dim)`, the greatest at `[(2·n+1)·dim, (2·n+2)·dim)`. */
  readonly boxes: Float32Array;
}

export interface BuildTask {
  readonly version: number;
  readonly rows: RowsMemory;
  /** The rows to be built of, as far as they live at `version`. */
  readonly places: readonly Uint32Array[];
  /** 2 or more. */
  readonly leafRowsMax: number;
}

export interface Built {
  /** Undefined when no row lives. */
  readonly tree: KdTree | undefined;
  /** The rows that are in no tree any more. */
  readonly dead: Uint32Array;
}

/** The first row of the node at `position` of a level, from 0; where it ends, its neighbour begins. */
export function firstRow(rows: number, level: number, position: number): number {
  return Math.floor((rows * position) / 2 ** level);
}

/** A tree of the rows that live at the task's version. */
export function buildTree(rows: KdRows, { version, places, leafRowsMax }: Omit<BuildTask, 'rows'>): Built {
  const given = places.reduce((sum, { length }) => sum + length, 0);
  const living = new Uint32Array(new SharedArrayBuffer(given * Uint32Array.BYTES_PER_ELEMENT));
  const dead = new Uint32Array(given);
  let alive = 0;
  let gone = 0;
  for (const list of places) {
    for (const place of list) {
      if (rows.isAliveAt(place, version)) living[alive++] = place;
      else dead[gone++] = place;
    }
  }
  const builder = alive > 0 ? new Builder(rows, living.subarray(0, alive), leafRowsMax) : undefined;
  return { tree: builder?.build(), dead: dead.slice(0, gone) };
}

class Builder {
  readonly #rows: KdRows;
  readonly #places: Uint32Array;
  readonly #depth: number;
  readonly #boxes: Float32Array;
  /** By row: the component that the node at work is split by. */
  readonly #keys: Float32Array;

  constructor(rows: KdRows, places: Uint32Array, leafRowsMax: number) {
    this.#rows = rows;
    this.#places = places;
    this.#depth = Math.max(0, Math.ceil(Math.log2(places.length / leafRowsMax)));
    const nodes = 2 ** (this.#depth + 1) - 1;
    this.#boxes = new Float32Array(new SharedArrayBuffer(nodes * 2 * rows.dim * Float32Array.BYTES_PER_ELEMENT));
    this.#keys = new Float32Array(places.length);
  }

  build(): KdTree {
    this.#split(0, 0);
    return { depth: this.#depth, places: this.#places, boxes: this.#boxes };
  }

  #split(level: number, position: number): void {
    const from = firstRow(this.#places.length, level, position);
    const to = firstRow(this.#places.length, level, position + 1);
    const widest = this.#bound(2 ** level - 1 + position, from, to);
    if (level === this.#depth) return;
    if (widest !== undefined) {
      this.#readKeys(from, to, widest);
      selectNth(this.#keys, this.#places, { from, to, nth: firstRow(this.#places.length, level + 1, 2 * position + 1) });
    }
    this.#split(level + 1, 2 * position);
    this.#split(level + 1, 2 * position + 1);
  }

  /** Writes a node's box; returns its widest dimension, undefined when all of its rows are equal. */
  #bound(node: number, from: number, to: number): number | undefined {
    const { dim, vectors, chunkBits, rowMask } = this.#rows;
    const lows = this.#boxes.subarray(2 * node * dim, (2 * node + 1) * dim).fill(Infinity);
    const highs = this.#boxes.subarray((2 * node + 1) * dim, (2 * node + 2) * dim).fill(-Infinity);
    for (let row = from; row < to; row++) {
      const place = this.#places[row] as number;
      const chunk = vectors[place >>> chunkBits] as Float32Array;
      const start = (place & rowMask) * dim;
      for (let i = 0; i < dim; i++) {
        const x = chunk[start + i] as number;
        if (x < (lows[i] as number)) lows[i] = x;
        if (x > (highs[i] as number)) highs[i] = x;
      }
    }
    let widest: number | undefined;
    let widestExtent = 0;
    for (let i = 0; i < dim; i++) {
      const extent = (highs[i] as number) - (lows[i] as number);
      if (extent > widestExtent) [widest, widestExtent] = [i, extent];
    }
    return widest;
  }

  #readKeys(from: number, to: number, dimension: number): void {
    const { dim, vectors, chunkBits, rowMask } = this.#rows;
    for (let row = from; row < to; row++) {
      const place = this.#places[row] as number;
      this.#keys[row] = (vectors[place >>> chunkBits] as Float32Array)[(place & rowMask) * dim + dimension] as number;
    }
  }
}

/**
 * Orders entries `[from, to)`, keys with their places, so that no key before `nth` is greater and none from it on less:
 * Hoare's quickselect, with the median of three as its pivot. It halves runs of equal keys too, so they cost no more.
 */
function selectNth(keys: Float32Array, places: Uint32Array, { from, to, nth }: { readonly from: number; readonly to: number; readonly nth: number }): void {
  let left = from;
  let right = to - 1;
  while (left < right) {
    const pivot = median(keys[left] as number, keys[(left + right) >>> 1] as number, keys[right] as number);
    let i = left;
    let j = right;
    while (i <= j) {
      while ((keys[i] as number) < pivot) i++;
      while ((keys[j] as number) > pivot) j--;
      if (i > j) break;
      const key = keys[i] as number;
      keys[i] = keys[j] as number;
      keys[j] = key;
      const place = places[i] as number;
      places[i++] = places[j] as number;
      places[j--] = place;
    }
    if (nth <= j) right = j;
    else if (nth >= i) left = i;
    else return;
  }
}

function median(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
