/** Chooses the store by the environment: MongoDB where MONGODB_URI is set, else LMDB under EIS_DATA_DIR. */
import { join } from 'node:path';
import type { Environment } from '../environment.js';
import { EisError } from '../errors.js';
import { LmdbStore } from './lmdb-store.js';
import type { Store } from './store.js';

export async function openStore(environment: Environment): Promise<Store> {
  if (environment.mongodbUri !== undefined) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MONGODB_URI', detail: 'this release has the embedded store only. Leave it unset; data then lies under EIS_DATA_DIR.' });
  }
  return new LmdbStore({ folder: join(environment.dataDir, 'store'), urlsPerImageMax: environment.limits.urlsPerImageMax });
}
