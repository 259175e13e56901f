/** Searches with a filter against a plain scan of what matches it, on random metadata and filters, over every exact algorithm. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Filter } from '../../common/filter.js';
import type { Metadata } from '../../common/metadata.js';
import { ALL_SLOTS } from '../../common/slots.js';
import { SILENT_LOG } from '../../common/log.js';
import { ExactIndex } from '../../indexer/exact-index.js';
import { KdTreeIndex } from '../../indexer/kd-tree-index.js';
import { searchTree } from '../../indexer/kd-search.js';
import { build } from '../../indexer/kd-tree-worker.js';
import { Shard } from '../../indexer/shard.js';
import type { VectorIndex } from '../../indexer/vector-index.js';
import { MemoryStore } from '../support/memory-store.js';
import { filterArbitrary, matchesByWord, metadataArbitrary } from '../support/random-filters.js';
import { indexFolder, inlineScanner } from './exact-index-parts.js';
import { image, MODEL, V1 } from './index-pod.js';
import { random, randomUnit, reference } from './vectors.js';

const COUNT = 300;
const { dim } = V1;

const INDEXES: Record<string, () => VectorIndex> = {
  brute: () => new ExactIndex({ dim, folder: indexFolder(), scanner: inlineScanner() }),
  kd_tree: () => new KdTreeIndex({ dim, workers: { threads: 2, search: async (task) => searchTree(task), build: async (task) => build(task), close: async () => undefined }, changesMax: 20, leafRowsMax: 8 }),
};

async function openShard(createIndex: () => VectorIndex, metadata: readonly (Metadata | undefined)[]): Promise<{ readonly shard: Shard; readonly store: MemoryStore }> {
  const store = new MemoryStore();
  await store.collection(MODEL, V1).write(metadata.map((values, i) => ({ ...image(i), ...(values && { metadata: { values, givenAt: 1 } }) })));
  const options = { model: MODEL, slots: ALL_SLOTS, store, createIndex, log: SILENT_LOG, observer: { changed: () => undefined }, now: Date.now };
  return { shard: await Shard.load(V1, options, { isFresh: true, signal: new AbortController().signal }), store };
}

describe.each(Object.entries(INDEXES))('a filtered search of %s', (_name, createIndex) => {
  it('equals an unbounded ranking of which only what matches is kept, whatever the filter lets through', async () => {
    let filtered = 0;
    await fc.assert(fc.asyncProperty(fc.array(fc.option(metadataArbitrary, { nil: undefined }), { minLength: COUNT, maxLength: COUNT }), fc.array(filterArbitrary, { minLength: 12, maxLength: 12 }), fc.nat(), async (metadata, filters, seed) => {
      const { shard } = await openShard(createIndex, metadata);
      const query = randomUnit(dim, random(seed));
      const entries = metadata.map((_, i) => image(i));
      for (const filter of [...filters, {}, { year: 'nothing has this' }, { not: { year: { exists: true } } }]) {
        const matching = entries.filter((_, i) => matchesByWord(filter as Filter, metadata[i] ?? {}));
        if (matching.length > 0 && matching.length < COUNT) filtered++;
        for (const top of [1, 10, COUNT]) {
          const [hits] = await shard.search([query], { top, filter: filter });
          expect(hits!.map(({ id, score }) => ({ id, score }))).toEqual(reference(matching, query, top));
        }
      }
      await shard.discard();
    }), { numRuns: 4, seed: 3 });
    expect(filtered).toBeGreaterThan(10);
  });

  it('follows what becomes of the metadata, and answers with it', async () => {
    const { shard, store } = await openShard(createIndex, [{ year: 2020 }, undefined, { year: 2021 }]);
    const search = async (filter: Filter): Promise<unknown> => (await shard.search([image(0).vector], { top: 3, filter }))[0]!.map(({ urls, metadata }) => [urls[0]!.split('/').pop(), metadata]);
    expect(await search({ year: { gte: 2021 } })).toEqual([['2', { year: 2021 }]]);
    await store.collection(MODEL, V1).write([{ ...image(1), metadata: { values: { year: 2022 }, givenAt: 2 } }, { ...image(2), metadata: { values: {}, givenAt: 2 } }]);
    await shard.poll();
    expect(await search({ year: { gte: 2021 } })).toEqual([['1', { year: 2022 }]]);
    expect(await search({ not: { year: { exists: true } } })).toEqual([['2', undefined]]);
    await shard.discard();
  });

  it('applies each of concurrent filters to its own search', async () => {
    const { shard } = await openShard(createIndex, Array.from({ length: 100 }, (_, i) => ({ n: i })));
    const found = await Promise.all(Array.from({ length: 20 }, (_, n) => shard.search([image(0).vector], { top: 5, filter: { n: { lt: n } } })));
    expect(found.map(([hits]) => hits!.length)).toEqual(Array.from({ length: 20 }, (_, n) => Math.min(5, n)));
    await shard.discard();
  });
});
