/**
 * The collections of the store, their indexes, and how they are sharded. Everything here may run at any time, any number
 * of times and in several processes at once; what stands already stays as it is.
 */
import type { IndexDescription } from 'mongodb';
import type { MongoConnection } from './mongo-connection.js';
import { mongoFailure, serverCode } from './mongo-errors.js';

export const LEDGER_COLLECTION = 'sources';
export const MODELS_COLLECTION = 'models';
export const REEMBEDDINGS_COLLECTION = 'reembeddings';
export const NOTES_COLLECTION = 'notes';
const VECTORS_PREFIX = 'vectors_';

const TOMBSTONE_S = 30 * 24 * 60 * 60;

/**
 * Of the images of one model version. Vectors are large, so an index holds all that reading keys needs, and `_id` among
 * it, without which a shard would read the document to see whether it owns it.
 *
 * - `changes`: what changed from a time on, in the order of its change; the slots of other shards are skipped in the index.
 * - `slots`: the keys of a range of slots in the order of their ids, with whether they live; a scan reads its documents
 *   by it, and can go on from any id.
 * - `tombstones`: few documents are in it. Nobody needs to be told when one expires: who follows the collection removed
 *   the image when the tombstone was set.
 */
const VECTOR_INDEXES: readonly IndexDescription[] = [
  { name: 'changes', key: { updated_at: 1, slot: 1, _id: 1 } },
  { name: 'slots', key: { slot: 1, _id: 1, updated_at: 1, deleted_at: 1 } },
  { name: 'tombstones', key: { deleted_at: 1 }, expireAfterSeconds: TOMBSTONE_S, partialFilterExpression: { deleted_at: { $exists: true } } },
];

/**
 * Of the ledger, whose `_id` begins with the submission: a list is a range of ids, of all states or of one; counting a
 * submission by state reads an index only.
 */
const LEDGER_INDEXES: readonly IndexDescription[] = [
  { name: 'states', key: { state: 1, _id: 1 } },
  { name: 'counts', key: { submission: 1, state: 1, _id: 1 } },
];

/** Hashed, so that new images go to all shards alike; of `_id`, so that it is unique in the whole cluster. */
const SHARD_KEY = { _id: 'hashed' } as const;

export type Deployment = 'standalone' | 'replica set' | 'mongos';

/** What initialising found and did. */
export interface StoreReport {
  readonly deployment: Deployment;
  readonly collections: readonly string[];
  /** What somebody with more rights has to do yet, as commands; the store serves without. */
  readonly advice: readonly string[];
}

/** AlreadyInitialized: sharded before, maybe in another way. */
const ALREADY_SHARDED = 23;
/** IndexOptionsConflict, IndexKeySpecsConflict: somebody chose otherwise. */
const INDEX_CONFLICTS: ReadonlySet<number | undefined> = new Set([85, 86]);

export class MongoSchema {
  readonly #connection: MongoConnection;
  readonly #onAdvice: (advice: string) => void;
  readonly #ensured = new Map<string, Promise<void>>();

  /** @param onAdvice told what somebody with more rights has to do for a collection of a new version */
  constructor(connection: MongoConnection, onAdvice: (advice: string) => void) {
    this.#connection = connection;
    this.#onAdvice = onAdvice;
  }

  /** Prepares the ledger and the collections of every model version that is there. */
  async init(): Promise<StoreReport> {
    const deployment = await this.deployment();
    const names = await this.#connection.run(() => this.#connection.db.listCollections({}, { nameOnly: true, authorizedCollections: true }).toArray());
    const collections = [LEDGER_COLLECTION, ...names.map(({ name }) => name).filter((name) => name.startsWith(VECTORS_PREFIX)).sort()];
    const advice: string[] = [];
    for (const name of collections) advice.push(...(await this.#prepare(name, deployment)));
    return { deployment, collections, advice: [...new Set(advice)] };
  }

  /** Prepares a collection before its first write in this process. */
  async ensure(name: string): Promise<void> {
    const ensured = this.#ensured.get(name) ?? this.#ensure(name);
    this.#ensured.set(name, ensured);
    try {
      await ensured;
    } catch (error) {
      this.#ensured.delete(name);
      throw error;
    }
  }

  /** A collection was dropped: should it be written to again, it has to be prepared again. */
  forget(name: string): void {
    this.#ensured.delete(name);
  }

  async deployment(): Promise<Deployment> {
    const { msg, setName } = await this.#connection.run(() => this.#connection.client.db('admin').command({ hello: 1 }));
    if (msg === 'isdbgrid') return 'mongos';
    return setName === undefined ? 'standalone' : 'replica set';
  }

  async #ensure(name: string): Promise<void> {
    for (const advice of await this.#prepare(name, await this.deployment())) this.#onAdvice(advice);
  }

  async #prepare(name: string, deployment: Deployment): Promise<string[]> {
    const indexes = [...(name === LEDGER_COLLECTION ? LEDGER_INDEXES : VECTOR_INDEXES), ...(deployment === 'mongos' ? [{ name: 'shard', key: SHARD_KEY }] : [])];
    const advice = await Promise.all(indexes.map((index) => this.#createIndex(name, index)));
    return [...advice.flat(), ...(deployment === 'mongos' ? await this.#shard(name) : [])];
  }

  async #createIndex(collection: string, index: IndexDescription): Promise<string[]> {
    const { name, key, ...options } = index;
    const command = `${this.#use()}db.getCollection(${JSON.stringify(collection)}).createIndex(${JSON.stringify(key)}, ${JSON.stringify({ name, ...options })})`;
    return this.#attempt(command, async () => {
      await this.#connection.db.collection(collection).createIndexes([index]);
    });
  }

  async #shard(collection: string): Promise<string[]> {
    const namespace = `${this.#connection.db.databaseName}.${collection}`;
    const admin = this.#connection.client.db('admin');
    const enabled = await this.#attempt(`sh.enableSharding(${JSON.stringify(this.#connection.db.databaseName)})`, () => admin.command({ enableSharding: this.#connection.db.databaseName }));
    const sharded = await this.#attempt(`sh.shardCollection(${JSON.stringify(namespace)}, ${JSON.stringify(SHARD_KEY)})`, () => admin.command({ shardCollection: namespace, key: SHARD_KEY }));
    return [...enabled, ...sharded];
  }

  /** Runs an operation; where it is not for this user or this server to do, says with which command somebody may. */
  async #attempt(command: string, operation: () => Promise<unknown>): Promise<string[]> {
    try {
      await this.#connection.run(operation);
      return [];
    } catch (error) {
      const cause = (error as Error).cause;
      const code = serverCode(cause);
      if (code === ALREADY_SHARDED) return [];
      if (INDEX_CONFLICTS.has(code)) return [`An index stands in the way of this one, which was left out: ${command}`];
      const failure = mongoFailure(cause);
      if (failure === 'passing' || failure === undefined) throw error;
      return [`${failure === 'forbidden' ? 'The user of MONGODB_URI may not run' : 'The server refused to run'} this; run it as an administrator, in mongosh: ${command}`];
    }
  }

  #use(): string {
    return `use(${JSON.stringify(this.#connection.db.databaseName)}); `;
  }
}
