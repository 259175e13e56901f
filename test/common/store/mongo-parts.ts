/** What the tests of the store over MongoDB share. */
import { onTestFinished } from 'vitest';
import { MongoStore, type MongoStoreOptions } from '../../../common/store/mongo-store.js';
import { versionName, type VectorCollection } from '../../../common/store/store.js';
import { WireServer, type WireServerOptions } from '../../support/mongo-wire/wire-server.js';

export const LIVE = { version: 'a'.repeat(64), dim: 4 };
/** The collection of the version above. */
export const IMAGES = versionName('m', LIVE.version);

export interface MongoPair {
  readonly server: WireServer;
  readonly store: MongoStore;
  readonly images: VectorCollection;
  /** Once more, as another process opens it. */
  readonly open: (options?: Partial<MongoStoreOptions>) => MongoStore;
}

/** A server and a store on it; both are closed after the test. */
export async function startMongo(serverOptions: WireServerOptions = {}, storeOptions: Partial<MongoStoreOptions> = {}): Promise<MongoPair> {
  const server = await WireServer.start(serverOptions);
  onTestFinished(() => server.stop());
  const open = (options: Partial<MongoStoreOptions> = {}): MongoStore => {
    const store = new MongoStore({ uri: server.uri(), urlsPerImageMax: 100, timeoutMs: 5_000, ...storeOptions, ...options });
    onTestFinished(() => store.close());
    return store;
  };
  const store = open();
  return { server, store, images: store.collection('m', LIVE), open };
}
