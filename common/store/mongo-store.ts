/**
 * The store in MongoDB: a standalone, a replica set, or a sharded cluster through mongos. What is written is
 * acknowledged by a majority, on its disks, and read as a majority has it, so that no election takes back what was said.
 */
import type { Collection } from 'mongodb';
import { EisError } from '../errors.js';
import { SILENT_LOG, type Log } from '../log.js';
import { MongoCollection } from './mongo-collection.js';
import { MongoConnection } from './mongo-connection.js';
import { noteId, type ModelDocument, type NoteDocument } from './mongo-documents.js';
import { isPassing } from './mongo-errors.js';
import { waitToRetry } from './mongo-guard.js';
import { MongoLedger } from './mongo-ledger.js';
import { MODELS_COLLECTION, MongoSchema, NOTES_COLLECTION, type StoreReport } from './mongo-schema.js';
import { MongoReembeddings } from './mongo-reembeddings.js';
import { isRace } from './mongo-upsert.js';
import { versionIsLive, versionName, type LiveVersion, type Store, type VectorCollection } from './store.js';

export interface MongoStoreOptions {
  readonly uri: string;
  readonly urlsPerImageMax: number;
  /** For one operation. */
  readonly timeoutMs: number;
  readonly log?: Log;
}

export class MongoStore implements Store {
  readonly ledger: MongoLedger;
  readonly reembeddings: MongoReembeddings;
  readonly #options: MongoStoreOptions;
  readonly #log: Log;
  readonly #connection: MongoConnection;
  readonly #schema: MongoSchema;
  readonly #models: Collection<ModelDocument>;
  readonly #collections = new Map<string, MongoCollection>();

  /**
   * Nothing is connected before it is used.
   *
   * @throws EisError EIS_ENVIRONMENT_INVALID when the URI cannot be used
   */
  constructor(options: MongoStoreOptions) {
    const { uri, timeoutMs } = options;
    this.#options = options;
    this.#log = options.log ?? SILENT_LOG;
    this.#connection = new MongoConnection(uri, timeoutMs);
    this.#schema = new MongoSchema(this.#connection, (advice) => this.#log.warn(advice));
    this.#models = this.#connection.db.collection(MODELS_COLLECTION);
    this.ledger = new MongoLedger(this.#connection, timeoutMs);
    this.reembeddings = new MongoReembeddings(this.#connection);
  }

  /**
   * Waits for a server that can be written to, and prepares the store there (`init`). A user or a password that is refused is
   * not waited for.
   *
   * @throws EisError EIS_ENVIRONMENT_INVALID when there is none in time; without user and password
   */
  async ready(waitMs: number): Promise<StoreReport> {
    const until = performance.now() + waitMs;
    const { hosts } = this.#connection;
    for (let failures = 1; ; failures++) {
      try {
        return await this.init();
      } catch (error) {
        const passes = isPassing(error);
        if (!passes || performance.now() >= until) {
          const within = passes ? ` within ${waitMs / 1000} s` : '';
          throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MONGODB_URI', detail: `no server could be used at ${hosts}${within}. ${(error as Error).message}` }, { cause: error });
        }
        this.#log.warn({ hosts, err: (error as Error).cause }, 'the store cannot be reached; trying again');
        await waitToRetry(failures);
      }
    }
  }

  /**
   * Creates what is missing: indexes, and through mongos the sharding, of the ledger and of every model version that is
   * there. Collections of a new model version follow at their first write. Running it again changes nothing.
   */
  init(): Promise<StoreReport> {
    return this.#schema.init();
  }

  async liveVersion(model: string): Promise<LiveVersion | undefined> {
    const document = await this.#connection.run(() => this.#models.findOne({ _id: model }));
    return document ? toLive(document) : undefined;
  }

  async setLiveVersion(model: string, live: LiveVersion, { onlyIfAbsent = false }: { readonly onlyIfAbsent?: boolean } = {}): Promise<LiveVersion> {
    const named = { _id: '$_id', version: { $literal: live.version }, dim: { $literal: live.dim }, updated_at: '$$NOW' };
    const stays = onlyIfAbsent ? { $ne: [{ $type: '$version' }, 'missing'] } : { $and: [{ $eq: ['$version', { $literal: live.version }] }, { $eq: ['$dim', { $literal: live.dim }] }] };
    const name = () => this.#models.findOneAndUpdate({ _id: model }, [{ $replaceWith: { $cond: [stays, '$$ROOT', named] } }], { upsert: true, returnDocument: 'after' });
    const standing = await this.#connection.run(() => name().catch((error: unknown) => (isRace(error) ? name() : Promise.reject(error as Error))));
    return standing ? toLive(standing) : live;
  }

  collection(model: string, live: LiveVersion): VectorCollection {
    const name = versionName(model, live.version);
    let collection = this.#collections.get(name);
    if (!collection) {
      collection = new MongoCollection({ connection: this.#connection, schema: this.#schema, name, model, live, urlsPerImageMax: this.#options.urlsPerImageMax });
      this.#collections.set(name, collection);
    }
    return collection;
  }

  async removeVersion(model: string, live: LiveVersion): Promise<void> {
    if ((await this.liveVersion(model))?.version === live.version) throw versionIsLive(model, live);
    const name = versionName(model, live.version);
    await this.#connection.run(() => this.#connection.db.dropCollection(name));
    this.#schema.forget(name);
    await this.#connection.run(() => this.#connection.db.collection<NoteDocument>(NOTES_COLLECTION).deleteMany({ _id: { $gte: noteId(name, ''), $lt: `${name}0` } })); // "0" comes after "/"
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

function toLive({ version, dim }: ModelDocument): LiveVersion {
  return { version, dim };
}
