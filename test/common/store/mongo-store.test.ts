import { randomBytes } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { describe, it, onTestFinished } from 'vitest';
import { MongoStore } from '../../../common/store/mongo-store.js';
import { WireServer } from '../../support/mongo-wire/wire-server.js';
import { describeStoreContract } from './store-contract.js';

const REAL_URI = process.env['EIS_TEST_MONGODB'] || process.env['MONGODB_URI'];

describeStoreContract('MongoStore on a server of the wire protocol', () => {
  const server = WireServer.start();
  onTestFinished(async () => (await server).stop());
  return { open: async () => new MongoStore({ uri: (await server).uri(), urlsPerImageMax: 100, timeoutMs: 5_000 }) };
});

if (REAL_URI) {
  describeStoreContract('MongoStore on MongoDB', () => {
    const uri = withDatabase(REAL_URI, `eis_test_${randomBytes(6).toString('hex')}`);
    onTestFinished(async () => {
      const client = new MongoClient(uri);
      await client.db().dropDatabase();
      await client.close();
    });
    return { open: async () => new MongoStore({ uri, urlsPerImageMax: 100, timeoutMs: 10_000 }) };
  });
} else {
  describe.skip('MongoStore on MongoDB, as a store (EIS_TEST_MONGODB names no server to run it on)', () => {
    it('keeps to the contract of every store', () => undefined);
  });
}

/** The URI with another database, still logging in where it did. */
function withDatabase(uri: string, database: string): string {
  const [, head = '', standing = '', query = ''] = /^([^:]+:\/\/[^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(uri) ?? [];
  const authSource = /[?&]?authSource=/i.test(query) || !head.includes('@') ? '' : `&authSource=${standing || 'admin'}`;
  return `${head}/${database}?${query}${authSource}`;
}
