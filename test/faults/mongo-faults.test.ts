import { afterAll } from 'vitest';
import { WireServer } from '../support/mongo-wire/wire-server.js';
import { INGEST_FAULTS } from './ingest-faults.js';
import { describeIngestFaults } from './ingest-scenario.js';
import { startIngestSystem } from './ingest-system.js';
import { storeFaults } from './store-faults.js';

const store = await WireServer.start();
afterAll(() => store.stop());

describeIngestFaults({
  name: 'RabbitMQ and the wire protocol of MongoDB',
  images: { full: 2_000, short: 900 },
  faults: [...INGEST_FAULTS, ...storeFaults(store)],
  start: () => startIngestSystem({ workers: 2, env: { MONGODB_URI: store.uri('eis') } }),
});
