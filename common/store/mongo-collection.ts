/**
 * One model version's images in MongoDB. Everything is read from the primary, as a majority has it: a follower that saw
 * a later change before an earlier one on a member that lags would miss the earlier one.
 */
import type { Collection, Document } from 'mongodb';
import { EisError } from '../errors.js';
import { SLOTS, slotOf, type SlotRange } from '../slots.js';
import type { MongoConnection } from './mongo-connection.js';
import { batches, merged } from './mongo-cursors.js';
import { noteId, toKey, toRecord, type ImageDocument, type ImageKeyDocument, type NoteDocument } from './mongo-documents.js';
import { NOTES_COLLECTION, type MongoSchema } from './mongo-schema.js';
import { groupPipeline, imageUpdates, tombstonePipeline } from './mongo-updates.js';
import { isRace, upsertAll } from './mongo-upsert.js';
import type { ChangeKey, GroupWrite, ImageWrite, LiveVersion, StoredRecord, VectorCollection, WriteOutcome } from './store.js';

const BATCH = 256;
const KEY_BATCH = 4096;
/** Cursors that scan at the same time, each in its part of the slots. */
const SCAN_CURSORS = 4;

const KEY_FIELDS = { _id: 1, updated_at: 1, deleted_at: 1 } as const;
const BY_ID = { slot: 1, _id: 1 } as const;
const BY_CHANGE = { updated_at: 1, slot: 1, _id: 1 } as const;

export interface MongoCollectionOptions {
  readonly connection: MongoConnection;
  readonly schema: Pick<MongoSchema, 'ensure'>;
  readonly name: string;
  readonly model: string;
  readonly live: LiveVersion;
  readonly urlsPerImageMax: number;
}

export class MongoCollection implements VectorCollection {
  readonly #options: MongoCollectionOptions;
  readonly #images: Collection<ImageDocument>;
  readonly #notes: Collection<NoteDocument>;

  constructor(options: MongoCollectionOptions) {
    this.#options = options;
    this.#images = options.connection.db.collection(options.name);
    this.#notes = options.connection.db.collection(NOTES_COLLECTION);
  }

  get model(): string {
    return this.#options.model;
  }

  get version(): string {
    return this.#options.live.version;
  }

  async write(images: readonly ImageWrite[]): Promise<WriteOutcome[]> {
    const { live, model, schema, name, urlsPerImageMax } = this.#options;
    const misfit = images.find(({ vector }) => vector.length !== live.dim);
    if (misfit) throw new EisError('EIS_VECTOR_INVALID', { detail: `The vector of image ${misfit.id} has ${misfit.vector.length} numbers; the collection of model ${model} holds ${live.dim}.` });
    if (images.length === 0) return [];
    await schema.ensure(name);
    const origins = await this.#upsert(imageUpdates(images, urlsPerImageMax));
    return images.map(({ id, origin }) => (origins.get(id) === origin ? 'stored' : 'duplicate'));
  }

  /** Applies updates, and reads which origin each of their images has then. A causally consistent session: after an election, the new primary answers once it knows of the write. */
  #upsert(updates: ReturnType<typeof imageUpdates>): Promise<Map<string, string>> {
    return this.#run(() =>
      this.#options.connection.client.withSession({ causalConsistency: true }, async (session) => {
        await upsertAll(this.#images, updates, session);
        const ids = updates.map(({ id }) => id);
        const standing = await this.#images.find({ _id: { $in: ids } }, { projection: { origin: 1 }, batchSize: ids.length + 1, session }).toArray();
        if (standing.length < ids.length) throw new EisError('EIS_STORE_UNAVAILABLE', { detail: 'an image is gone right after it was written: somebody drops the collection.' }, { retryAfterS: 1 });
        return new Map(standing.map(({ _id, origin }) => [_id, origin]));
      }),
    );
  }

  async delete(id: string, at = 0): Promise<boolean> {
    await this.#options.schema.ensure(this.#options.name);
    const bury = () => this.#images.findOneAndUpdate({ _id: id }, tombstonePipeline(id, at), { upsert: true, returnDocument: 'before', projection: { deleted_at: 1 } });
    const before = await this.#run(() => bury().catch((error: unknown) => (isRace(error) ? bury() : Promise.reject(error as Error))));
    return before !== null && before.deleted_at === undefined;
  }

  async setGroups(writes: readonly GroupWrite[]): Promise<number> {
    let changed = 0;
    for (let i = 0; i < writes.length; i += KEY_BATCH) {
      const operations = writes.slice(i, i + KEY_BATCH).map(({ id, canonical }) => ({ updateOne: { filter: { _id: id, deleted_at: { $exists: false } }, update: groupPipeline(canonical) } }));
      changed += (await this.#run(() => this.#images.bulkWrite(operations, { ordered: false }))).modifiedCount;
    }
    return changed;
  }

  async readNote(name: string): Promise<unknown> {
    const note = await this.#run(() => this.#notes.findOne({ _id: noteId(this.#options.name, name) }));
    return note ? (JSON.parse(note.value) as unknown) : undefined;
  }

  async writeNote(name: string, value: unknown): Promise<void> {
    const written = [{ $replaceWith: { _id: '$_id', value: { $literal: JSON.stringify(value) }, updated_at: '$$NOW' } }];
    await this.#run(() => upsertAll(this.#notes, [{ id: noteId(this.#options.name, name), pipeline: written }]));
  }

  async getMany(ids: readonly string[]): Promise<StoredRecord[]> {
    const documents = await this.#run(() => this.#images.find({ _id: { $in: ids } }, { projection: { origin: 0 } }).toArray());
    return documents.map(toRecord);
  }

  async *scan(slots: SlotRange): AsyncGenerator<StoredRecord[]> {
    const stop = new AbortController();
    const parts = parted(slots, SCAN_CURSORS).map((part) => this.#inSlots<ImageDocument>({ slots: part, projection: { origin: 0 }, batchSize: BATCH, signal: stop.signal }));
    for await (const documents of merged(parts, stop)) yield documents.filter(isLiving).map(toRecord);
  }

  async *keys(slots: SlotRange): AsyncGenerator<ChangeKey[]> {
    for await (const documents of this.#inSlots<ImageKeyDocument>({ slots, projection: KEY_FIELDS, batchSize: KEY_BATCH })) yield documents.filter(isLiving).map(toKey);
  }

  /** Everything in a range of slots, tombstones included, which are few, so that the index alone answers: in the order of ids. */
  #inSlots<T extends { readonly _id: string }>({ slots, projection, batchSize, signal }: { readonly slots: SlotRange; readonly projection: Document; readonly batchSize: number; readonly signal?: AbortSignal }): AsyncGenerator<T[]> {
    const open = (last: T | undefined) => {
      const rest = last ? { slot: { $gte: slotOf(last._id), $lt: slots.end }, _id: { $gt: last._id } } : { slot: { $gte: slots.start, $lt: slots.end } };
      return this.#images.find<T>(rest, { projection, sort: BY_ID, batchSize });
    };
    return batches({ open, connection: this.#options.connection, ...(signal ? { signal } : {}) });
  }

  async *changes(slots: SlotRange, since: number): AsyncGenerator<ChangeKey[]> {
    let last: ChangeKey | undefined;
    // A cursor that goes on after another one gives what has the time of the last key once more.
    const isNew = ({ id, updatedAt }: ChangeKey): boolean => last === undefined || updatedAt > last.updatedAt || (updatedAt === last.updatedAt && id > last.id);
    const open = (from: ImageKeyDocument | undefined) =>
      this.#images.find<ImageKeyDocument>({ updated_at: { $gte: from?.updated_at ?? new Date(since) }, slot: { $gte: slots.start, $lt: slots.end } }, { projection: { _id: 1, updated_at: 1 }, sort: BY_CHANGE, batchSize: KEY_BATCH });
    for await (const documents of batches({ open, connection: this.#options.connection })) {
      const keys = documents.map(toKey).filter(isNew);
      last = keys.at(-1) ?? last;
      if (keys.length > 0) yield keys;
    }
  }

  async count(): Promise<number> {
    const living = { $sum: { $cond: [{ $eq: [{ $ifNull: ['$deleted_at', null] }, null] }, 1, 0] } };
    const [total] = await this.#run(() => this.#images.aggregate<{ living: number }>([{ $match: { slot: { $gte: 0, $lt: SLOTS } } }, { $group: { _id: null, living } }]).toArray());
    return total?.living ?? 0;
  }

  #run<T>(operation: () => Promise<T>): Promise<T> {
    return this.#options.connection.run(operation);
  }
}

function isLiving({ deleted_at }: { readonly deleted_at?: Date | null }): boolean {
  return deleted_at === undefined || deleted_at === null;
}

/** A range of slots in up to `count` parts of about one size. */
function parted({ start, end }: SlotRange, count: number): SlotRange[] {
  const edge = (i: number): number => start + Math.floor(((end - start) * i) / count);
  return Array.from({ length: count }, (_, i) => ({ start: edge(i), end: edge(i + 1) })).filter((part) => part.start < part.end);
}
