/** What is kept of vectors in memory, computed for many at once: in worker threads, where there are enough to be worth it. */
import { codeLength, quantiseRow } from './quantisation.js';
import { checksumOf } from './vector-file.js';

/** Of quantisation.ts and vector-file.ts, by row. */
export interface PreparedRows {
  /** Row r at `[r·codeLength(dim), (r+1)·codeLength(dim))`. */
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  readonly errors: Float32Array;
  readonly norms: Float32Array;
  readonly checksums: Uint32Array;
}

export interface PrepareTask {
  readonly dim: number;
  /** One vector after the other; finite numbers. */
  readonly vectors: Float32Array;
}

export function prepareRows({ dim, vectors }: PrepareTask): PreparedRows {
  const rows = vectors.length / dim;
  const stride = codeLength(dim);
  const prepared: PreparedRows = { codes: new Int8Array(rows * stride), scales: new Float32Array(rows), errors: new Float32Array(rows), norms: new Float32Array(rows), checksums: new Uint32Array(rows) };
  for (let row = 0; row < rows; row++) {
    const vector = vectors.subarray(row * dim, (row + 1) * dim);
    const { scale, error, norm } = quantiseRow(vector, prepared.codes, row * stride);
    prepared.scales[row] = scale;
    prepared.errors[row] = error;
    prepared.norms[row] = norm;
    prepared.checksums[row] = checksumOf(vector);
  }
  return prepared;
}
