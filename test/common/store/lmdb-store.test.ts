import { LmdbStore } from '../../../common/store/lmdb-store.js';
import { tempFolder } from '../../support/temp-folder.js';
import { describeStoreContract } from './store-contract.js';

describeStoreContract('LmdbStore', () => {
  const folder = tempFolder();
  return { open: async () => new LmdbStore({ folder, urlsPerImageMax: 100 }) };
});
