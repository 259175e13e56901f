import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerAnswer } from '../../common/wire.js';
import { startFileServer, type FileServer } from '../support/file-server.js';
import { RABBITMQ_MISSING } from '../support/rabbitmq.js';
import { SeededRandom } from '../support/seeded-random.js';
import { MODEL, startIngestSystem, type IngestSystem } from './ingest-system.js';
import { drawSmallImage } from './small-images.js';

const URLS = 50;

describe.skipIf(RABBITMQ_MISSING !== undefined)(`two workers and one image under ${URLS} URLs at once${RABBITMQ_MISSING ? ` (${RABBITMQ_MISSING})` : ''}`, () => {
  let system: IngestSystem;
  let server: FileServer;

  beforeAll(async () => {
    const image = await drawSmallImage(new SeededRandom(1));
    server = await startFileServer(Object.fromEntries(Array.from({ length: URLS }, (_, i) => [`/${i}.png`, image])));
    system = await startIngestSystem({ workers: 2, env: { EIS_FETCH_ALLOW: '127.0.0.0/8', EIS_WORKER_EMBEDS_MAX: '8' } });
  }, 120_000);

  afterAll(async () => {
    await system.close();
    server.close();
  });

  it('is one document with all its URLs: stored once, and known already every other time', async () => {
    const { url } = system.wrapper.role;
    const urls = Array.from({ length: URLS }, (_, i) => `${server.url}/${i}.png`);
    await Promise.all(urls.map((each) => fetch(`${url}/images?submission=same`, { method: 'POST', body: JSON.stringify({ urls: [each] }), headers: { 'content-type': 'application/json' } })));
    const counts = async (): Promise<LedgerAnswer['counts']> => ((await (await fetch(`${url}/images?submission=same&limit=1`)).json()) as LedgerAnswer).counts;
    await expect.poll(counts, { timeout: 30_000 }).toEqual({ accepted: 0, stored: 1, duplicate: URLS - 1, rejected: 0, dead: 0 });
    const store = await system.openStore();
    const collection = store.collection(MODEL, (await store.liveVersion(MODEL))!);
    for await (const [record, ...others] of collection.scan({ start: 0, end: 65_536 })) {
      expect(others).toEqual([]);
      expect([...record!.urls].sort()).toEqual([...urls].sort());
    }
    expect(await collection.count()).toBe(1);
    await store.close();
  }, 60_000);
});
