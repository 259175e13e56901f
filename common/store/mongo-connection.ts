/** The connection to MongoDB that all parts of a store share, and how strictly it reads and writes. */
import { ReadConcern, ReadPreference, WriteConcern, type Db, type MongoClient } from 'mongodb';
import { EisError } from '../errors.js';
import { guard } from './mongo-guard.js';
import { createClient, databaseOf, hostsOf } from './mongo-uri.js';

export class MongoConnection {
  readonly client: MongoClient;
  /** Read from the primary as a majority has it; written to a majority's disks. */
  readonly db: Db;
  /** Where it leads to, without user and password. */
  readonly hosts: string;
  readonly #timeoutMs: number;
  #isClosed = false;

  /**
   * Nothing is connected before it is used.
   *
   * @throws EisError EIS_ENVIRONMENT_INVALID when the driver cannot use the URI
   */
  constructor(uri: string, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.hosts = hostsOf(uri);
    this.client = createClient(uri, timeoutMs);
    this.db = this.client.db(databaseOf(uri), {
      readPreference: ReadPreference.primary,
      readConcern: new ReadConcern('majority'),
      writeConcern: new WriteConcern('majority', timeoutMs, true),
      ignoreUndefined: true,
    });
  }

  /**
   * Runs an operation within the time of one, connected: a client whose first attempt to connect failed does not come to
   * by itself, only when it is told to connect again.
   *
   * @throws EisError as `guard`
   */
  run<T>(operation: () => Promise<T>): Promise<T> {
    return guard(this.#timeoutMs, async () => {
      if (this.#isClosed) throw new EisError('EIS_STORE_UNAVAILABLE', { detail: 'it is closed here.' }, { retryAfterS: 1 });
      await this.client.connect();
      return operation();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.client.close();
  }
}
