/** Reads the query vectors of a request. */
import { EisError } from '../common/errors.js';
import { decodeVector, normalise } from '../common/vector.js';
import { isFiniteVector } from './vector-index.js';

/** A norm this near to 1 is left alone, so that the vectors of the function, normalised in float32, keep every bit. */
const NORM_TOLERANCE = 1e-4;

/**
 * The vectors in a body of little-endian float32, each of length 1.
 *
 * @param dim numbers of each vector
 * @throws EisError EIS_VECTOR_INVALID: no whole number of vectors, too many, not finite, or without a direction
 */
export function readQueries(body: Buffer, { dim, queriesMax }: { readonly dim: number; readonly queriesMax: number }): Float32Array[] {
  const bytes = dim * Float32Array.BYTES_PER_ELEMENT;
  const count = body.byteLength / bytes;
  if (!Number.isInteger(count) || count === 0) {
    throw new EisError('EIS_VECTOR_INVALID', { detail: `The body has ${body.byteLength} bytes; this index takes vectors of ${dim} little-endian float32 numbers, ${bytes} bytes each.` });
  }
  if (count > queriesMax) throw new EisError('EIS_VECTOR_INVALID', { detail: `The body has ${count} vectors; at most ${queriesMax} are taken at once.` });
  return Array.from({ length: count }, (_, i) => toUnit(decodeVector(body.subarray(i * bytes, (i + 1) * bytes))));
}

function toUnit(vector: Float32Array): Float32Array {
  if (!isFiniteVector(vector)) throw new EisError('EIS_VECTOR_INVALID', { detail: 'The vector has components that are not finite numbers.' });
  const norm = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return Math.abs(norm - 1) > NORM_TOLERANCE ? normalise(vector) : vector;
}
