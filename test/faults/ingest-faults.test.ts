import { INGEST_FAULTS } from './ingest-faults.js';
import { describeIngestFaults } from './ingest-scenario.js';
import { startIngestSystem } from './ingest-system.js';

describeIngestFaults({
  name: 'RabbitMQ and the embedded store',
  images: { full: 2_000, short: 900 },
  faults: INGEST_FAULTS,
  start: () => startIngestSystem({ workers: 2 }),
});
