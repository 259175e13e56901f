/** Files of float32 vectors (.f32): little-endian, one vector after the other and nothing else; read and written in slices. */
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';

const READ_BYTES_MAX = 1024 ** 3;

/** Consecutive vectors of a file, valid until the next slice is taken: the memory is used again. */
export interface F32Slice {
  /** The number of its first vector in the file. */
  readonly first: number;
  readonly vectors: readonly Float32Array[];
}

export interface F32Range {
  readonly dim: number;
  /** How many vectors, from the first one of the file. */
  readonly count: number;
  /** Vectors in a slice. */
  readonly sliceRows: number;
}

/**
 * How many vectors a file holds.
 *
 * @throws Error when it does not hold whole vectors of that length
 */
export function countVectors(file: string, dim: number): number {
  const { size } = statSync(file);
  const count = size / (dim * Float32Array.BYTES_PER_ELEMENT);
  if (!Number.isInteger(count)) throw new Error(`${file} has ${size} bytes: no whole number of vectors of ${dim} float32 numbers. Name their length with --dim.`);
  return count;
}

/** The first `count` vectors of a file, in slices. */
export function* readSlices(file: string, { dim, count, sliceRows }: F32Range): Generator<F32Slice> {
  const numbers = new Float32Array(sliceRows * dim);
  const rows = Array.from({ length: sliceRows }, (_, row) => numbers.subarray(row * dim, (row + 1) * dim));
  const descriptor = openSync(file, 'r');
  try {
    for (let first = 0; first < count; first += sliceRows) {
      const taken = Math.min(sliceRows, count - first);
      fill(descriptor, numbers.subarray(0, taken * dim));
      yield { first, vectors: taken === sliceRows ? rows : rows.slice(0, taken) };
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The first `count` vectors of a file in one array, which begins where its buffer does. */
export function readWhole(file: string, { dim, count }: Pick<F32Range, 'dim' | 'count'>): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(count * dim);
  const descriptor = openSync(file, 'r');
  try {
    fill(descriptor, numbers);
  } finally {
    closeSync(descriptor);
  }
  return numbers;
}

/** Appends vectors to a new file. */
export class F32Writer {
  readonly #descriptor: number;
  readonly #slice: Float32Array;
  #filled = 0;

  constructor(file: string, { dim, sliceRows }: Pick<F32Range, 'dim' | 'sliceRows'>) {
    this.#descriptor = openSync(file, 'w');
    this.#slice = new Float32Array(dim * sliceRows);
  }

  write(vector: Float32Array): void {
    this.#slice.set(vector, this.#filled);
    this.#filled += vector.length;
    if (this.#filled === this.#slice.length) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#descriptor);
  }

  #flush(): void {
    const bytes = new Uint8Array(this.#slice.buffer, 0, this.#filled * Float32Array.BYTES_PER_ELEMENT);
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#descriptor, bytes, written);
    this.#filled = 0;
  }
}

function fill(descriptor: number, numbers: Float32Array): void {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  for (let read = 0; read < bytes.length; ) {
    const got = readSync(descriptor, bytes, read, Math.min(READ_BYTES_MAX, bytes.length - read), null);
    if (got === 0) throw new Error(`The file of vectors ends ${bytes.length - read} bytes early.`);
    read += got;
  }
}
