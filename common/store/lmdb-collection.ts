/**
 * One model version's images in LMDB. Three databases: what is known of an image by its id, its vector by its id (apart,
 * so that reading keys and metadata does not touch the vectors), and the ids by the time of their last change.
 */
import type { Database, RootDatabase } from 'lmdb';
import { EisError } from '../errors.js';
import { hasSameValues, latestMetadata, type GivenMetadata } from '../metadata.js';
import { hasSlot, idBounds, type SlotRange } from '../slots.js';
import { decodeVector, encodeVector } from '../vector.js';
import { commit, guard, paged } from './lmdb-guard.js';
import type { ChangeKey, GroupWrite, ImageWrite, LiveVersion, StoredRecord, VectorCollection, WriteOutcome } from './store.js';

interface ImageDocument {
  urls: string[];
  phash: string;
  width: number;
  height: number;
  format: string;
  createdAt: number;
  updatedAt: number;
  deletedAt?: number | undefined;
  /** Of a tombstone: writes that were given before leave it standing. */
  removedAt?: number | undefined;
  canonical?: string | undefined;
  /** The delivery that stored it: see `ImageWrite.origin`. */
  origin: string;
  metadata?: GivenMetadata | undefined;
}

/** With 1,280 numbers each, vectors of 1.3 MB. */
const PAGE = 256;
/** Small, so that what a page leaves is collected while it is young: it is read by every poll of every index. */
const KEY_PAGE = 256;

/** What is known of an image that was deleted before it came. */
const UNKNOWN_IMAGE = { urls: [], phash: '', width: 0, height: 0, format: '', origin: '' };

/** A string between an id and the next one: ids are of one length. */
const after = (id: string): string => `${id}!`;

export class LmdbCollection implements VectorCollection {
  readonly model: string;
  readonly version: string;
  readonly #dim: number;
  readonly #urlsPerImageMax: number;
  readonly #images: Database<ImageDocument, string>;
  readonly #vectors: Database<Buffer, string>;
  readonly #changes: Database<true, [updatedAt: number, id: string]>;
  readonly #notes: Database<unknown, string>;

  constructor(root: RootDatabase, options: { readonly name: string; readonly model: string; readonly live: LiveVersion; readonly urlsPerImageMax: number }) {
    this.model = options.model;
    this.version = options.live.version;
    this.#dim = options.live.dim;
    this.#urlsPerImageMax = options.urlsPerImageMax;
    this.#images = root.openDB({ name: options.name });
    this.#vectors = root.openDB({ name: `${options.name}.vectors`, encoding: 'binary' });
    this.#changes = root.openDB({ name: `${options.name}.changes` });
    this.#notes = root.openDB({ name: `${options.name}.notes` });
  }

  write(images: readonly ImageWrite[]): Promise<WriteOutcome[]> {
    // Checked before anything is written: what stands in a transaction when it throws is committed all the same.
    const misfit = images.find(({ vector }) => vector.length !== this.#dim);
    if (misfit) return Promise.reject(new EisError('EIS_VECTOR_INVALID', { detail: `The vector of image ${misfit.id} has ${misfit.vector.length} numbers; the collection of model ${this.model} holds ${this.#dim}.` }));
    return commit(this.#images, () => {
      const now = this.#now();
      return images.map((image) => this.#writeOne(image, now));
    });
  }

  /** The time of a change: the clock, but never before the last change (a clock may be set back). */
  #now(): number {
    for (const [last] of this.#changes.getKeys({ reverse: true, limit: 1 })) return Math.max(Date.now(), last);
    return Date.now();
  }

  #writeOne(image: ImageWrite, now: number): WriteOutcome {
    const standing = this.#images.get(image.id);
    if (!standing || (standing.deletedAt !== undefined && !isKeptOut(image, standing))) {
      const { phash, width, height, format, origin, metadata } = image;
      const updatedAt = changeTime(now, standing);
      this.#put(image.id, { urls: [image.url], phash, width, height, format, origin, createdAt: updatedAt, updatedAt, ...(metadata && { metadata }) }, standing);
      void this.#vectors.put(image.id, encodeVector(image.vector));
      return 'stored';
    }
    if (standing.deletedAt === undefined) this.#addTo(standing, image, now);
    return standing.origin === image.origin ? 'stored' : 'duplicate';
  }

  #addTo(standing: ImageDocument, image: ImageWrite, now: number): void {
    const isNewUrl = !standing.urls.includes(image.url) && standing.urls.length < this.#urlsPerImageMax;
    const metadata = latestMetadata(standing.metadata, image.metadata);
    if (isNewUrl || metadata !== standing.metadata) {
      const isChange = isNewUrl || !hasSameValues(metadata, standing.metadata);
      const urls = isNewUrl ? [...standing.urls, image.url] : standing.urls;
      this.#put(image.id, { ...standing, urls, ...(metadata && { metadata }), updatedAt: isChange ? changeTime(now, standing) : standing.updatedAt }, standing);
    }
  }

  /** Writes a document and moves its place in the order of changes; inside a transaction. */
  #put(id: string, document: ImageDocument, standing: ImageDocument | undefined): void {
    if (standing) void this.#changes.remove([standing.updatedAt, id]);
    void this.#images.put(id, document);
    void this.#changes.put([document.updatedAt, id], true);
  }

  delete(id: string, at = 0): Promise<boolean> {
    return commit(this.#images, () => {
      const standing = this.#images.get(id);
      if (standing?.deletedAt !== undefined) {
        if (at > (standing.removedAt ?? 0)) void this.#images.put(id, { ...standing, removedAt: at });
        return false;
      }
      const updatedAt = changeTime(this.#now(), standing);
      this.#put(id, { ...(standing ?? { ...UNKNOWN_IMAGE, createdAt: updatedAt }), updatedAt, deletedAt: updatedAt, removedAt: at }, standing);
      if (!standing) void this.#vectors.put(id, Buffer.alloc(0));
      return standing !== undefined;
    });
  }

  /** Forgets every image, and every note. The databases stay, empty: other processes have them open. */
  clear(): Promise<void> {
    return commit(this.#images, () => {
      for (const database of [this.#images, this.#vectors, this.#changes, this.#notes]) database.clearSync();
    });
  }

  async setGroups(writes: readonly GroupWrite[]): Promise<number> {
    let changed = 0;
    for (let i = 0; i < writes.length; i += PAGE) changed += await this.#setGroups(writes.slice(i, i + PAGE));
    return changed;
  }

  #setGroups(writes: readonly GroupWrite[]): Promise<number> {
    return commit(this.#images, () => {
      const now = this.#now();
      return writes.filter(({ id, canonical }) => {
        const standing = this.#images.get(id);
        if (!standing || standing.deletedAt !== undefined || standing.canonical === canonical) return false;
        this.#put(id, { ...standing, canonical, updatedAt: changeTime(now, standing) }, standing);
        return true;
      }).length;
    });
  }

  readNote(name: string): Promise<unknown> {
    return guard(() => this.#notes.get(name));
  }

  async writeNote(name: string, value: unknown): Promise<void> {
    await commit(this.#notes, () => void this.#notes.put(name, value));
  }

  getMany(ids: readonly string[]): Promise<StoredRecord[]> {
    return guard(() =>
      ids.flatMap((id) => {
        const document = this.#images.get(id);
        return document ? this.#toRecords(id, document) : [];
      }),
    );
  }

  /** @param room for the vector, where it fits */
  #toRecords(id: string, { urls, phash, width, height, format, metadata, createdAt, updatedAt, deletedAt, canonical }: ImageDocument, room?: Float32Array): StoredRecord[] {
    const bytes = this.#vectors.getBinaryFast(id); // LMDB's own, larger than it says, and good until it reads again
    return bytes ? [{ id, vector: decodeVector(bytes.subarray(0, bytes.length), room), urls, phash, width, height, format, metadata, createdAt, updatedAt, deletedAt, canonical }] : [];
  }

  async *scan(slots: SlotRange): AsyncIterable<StoredRecord[]> {
    const room = new Float32Array(PAGE * this.#dim);
    for await (const page of this.#livingPages(slots, PAGE)) {
      yield page.flatMap(({ id, document }, i) => this.#toRecords(id, document, room.subarray(i * this.#dim, (i + 1) * this.#dim)));
    }
  }

  async *keys(slots: SlotRange): AsyncIterable<ChangeKey[]> {
    for await (const page of this.#livingPages(slots, KEY_PAGE)) yield page.map(({ id, document }) => ({ id, updatedAt: document.updatedAt }));
  }

  async *#livingPages(slots: SlotRange, limit: number): AsyncGenerator<{ id: string; document: ImageDocument }[]> {
    const { first, end } = idBounds(slots);
    const readPage = (last: { id: string } | undefined): { id: string; document: ImageDocument }[] =>
      Array.from(this.#images.getRange({ start: last ? after(last.id) : first, ...(end === undefined ? {} : { end }), limit }), ({ key, value }) => ({ id: key, document: value }));
    for await (const page of paged(readPage)) yield page.filter(({ document }) => document.deletedAt === undefined);
  }

  async *changes(slots: SlotRange, since: number): AsyncIterable<ChangeKey[]> {
    const readPage = (last: ChangeKey | undefined): ChangeKey[] =>
      Array.from(this.#changes.getKeys({ start: last ? [last.updatedAt, after(last.id)] : [since, ''], limit: KEY_PAGE }), ([updatedAt, id]) => ({ id, updatedAt }));
    for await (const page of paged(readPage)) {
      const inSlots = page.filter(({ id }) => hasSlot(slots, id));
      if (inSlots.length > 0) yield inSlots;
    }
  }

  async count(): Promise<number> {
    let living = 0;
    for await (const page of this.#livingPages({ start: 0, end: 65_536 }, KEY_PAGE)) living += page.length;
    return living;
  }
}

/** Whether an image was deleted after this write of it was given. */
function isKeptOut({ givenAt = Infinity }: ImageWrite, { removedAt = 0 }: ImageDocument): boolean {
  return givenAt < removedAt;
}

/** Every change of an image has a time of its own, even within a millisecond: a follower tells changes apart by it. */
function changeTime(now: number, standing: ImageDocument | undefined): number {
  return standing ? Math.max(now, standing.updatedAt + 1) : now;
}
