/**
 * Embeddings as the whole system sees them: float32, L2-normalised. Similarity is the cosine, which for unit vectors
 * is the dot product: range [-1, 1], **higher is closer**, ties broken by id, ascending. This file alone says so.
 */
import { EisError } from './errors.js';

/** Ranks hits: the higher score first, then the smaller id. A total order, so that merging shards is deterministic. */
export function compareHits(a: { readonly score: number; readonly id: string }, b: { readonly score: number; readonly id: string }): number {
  return b.score - a.score || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** The dot product of two vectors of one length, accumulated in float64: the score of unit vectors. `b` may have been widened before, which changes no value. */
export function dot(a: Float32Array, b: Float32Array | Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/**
 * The vector scaled to length 1, as a new array.
 *
 * @throws EisError EIS_VECTOR_INVALID when it has no direction: a component is not finite, or all are zero
 */
export function normalise(vector: ArrayLike<number>): Float32Array {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += (vector[i] as number) ** 2;
  const norm = Math.sqrt(squares);
  if (!Number.isFinite(norm) || norm === 0) {
    throw new EisError('EIS_VECTOR_INVALID', { detail: `A vector of norm ${norm} has no direction, so nothing is similar to it. Every component must be finite, and one not zero.` });
  }
  const unit = new Float32Array(vector.length);
  for (let i = 0; i < vector.length; i++) unit[i] = (vector[i] as number) / norm;
  return unit;
}

/** Of the sum of the weights' magnitudes: a sum that is shorter is what rounding leaves of vectors that cancel each other out. */
const CANCELLED_SHARE = 1e-6;

export interface WeightedVector {
  /** L2-normalised. */
  readonly vector: Float32Array;
  /** Finite; negative: away from it. */
  readonly weight: number;
}

/**
 * The weighted sum of vectors of one length, added up in float64 in their order and scaled to length 1 (Rocchio 1971, with
 * a weight for each document). One vector with a positive weight stays what it is, to the last bit.
 *
 * @throws EisError EIS_QUERY_CANCELLED when next to nothing is left
 */
export function combineVectors(parts: readonly [WeightedVector, ...WeightedVector[]]): Float32Array {
  const [{ vector: first, weight: firstWeight }] = parts;
  if (parts.length === 1 && firstWeight > 0) return first;
  const sum = new Float64Array(first.length);
  for (const { vector, weight } of parts) for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + weight * (vector[i] as number);
  const weights = parts.reduce((total, { weight }) => total + Math.abs(weight), 0);
  if (!(Math.hypot(...sum) > CANCELLED_SHARE * weights)) throw new EisError('EIS_QUERY_CANCELLED', {});
  return normalise(sum);
}

/** Little-endian float32 bytes of vectors, as they travel over HTTP and lie in the store. */
export function encodeVector(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}

/**
 * The vector in little-endian float32 bytes, copied, so that it is aligned and owns its memory.
 *
 * @param room to copy it to when it fits exactly, for who decodes many: then it lies there
 * @throws EisError EIS_VECTOR_INVALID when the bytes are not whole float32 numbers
 */
export function decodeVector(bytes: Uint8Array, room?: Float32Array): Float32Array {
  if (bytes.byteLength % 4 !== 0) {
    throw new EisError('EIS_VECTOR_INVALID', { detail: `${bytes.byteLength} bytes are not whole float32 numbers. Send little-endian float32, 4 bytes each.` });
  }
  if (room?.byteLength === bytes.byteLength) {
    new Uint8Array(room.buffer, room.byteOffset, room.byteLength).set(bytes);
    return room;
  }
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer);
}
