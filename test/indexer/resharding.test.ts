/** A change of `num_indexes` on a store that is filled: shards own slots, so the store is read otherwise, and not written. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { ALL_SLOTS, slotRange } from '../../common/slots.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import type { Store, StoredRecord } from '../../common/store/store.js';
import { ExactIndex } from '../../indexer/exact-index.js';
import { IndexHost } from '../../indexer/index-host.js';
import { createIndexMetrics } from '../../indexer/index-metrics.js';
import { tempFolder } from '../support/temp-folder.js';
import { indexFolder, inlineScanner } from './exact-index-parts.js';
import { image, MODEL, V1 } from './index-pod.js';

const IMAGES = 1_000;

async function fill(store: Store): Promise<void> {
  await store.setLiveVersion(MODEL, V1);
  const collection = store.collection(MODEL, V1);
  for (let i = 0; i < IMAGES; i += 100) await collection.write(Array.from({ length: 100 }, (_, j) => image(i + j)));
  await collection.delete(image(7).id);
}

async function readAll(store: Store): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for await (const page of store.collection(MODEL, V1).changes(ALL_SLOTS, 0)) records.push(...(await store.collection(MODEL, V1).getMany(page.map(({ id }) => id))));
  return records.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The ids that each of n pods holds. */
async function loadShards(store: Store, shards: number): Promise<string[][]> {
  return Promise.all(Array.from({ length: shards }, async (_, shard) => {
    const observer = createIndexMetrics(new Metrics('indexer'), () => host.stats());
    const createIndex = ({ dim }: { dim: number }): ExactIndex => new ExactIndex({ dim, folder: indexFolder(), scanner: inlineScanner() });
    const host: IndexHost = new IndexHost({ model: MODEL, slots: slotRange(shard, shards), store, createIndex, log: SILENT_LOG, observer });
    await host.reload();
    const { hits } = await host.search([image(0).vector], { top: IMAGES });
    await host.close();
    return hits[0]!.map(({ id }) => id);
  }));
}

describe('a change of num_indexes from 2 to 3', () => {
  it('rewrites no document, and the three pods hold every image exactly once', async () => {
    const store = new LmdbStore({ folder: tempFolder(), urlsPerImageMax: 100 });
    onTestFinished(() => store.close());
    await fill(store);
    const before = await readAll(store);
    const two = await loadShards(store, 2);
    const three = await loadShards(store, 3);
    const living = before.filter(({ deletedAt }) => deletedAt === undefined).map(({ id }) => id);
    expect(living).toHaveLength(IMAGES - 1);
    expect(two.flat().sort()).toEqual(living);
    expect(three.flat().sort()).toEqual(living);
    expect(three.map((ids) => ids.length > IMAGES / 6)).toEqual([true, true, true]);
    expect(await readAll(store)).toEqual(before);
  });
});
