/** What stands in an HDF5 file, as plain data that the thread which reads it hands out; and how much of it is taken. */

/** Where the bytes of an HDF5 file lie. */
export type Hdf5Source =
  | { readonly kind: 'part'; readonly path: string; /** Of its first byte in the file of `path`. */ readonly start: number; readonly bytes: number }
  | { readonly kind: 'memory'; readonly memory: SharedArrayBuffer };

/** Of the numbers of a dataset, as the file has them. `other`: none that weights are of. */
export type Hdf5Type = 'float16' | 'bfloat16' | 'float32' | 'float64' | 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'bool' | 'other';

export interface Hdf5Dataset {
  readonly shape: readonly number[];
  readonly type: Hdf5Type;
}

/** By paths without a leading slash; the root is ''. */
export interface Hdf5Contents {
  /** Each group with those of its attributes that Keras keeps texts in; a single text is a list of one. */
  readonly groups: ReadonlyMap<string, Readonly<Record<string, readonly string[]>>>;
  readonly datasets: ReadonlyMap<string, Hdf5Dataset>;
}

/** Floating-point numbers as float32, whole ones as int32. Their memory can be shared between threads. */
export interface Hdf5Values {
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly values: Float32Array | Int32Array | Uint8Array;
}

/** What is wrong with a file, in a sentence about it: `its dataset "a" …`. */
export class Hdf5Fault extends Error {}

/** Groups and datasets; the largest networks of Keras have some 4,000. */
export const OBJECTS_MAX = 10_000;
/** Groups within groups: two for each model within a model, and as many as a layer's name has slashes. */
export const GROUPS_DEPTH_MAX = 32;
/** Of one attribute: a topology, or the names of layers. */
export const ATTRIBUTE_BYTES_MAX = 64 * 1024 ** 2;
export const ATTRIBUTE_TEXTS_MAX = 100_000;
/** Of all that is read from a file, in memory. */
export const WEIGHT_BYTES_MAX = 4 * 1024 ** 3;
/** A chunk of a dataset is unpacked in one piece. */
export const CHUNK_BYTES_MAX = 1024 ** 3;
/** No file can be unpacked to more than this many times its size: what DEFLATE packs best it packs 1,032 : 1. */
export const EXPANSION_MAX = 1_100;
