import { MongoStore } from '../../../common/store/mongo-store.js';
import { onTestFinished } from 'vitest';
import { WireServer } from '../../support/mongo-wire/wire-server.js';
import { describeStoreContract } from './store-contract.js';

describeStoreContract('MongoStore on a server of the wire protocol', () => {
  const server = WireServer.start();
  onTestFinished(async () => (await server).stop());
  return { open: async () => new MongoStore({ uri: (await server).uri(), urlsPerImageMax: 100, timeoutMs: 5_000 }) };
});
