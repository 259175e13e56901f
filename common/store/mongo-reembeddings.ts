/** The re-embeddings that are under way, in MongoDB: a document for each model. */
import type { Collection } from 'mongodb';
import type { MongoConnection } from './mongo-connection.js';
import { REEMBEDDINGS_COLLECTION } from './mongo-schema.js';
import { isRace } from './mongo-upsert.js';
import type { Reembedding, Reembeddings } from './store.js';

interface ReembeddingDocument extends Omit<Reembedding, 'model' | 'updatedAt'> {
  /** The model's name. */
  readonly _id: string;
  readonly updated_at: Date;
}

export class MongoReembeddings implements Reembeddings {
  readonly #connection: MongoConnection;
  readonly #jobs: Collection<ReembeddingDocument>;

  constructor(connection: MongoConnection) {
    this.#connection = connection;
    this.#jobs = connection.db.collection(REEMBEDDINGS_COLLECTION);
  }

  async get(model: string): Promise<Reembedding | undefined> {
    const document = await this.#connection.run(() => this.#jobs.findOne({ _id: model }));
    return document ? toJob(document) : undefined;
  }

  async list(): Promise<Reembedding[]> {
    return (await this.#connection.run(() => this.#jobs.find().sort({ _id: 1 }).toArray())).map(toJob);
  }

  /** Where the answer to a write was lost and the driver sends it again, the server remembers that it was done. */
  async save({ model, ...job }: Omit<Reembedding, 'updatedAt'>): Promise<Reembedding | undefined> {
    const document: ReembeddingDocument = { _id: model, ...job, revision: job.revision + 1, updated_at: new Date() };
    return (await (job.revision === 0 ? this.#insert(document) : this.#replace(document, job.revision))) ? toJob(document) : undefined;
  }

  async remove(model: string): Promise<void> {
    await this.#connection.run(() => this.#jobs.deleteOne({ _id: model }));
  }

  #insert(document: ReembeddingDocument): Promise<boolean> {
    const insert = async (): Promise<boolean> => (await this.#jobs.insertOne(document)).acknowledged;
    return this.#connection.run(() => insert().catch((error: unknown) => (isRace(error) ? false : Promise.reject(error as Error))));
  }

  async #replace(document: ReembeddingDocument, revision: number): Promise<boolean> {
    const { matchedCount } = await this.#connection.run(() => this.#jobs.replaceOne({ _id: document._id, revision }, document));
    return matchedCount === 1;
  }
}

function toJob({ _id, updated_at, ...job }: ReembeddingDocument): Reembedding {
  return { model: _id, ...job, updatedAt: updated_at.getTime() };
}
