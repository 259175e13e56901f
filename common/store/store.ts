/**
 * The store: the only truth, from which every index can be rebuilt. One contract for every implementation (LMDB on one
 * machine, MongoDB in a cluster), held by `test/common/store/store-contract.ts`.
 */
import type { ModelDefinition } from '../config.js';
import { EisError } from '../errors.js';
import type { GivenMetadata } from '../metadata.js';
import { ALL_SLOTS, type SlotRange } from '../slots.js';
import type { LedgerState } from '../wire.js';
import type { RecallMeasurement, ReembeddingStep } from '../wire-queues.js';

export type { RecallMeasurement };

/** One distinct image under one model version. */
export interface ImageRecord {
  /** sha256 of the bytes, 64 hex digits: exact duplicates meet by construction. */
  readonly id: string;
  /** L2-normalised; its length is the collection's `dim`. */
  readonly vector: Float32Array;
  /** Sources, in the order they came; bounded by `urlsPerImageMax`. */
  readonly urls: readonly string[];
  /** 64-bit perceptual hash, 16 hex digits. */
  readonly phash: string;
  readonly width: number;
  readonly height: number;
  readonly format: string;
  /** Undefined: none was ever given. */
  readonly metadata?: GivenMetadata | undefined;
}

export interface StoredRecord extends ImageRecord {
  /** ms since the epoch, by the server's clock. */
  readonly createdAt: number;
  /** Moved only by a real change; never decreases. */
  readonly updatedAt: number;
  /** Set: a tombstone. Ingesting the image again clears it. */
  readonly deletedAt: number | undefined;
  /** Id of the image that stands for its group of near-duplicates, maybe its own; undefined: it is alone. Ingesting a deleted image again clears it. */
  readonly canonical?: string | undefined;
}

/** Another group for an image: see `StoredRecord.canonical`. */
export interface GroupWrite {
  readonly id: string;
  readonly canonical: string | undefined;
}

/** An image on its way into the store. Without metadata, it keeps what it has. */
export interface ImageWrite extends Omit<ImageRecord, 'urls'> {
  readonly url: string;
  /**
   * Identifies the delivery that writes: the same origin writing the same image again (a redelivery after a crash)
   * gets the same outcome as the first time.
   */
  readonly origin: string;
  /** When the wrapper took it, ms since the epoch: see `VectorCollection.delete`. Undefined: now. */
  readonly givenAt?: number;
}

/** `stored`: the image is new here (or revived by this origin); `duplicate`: another origin had stored it before. */
export type WriteOutcome = 'stored' | 'duplicate';

/** A change as the follower sees it first: key only. Tombstones are changes too. */
export interface ChangeKey {
  readonly id: string;
  readonly updatedAt: number;
}

/** All images of one model version: vectors of different versions never mix. */
export interface VectorCollection {
  readonly model: string;
  readonly version: string;

  /**
   * Writes images, each atomically; the batch need not be. The same image from another source adds its URL, and metadata
   * takes the place of what was given before it (by `givenAt`, whatever the order of the writes); the same again is no change.
   *
   * @returns the outcome of each, in order
   */
  write(images: readonly ImageWrite[]): Promise<WriteOutcome[]>;

  /**
   * Sets the tombstone, also where the image is not here: what is still on its way here is deleted as well, whatever the
   * order of the writes.
   *
   * @param at by the clock of `ImageWrite.givenAt`: a write that was given before is answered as if it had come before, and changes
   *   nothing; a later one is a new image. Default: any write is
   * @returns whether the image was living
   */
  delete(id: string, at?: number): Promise<boolean>;

  /**
   * Puts living images into groups, or out of them; the batch need not be atomic. It is a change of an image only where it
   * had another group; unknown and deleted ones are left as they are.
   *
   * @returns how many were changed
   */
  setGroups(writes: readonly GroupWrite[]): Promise<number>;

  /** What a job left here for its next run under a name; undefined: nothing. It goes with the version. */
  readNote(name: string): Promise<unknown>;

  /** @param value JSON */
  writeNote(name: string, value: unknown): Promise<void>;

  /** The records of these ids, tombstones included, unknown ids left out, in no particular order. */
  getMany(ids: readonly string[]): Promise<StoredRecord[]>;

  /**
   * Every living record of the slots, in batches, for loading an index. A write meanwhile may or may not be seen. Vectors
   * are good until the next batch is asked for: the store may use their memory again.
   */
  scan(slots: SlotRange): AsyncIterable<StoredRecord[]>;

  /** The keys of what changed at `since` (ms) or later, tombstones included, oldest first, in batches. */
  changes(slots: SlotRange, since: number): AsyncIterable<ChangeKey[]>;

  /** The keys of every living record of the slots, in batches, for reconciling. */
  keys(slots: SlotRange): AsyncIterable<ChangeKey[]>;

  /** How many living records there are. */
  count(): Promise<number>;
}

/** Which version of a model is searched. */
export interface LiveVersion {
  readonly version: string;
  readonly dim: number;
}

export interface LedgerKey {
  readonly submission: string;
  readonly source: string;
  readonly model: string;
}

export interface LedgerEntry extends LedgerKey {
  readonly state: LedgerState;
  /** Of the image: set when `stored` or `duplicate`. */
  readonly id?: string | undefined;
  /** Why, when `rejected` or `dead`. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** ms since the epoch. */
  readonly updatedAt: number;
}

/** An outcome to be written. */
export type LedgerOutcome = Omit<LedgerEntry, 'updatedAt'> & { readonly state: Exclude<LedgerState, 'accepted'> };

export interface LedgerQueryOptions {
  readonly submission?: string | undefined;
  readonly state?: LedgerState | undefined;
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

export interface LedgerPage {
  readonly entries: LedgerEntry[];
  /** An opaque cursor; undefined on the last page. */
  readonly next: string | undefined;
}

/** What became of every image that was accepted, keyed by (submission, source, model). */
export interface Ledger {
  /** Notes sources as `accepted`, unless the ledger knows them already. */
  accept(keys: readonly LedgerKey[]): Promise<void>;

  /** Writes terminal states; the first one wins. Returns what stands now, in order. */
  settle(outcomes: readonly LedgerOutcome[]): Promise<LedgerEntry[]>;

  /** What stands for these keys, in order; undefined for a key it does not know. */
  getMany(keys: readonly LedgerKey[]): Promise<(LedgerEntry | undefined)[]>;

  list(options: LedgerQueryOptions): Promise<LedgerPage>;

  /** How many entries of a submission are in which state. */
  counts(submission: string): Promise<Record<LedgerState, number>>;

  /** Sets `dead` entries back to `accepted`, for a replay; others stay: a second copy of a dead letter must not reopen what the first one came to. */
  reopen(keys: readonly LedgerKey[]): Promise<void>;
}

/** A model on its way to other weights; at most one for each model. */
export interface Reembedding {
  readonly model: string;
  readonly step: ReembeddingStep;
  /** What it is embedded with from now on. */
  readonly to: ModelDefinition;
  /** The version that was searched when it began. */
  readonly from: LiveVersion;
  /** The version of `to`, once its function said so. */
  readonly version?: LiveVersion;
  /** Of the images that were known before. */
  readonly submission?: string;
  /** Images that the former version has and the new one has not, when that was last looked at. */
  readonly missing?: number;
  /** How many of the nearest `k` both versions agree on, as a share, over a sample of stored images. */
  readonly agreement?: { readonly overlap: number; readonly k: number; readonly sampled: number; readonly among: number };
  /** How well both versions find altered copies of stored images. */
  readonly recall?: RecallMeasurement;
  /** When it was begun, by the clock of who began it; ms since the epoch. */
  readonly startedAt: number;
  /** How often it was saved; 0: never. */
  readonly revision: number;
  /** ms since the epoch. */
  readonly updatedAt: number;
}

/** The re-embeddings that are under way: what makes a command that was killed go on. */
export interface Reembeddings {
  get(model: string): Promise<Reembedding | undefined>;

  list(): Promise<Reembedding[]>;

  /**
   * Saves it, if it stands there with the revision that it has (0: if there is none yet).
   *
   * @returns it with its next revision; undefined when somebody else saved or removed it meanwhile
   */
  save(job: Omit<Reembedding, 'updatedAt'>): Promise<Reembedding | undefined>;

  remove(model: string): Promise<void>;
}

export interface Store {
  readonly ledger: Ledger;
  readonly reembeddings: Reembeddings;

  /** The version of a model that is searched; undefined before its first image. */
  liveVersion(model: string): Promise<LiveVersion | undefined>;

  /**
   * Names the version that is searched. With `onlyIfAbsent`, a version named before stays, and is returned.
   *
   * @returns what stands now
   */
  setLiveVersion(model: string, live: LiveVersion, options?: { readonly onlyIfAbsent?: boolean }): Promise<LiveVersion>;

  /**
   * The collection of one model version, made when it is not there yet.
   *
   * @param dim length of its vectors; writing another length is an EIS_VECTOR_INVALID
   */
  collection(model: string, live: LiveVersion): VectorCollection;

  /**
   * Removes every image of a version, tombstones included, and what jobs noted of it. Doing it again changes nothing.
   *
   * @throws EisError EIS_STORE_REFUSED when it is the version that is searched
   */
  removeVersion(model: string, live: LiveVersion): Promise<void>;

  close(): Promise<void>;
}

/** The key alone, of anything that has one. */
export function ledgerKey({ submission, source, model }: LedgerKey): LedgerKey {
  return { submission, source, model };
}

/** The name of a version's collection: `vectors_<model>_<first 8 of the version>`. */
export function versionName(model: string, version: string): string {
  return `vectors_${model}_${version.slice(0, 8)}`;
}

/** Whether a collection has no living record; it is not read further than to the first. */
export async function isEmpty(collection: VectorCollection): Promise<boolean> {
  for await (const keys of collection.keys(ALL_SLOTS)) if (keys.length > 0) return false;
  return true;
}

/** The error for removing a version that is searched. */
export function versionIsLive(model: string, { version }: LiveVersion): EisError {
  return new EisError('EIS_STORE_REFUSED', { detail: `version ${version.slice(0, 8)} of model ${model} is the one that is searched. Switch to another before it is removed.` });
}
