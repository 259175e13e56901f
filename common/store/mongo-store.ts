/**
 * The store in MongoDB: a standalone, a replica set, or a sharded cluster through mongos. What is written is
 * acknowledged by a majority, on its disks, and read as a majority has it, so that no election takes back what was said.
 */
import { ReadConcern, ReadPreference, WriteConcern, type Collection, type Db, type MongoClient } from 'mongodb';
import { EisError, isEisError } from '../errors.js';
import { SILENT_LOG, type Log } from '../log.js';
import { MongoCollection } from './mongo-collection.js';
import type { ModelDocument } from './mongo-documents.js';
import { mongoFailure } from './mongo-errors.js';
import { guard, waitToRetry } from './mongo-guard.js';
import { MongoLedger } from './mongo-ledger.js';
import { MODELS_COLLECTION, MongoSchema, type StoreReport } from './mongo-schema.js';
import { isRace } from './mongo-upsert.js';
import { createClient, databaseOf, hostsOf } from './mongo-uri.js';
import { versionName, type LiveVersion, type Store, type VectorCollection } from './store.js';

export interface MongoStoreOptions {
  readonly uri: string;
  readonly urlsPerImageMax: number;
  /** For one operation. */
  readonly timeoutMs: number;
  readonly log?: Log;
}

export class MongoStore implements Store {
  readonly ledger: MongoLedger;
  readonly #options: MongoStoreOptions;
  readonly #log: Log;
  readonly #client: MongoClient;
  readonly #db: Db;
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
    this.#client = createClient(uri, timeoutMs);
    this.#db = this.#client.db(databaseOf(uri), {
      readPreference: ReadPreference.primary,
      readConcern: new ReadConcern('majority'),
      writeConcern: new WriteConcern('majority', timeoutMs, true),
      ignoreUndefined: true,
    });
    this.#schema = new MongoSchema({ client: this.#client, db: this.#db, timeoutMs, onAdvice: (advice) => this.#log.warn(advice) });
    this.#models = this.#db.collection(MODELS_COLLECTION);
    this.ledger = new MongoLedger(this.#db, timeoutMs);
  }

  /**
   * Waits for a server that can be written to, and prepares the store there (`init`). A user or a password that is refused is
   * not waited for.
   *
   * @throws EisError EIS_ENVIRONMENT_INVALID when there is none in time; without user and password
   */
  async ready(waitMs: number): Promise<StoreReport> {
    const until = performance.now() + waitMs;
    const hosts = hostsOf(this.#options.uri);
    for (let failures = 1; ; failures++) {
      try {
        return await this.init();
      } catch (error) {
        const isPassing = isEisError(error) && mongoFailure(error.cause) !== 'forbidden' && error.code === 'EIS_STORE_UNAVAILABLE';
        if (!isPassing || performance.now() >= until) {
          const within = isPassing ? ` within ${waitMs / 1000} s` : '';
          throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MONGODB_URI', detail: `no server could be used at ${hosts}${within}. ${(error as Error).message}` }, { cause: error });
        }
        this.#log.warn({ hosts, err: error.cause }, 'the store cannot be reached; trying again');
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
    const document = await this.#run(() => this.#models.findOne({ _id: model }));
    return document ? toLive(document) : undefined;
  }

  async setLiveVersion(model: string, live: LiveVersion, { onlyIfAbsent = false }: { readonly onlyIfAbsent?: boolean } = {}): Promise<LiveVersion> {
    const named = { _id: '$_id', version: { $literal: live.version }, dim: { $literal: live.dim }, updated_at: '$$NOW' };
    const stays = onlyIfAbsent ? { $ne: [{ $type: '$version' }, 'missing'] } : { $and: [{ $eq: ['$version', { $literal: live.version }] }, { $eq: ['$dim', { $literal: live.dim }] }] };
    const name = () => this.#models.findOneAndUpdate({ _id: model }, [{ $replaceWith: { $cond: [stays, '$$ROOT', named] } }], { upsert: true, returnDocument: 'after' });
    const standing = await this.#run(() => name().catch((error: unknown) => (isRace(error) ? name() : Promise.reject(error as Error))));
    return standing ? toLive(standing) : live;
  }

  collection(model: string, live: LiveVersion): VectorCollection {
    const name = versionName(model, live.version);
    let collection = this.#collections.get(name);
    if (!collection) {
      const { urlsPerImageMax, timeoutMs } = this.#options;
      collection = new MongoCollection({ client: this.#client, db: this.#db, schema: this.#schema, name, model, live, urlsPerImageMax, timeoutMs });
      this.#collections.set(name, collection);
    }
    return collection;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  #run<T>(operation: () => Promise<T>): Promise<T> {
    return guard(this.#options.timeoutMs, operation);
  }
}

function toLive({ version, dim }: ModelDocument): LiveVersion {
  return { version, dim };
}
