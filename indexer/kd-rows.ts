/**
 * The rows of a kd-tree index in shared memory: written by the main thread, read by the threads that search and build.
 * A row keeps its place for life, so that a tree over the rows is a list of places, and making a new one moves nothing.
 * Places are numbered through chunks of one power of two of rows.
 */

const ID_BYTES = 32;
const CHUNK_BYTES_MAX = 16 * 1024 * 1024;
const CHUNK_BITS_MAX = 16;

/** The chunks as they travel to another thread: shared, not copied. */
export interface RowsMemory {
  readonly dim: number;
  /** A chunk holds `2 ** chunkBits` rows. */
  readonly chunkBits: number;
  readonly chunks: readonly SharedArrayBuffer[];
}

/** Bytes of one row: its vector, when it died, and its id. */
export function kdRowBytes(dim: number): number {
  return dim * Float32Array.BYTES_PER_ELEMENT + Uint32Array.BYTES_PER_ELEMENT + ID_BYTES;
}

/** What a thread sees of the rows. */
export class KdRows {
  readonly dim: number;
  readonly chunkBits: number;
  /** By chunk; the row of place p is row `p & rowMask` of chunk `p >>> chunkBits`, its vector at `[row·dim, (row+1)·dim)`. */
  readonly vectors: Float32Array[] = [];
  readonly rowMask: number;
  readonly #chunks: SharedArrayBuffer[] = [];
  readonly #diedAt: Uint32Array[] = [];
  readonly #ids: Uint8Array[] = [];

  /** @param memory rows that another thread holds; to make rows of one's own: `KdRows.create` */
  constructor({ dim, chunkBits, chunks }: RowsMemory) {
    this.dim = dim;
    this.chunkBits = chunkBits;
    this.rowMask = 2 ** chunkBits - 1;
    chunks.forEach((chunk) => this.#view(chunk));
  }

  /** No rows yet, of vectors of `dim` numbers. */
  static create(dim: number): KdRows {
    const chunkBits = Math.max(0, Math.min(CHUNK_BITS_MAX, Math.floor(Math.log2(CHUNK_BYTES_MAX / kdRowBytes(dim)))));
    return new KdRows({ dim, chunkBits, chunks: [] });
  }

  get memory(): RowsMemory {
    return { dim: this.dim, chunkBits: this.chunkBits, chunks: [...this.#chunks] };
  }

  /** Writes a living row; no other thread may know of the place meanwhile. */
  write(place: number, { id, vector }: { readonly id: string; readonly vector: Float32Array }): void {
    const chunk = place >>> this.chunkBits;
    const row = place & this.rowMask;
    if (chunk === this.#chunks.length) this.#view(new SharedArrayBuffer((this.rowMask + 1) * kdRowBytes(this.dim)));
    (this.vectors[chunk] as Float32Array).set(vector, row * this.dim);
    (this.#ids[chunk] as Uint8Array).set(Buffer.from(id, 'hex'), row * ID_BYTES);
    (this.#diedAt[chunk] as Uint32Array)[row] = 0;
  }

  /** A view of a row's vector. */
  vector(place: number): Float32Array {
    const row = place & this.rowMask;
    return (this.vectors[place >>> this.chunkBits] as Float32Array).subarray(row * this.dim, (row + 1) * this.dim);
  }

  /** Marks a row as gone from `version` on; versions begin at 1. */
  kill(place: number, version: number): void {
    (this.#diedAt[place >>> this.chunkBits] as Uint32Array)[place & this.rowMask] = version;
  }

  isAliveAt(place: number, version: number): boolean {
    const diedAt = (this.#diedAt[place >>> this.chunkBits] as Uint32Array)[place & this.rowMask] as number;
    return diedAt === 0 || diedAt > version;
  }

  /** Whether the id of one row comes before that of another: the order of an id's bytes is the order of its hex digits. */
  precedes(a: number, b: number): boolean {
    const left = this.#ids[a >>> this.chunkBits] as Uint8Array;
    const right = this.#ids[b >>> this.chunkBits] as Uint8Array;
    const leftStart = (a & this.rowMask) * ID_BYTES;
    const rightStart = (b & this.rowMask) * ID_BYTES;
    for (let i = 0; i < ID_BYTES; i++) {
      const difference = (left[leftStart + i] as number) - (right[rightStart + i] as number);
      if (difference !== 0) return difference < 0;
    }
    return false;
  }

  #view(chunk: SharedArrayBuffer): void {
    const capacity = this.rowMask + 1;
    const diedAtStart = capacity * this.dim * Float32Array.BYTES_PER_ELEMENT;
    const idsStart = diedAtStart + capacity * Uint32Array.BYTES_PER_ELEMENT;
    this.#chunks.push(chunk);
    this.vectors.push(new Float32Array(chunk, 0, capacity * this.dim));
    this.#diedAt.push(new Uint32Array(chunk, diedAtStart, capacity));
    this.#ids.push(new Uint8Array(chunk, idsStart, capacity * ID_BYTES));
  }
}
