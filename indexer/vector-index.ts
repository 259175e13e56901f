/**
 * What an index of vectors does, whatever its algorithm. Held by `test/indexer/vector-index-contract.ts`; an
 * implementation that is approximate says so and is held to the part of the contract that does not speak of exactness.
 */
import type { IndexAlgorithm } from '../common/config.js';
import { EisError } from '../common/errors.js';
import { IMAGE_ID } from '../common/wire.js';
import type { SectionWriter } from './snapshot-file.js';

export interface VectorEntry {
  /** sha256 of the image, 64 lowercase hex digits. */
  readonly id: string;
  /** `dim` finite numbers, L2-normalised where scores are to be cosines. It is copied. */
  readonly vector: Float32Array;
}

/** One found vector; ranked by `compareHits` of `common/vector.ts`. */
export interface Hit {
  readonly id: string;
  /** The dot product with the query, accumulated in float64 in the order of the components. */
  readonly score: number;
}

/** Some ids. What becomes of them while a search runs, it may or may not see. */
export interface Among {
  has(id: string): boolean;
  /** All of them, 32 bytes each, one after the other, in pieces that are good until the next is asked for. */
  pieces(): Iterable<Uint8Array>;
}

export interface SearchOptions {
  /** How many hits each query gets at most; 1 or more. */
  readonly top: number;
  /** Only these are candidates: the top is the top of those. It takes about as long as they are many. */
  readonly among?: Among | undefined;
  /** Aborted before the search's turn came: it is not done. What runs is not interrupted. */
  readonly signal?: AbortSignal | undefined;
}

/** One pass over the vectors, of the searches of that moment. */
export interface FinishedScan {
  readonly seconds: number;
  readonly queries: number;
  /** Vectors that were scored again where a scan only estimates, of all queries together. */
  readonly rescored?: number;
}

export interface VectorIndex {
  readonly algorithm: IndexAlgorithm;
  readonly dim: number;
  /** How many ids it holds. */
  readonly size: number;
  /** Bytes of vectors and ids. */
  readonly memoryBytes: number;

  /**
   * Adds vectors, or replaces those of ids that it holds: all of them are found by every search that starts after the
   * returned promise. Called with thousands at once it may delay the event loop; callers slice.
   *
   * @throws EisError EIS_VECTOR_INVALID (another length, or not finite), EIS_IMAGE_ID_INVALID: then nothing was changed
   */
  upsert(entries: readonly VectorEntry[]): Promise<void>;

  /** Removes ids; unknown ones are ignored. No search answers them from the moment this is called. */
  remove(ids: readonly string[]): Promise<void>;

  /**
   * The best hits of each query, best first. The answer is that of the moment the search starts, less what was removed
   * until it ends; fewer than `top` only when no more candidates are held. Safe to call while writing.
   *
   * @throws EisError EIS_VECTOR_INVALID for a query of another length, EIS_OVERLOADED when too many searches wait,
   *   EIS_NOT_READY after `close`; the signal's reason when it aborts first
   */
  search(queries: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]>;

  /** The vector of an id as it was given, copied; undefined when it is not held. */
  vector(id: string): Promise<Float32Array | undefined>;

  /**
   * Holds what the index has in this moment for saving, while it goes on. Missing where it cannot be saved: then it is
   * filled anew after a restart.
   */
  freeze?(): FrozenIndex;

  /** Resolves when nothing is left to be done of what writes set off in the background: for tests, and whoever measures. */
  settled?(): Promise<void>;

  /** Lets searches that were accepted finish, takes no more, and frees its memory and files. */
  close(options?: CloseOptions): Promise<void>;
}

export interface CloseOptions {
  /** Whether its files stay, for what was saved. */
  readonly isKept?: boolean;
}

/** An index of one moment. */
export interface FrozenIndex {
  /** The index's own: what is saved lies there beside its files. */
  readonly folder: string;
  /** Writes it, and returns what is to be kept of it besides (JSON). */
  write(writer: SectionWriter): Promise<unknown>;
  /**
   * To be called once.
   *
   * @param isSaved whether what was written will be read again, and nothing that was saved before
   */
  end(isSaved: boolean): void;
}

/** Whether every component is a number that can be compared. */
export function isFiniteVector(vector: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += (vector[i] as number) * 0; // NaN for what is not finite, and no branch
  return sum === 0;
}

/**
 * What every index takes.
 *
 * @throws EisError EIS_IMAGE_ID_INVALID, EIS_VECTOR_INVALID (another length, or not finite)
 */
export function checkEntries(entries: readonly VectorEntry[], dim: number): void {
  for (const { id, vector } of entries) {
    if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
    checkLength(vector, dim);
    if (!isFiniteVector(vector)) throw new EisError('EIS_VECTOR_INVALID', { detail: `The vector of ${id} has components that are not finite.` });
  }
}

/** @throws EisError EIS_VECTOR_INVALID */
export function checkLength(vector: Float32Array, dim: number): void {
  if (vector.length !== dim) throw new EisError('EIS_VECTOR_INVALID', { detail: `The vector has ${vector.length} numbers; this index holds vectors of ${dim}.` });
}
