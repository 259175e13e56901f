/** What lies in MongoDB, and what a caller sees of it. Fields that a person reads there are named as such tools name them: `snake_case`. */
import { Binary } from 'mongodb';
import type { Metadata } from '../metadata.js';
import type { LedgerState } from '../wire.js';
import type { ChangeKey, LedgerEntry, StoredRecord } from './store.js';

export interface ImageDocument {
  /** sha256 of the bytes, 64 hex digits. */
  readonly _id: string;
  /** The first 16 bits of `_id`: ids sort as their slots do. */
  readonly slot: number;
  /** A BSON binary vector (subtype 9) of float32. */
  readonly vector: Binary;
  readonly urls: string[];
  readonly phash: string;
  readonly width: number;
  readonly height: number;
  readonly format: string;
  /** Both, or neither: see `GivenMetadata`. */
  readonly metadata?: Metadata;
  readonly metadata_at?: Date;
  /** The delivery that stored it: see `ImageWrite.origin`. */
  readonly origin: string;
  /** The server's clock, as the two below. */
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly deleted_at?: Date;
  /** Of a tombstone: writes that were given before leave it standing. */
  readonly removed_at?: Date;
  /** Of its group of near-duplicates. */
  readonly canonical?: string;
}

/** What indexes hold of an image; an index says null of what is not there. */
export interface ImageKeyDocument {
  readonly _id: string;
  readonly updated_at: Date;
  readonly deleted_at?: Date | null;
}

export interface LedgerDocument {
  /** `ledgerId` of its key. */
  readonly _id: string;
  readonly submission: string;
  readonly source: string;
  readonly model: string;
  readonly state: LedgerState;
  readonly id?: string;
  readonly code?: string;
  readonly message?: string;
  readonly updated_at: Date;
}

/** What a job leaves to its next run. */
export interface NoteDocument {
  /** The collection's name, `/`, the note's. */
  readonly _id: string;
  /** JSON, as text: no key of it means anything to the server. */
  readonly value: string;
  readonly updated_at: Date;
}

/** @param collection the name of the one that it is of */
export function noteId(collection: string, name: string): string {
  return `${collection}/${name}`;
}

/** The version of a model that is searched. */
export interface ModelDocument {
  /** The model's name. */
  readonly _id: string;
  readonly version: string;
  readonly dim: number;
  readonly updated_at: Date;
}

export function toRecord({ _id, vector, urls, phash, width, height, format, ...others }: ImageDocument): StoredRecord {
  const { created_at, updated_at, deleted_at, metadata: values, metadata_at, canonical } = others;
  const metadata = values && metadata_at && { values, givenAt: metadata_at.getTime() };
  return { id: _id, vector: readVector(vector), urls, phash, width, height, format, metadata, createdAt: created_at.getTime(), updatedAt: updated_at.getTime(), deletedAt: deleted_at?.getTime(), canonical };
}

/** Of what is no float32 vector, an empty one, whose length nobody accepts: one odd document must not end the loading of all others. */
function readVector(vector: unknown): Float32Array {
  const isFloat32 = vector instanceof Binary && vector.sub_type === Binary.SUBTYPE_VECTOR && vector.buffer[0] === Binary.VECTOR_TYPE.Float32 && (vector.position - 2) % 4 === 0;
  return isFloat32 ? vector.toFloat32Array() : new Float32Array(0);
}

export function toKey({ _id, updated_at }: ImageKeyDocument): ChangeKey {
  return { id: _id, updatedAt: updated_at.getTime() };
}

export function toEntry({ submission, source, model, state, id, code, message, updated_at }: LedgerDocument): LedgerEntry {
  return { submission, source, model, state, id, code, message, updatedAt: updated_at.getTime() };
}
