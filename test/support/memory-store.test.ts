import { describeStoreContract } from '../common/store/store-contract.js';
import { MemoryStore } from './memory-store.js';

describeStoreContract('MemoryStore', () => {
  const store = new MemoryStore();
  return { open: async () => store };
});
