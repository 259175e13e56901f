/** Chooses the store by the environment: MongoDB where MONGODB_URI is set, else LMDB under EIS_DATA_DIR. */
import { join } from 'node:path';
import type { Environment } from '../environment.js';
import type { Log } from '../log.js';
import { LmdbStore } from './lmdb-store.js';
import type { Store } from './store.js';

/** Servers that start together with the system need this long. */
const SERVER_WAIT_MS = 60_000;

export interface OpenStoreOptions {
  readonly log?: Log;
  /** Time that a server is waited for. */
  readonly serverWaitMs?: number;
}

/**
 * Opens the store; a server that cannot be reached is waited for, with a line in the log for every attempt.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID when there is no server in time; without the password of the URI
 */
export async function openStore({ mongodbUri, dataDir, limits }: Environment, { log, serverWaitMs = SERVER_WAIT_MS }: OpenStoreOptions = {}): Promise<Store> {
  const { urlsPerImageMax, storeTimeoutMs } = limits;
  if (mongodbUri === undefined) return new LmdbStore({ folder: join(dataDir, 'store'), urlsPerImageMax });
  const { MongoStore } = await import('./mongo-store.js'); // The driver is loaded only where it is used.
  const store = new MongoStore({ uri: mongodbUri, urlsPerImageMax, timeoutMs: storeTimeoutMs, ...(log ? { log } : {}) });
  try {
    const { advice } = await store.ready(serverWaitMs);
    for (const line of advice) log?.warn(line);
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}
