/**
 * Vectors on their way into an index: in shared memory, with room for what memory keeps of them, so that a worker thread
 * computes that where it lies while the file is written from the same place. The memory is used again: what each call of
 * thousands left behind would be garbage of several threads.
 */
import { codeLength, quantiseRow } from './quantisation.js';
import { checksumOf } from './vector-file.js';

export interface StagedMemory {
  readonly memory: SharedArrayBuffer;
  readonly dim: number;
  readonly rows: number;
}

/** Of quantisation.ts and vector-file.ts, by row. */
export interface StagedRows {
  /** One after the other. */
  readonly vectors: Float32Array;
  /** Row r at `[r·codeLength(dim), (r+1)·codeLength(dim))`. */
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  readonly errors: Float32Array;
  readonly norms: Float32Array;
  readonly checksums: Uint32Array;
}

/** Scale, error, norm, checksum. */
const FOUR_BYTE_COLUMNS = 4;
/** Larger ones are not kept. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** Batches that are under way at once, most of the time. */
const KEPT_MAX = 3;

export function viewStaged({ memory, dim, rows }: StagedMemory): StagedRows {
  const stride = codeLength(dim);
  const column = (i: number): [SharedArrayBuffer, number, number] => [memory, rows * 4 * (dim + i), rows];
  return {
    vectors: new Float32Array(memory, 0, rows * dim),
    scales: new Float32Array(...column(0)),
    errors: new Float32Array(...column(1)),
    norms: new Float32Array(...column(2)),
    checksums: new Uint32Array(...column(3)),
    codes: new Int8Array(memory, rows * 4 * (dim + FOUR_BYTE_COLUMNS), rows * stride),
  };
}

/** Computes all columns from the vectors, which are finite numbers. */
export function prepareStaged(staged: StagedMemory): void {
  const { dim, rows } = staged;
  const { vectors, codes, scales, errors, norms, checksums } = viewStaged(staged);
  for (let row = 0; row < rows; row++) {
    const vector = vectors.subarray(row * dim, (row + 1) * dim);
    const { scale, error, norm } = quantiseRow(vector, codes, row * codeLength(dim));
    scales[row] = scale;
    errors[row] = error;
    norms[row] = norm;
    checksums[row] = checksumOf(vector);
  }
}

/** Gives staging memory, and takes it back. */
export class StagingArea {
  readonly #dim: number;
  readonly #free: SharedArrayBuffer[] = [];

  constructor(dim: number) {
    this.#dim = dim;
  }

  take(vectors: readonly Float32Array[]): StagedMemory {
    const bytes = vectors.length * (4 * (this.#dim + FOUR_BYTE_COLUMNS) + codeLength(this.#dim));
    const fits = this.#free.findIndex(({ byteLength }) => byteLength >= bytes);
    const [memory = new SharedArrayBuffer(bytes)] = fits === -1 ? [] : this.#free.splice(fits, 1);
    const staged: StagedMemory = { memory, dim: this.#dim, rows: vectors.length };
    const room = viewStaged(staged).vectors;
    vectors.forEach((vector, i) => room.set(vector, i * this.#dim));
    return staged;
  }

  /** Nobody may look at it any more. */
  giveBack({ memory }: StagedMemory): void {
    if (memory.byteLength > KEPT_BYTES_MAX) return;
    if (this.#free.length >= KEPT_MAX) this.#free.shift();
    this.#free.push(memory);
  }
}
