/** A follower between a store in memory and an index, with clocks that the test moves. */
import { expect } from 'vitest';
import { ALL_SLOTS, type SlotRange } from '../../common/slots.js';
import type { ImageWrite, StoredRecord } from '../../common/store/store.js';
import { Catalog } from '../../indexer/catalog.js';
import { ExactIndex } from '../../indexer/exact-index.js';
import { Follower, type ChangeKind } from '../../indexer/follower.js';
import { MemoryStore, type MemoryCollection } from '../support/memory-store.js';
import { indexFolder, inlineScanner } from './exact-index-parts.js';
import { idOf, random, randomUnit } from './vectors.js';

const DIM = 4;
const LIVE = { version: 'v1', dim: DIM };
export const START = 1_700_000_000_000;

export function image(name: string | number, changes: Partial<ImageWrite> = {}): ImageWrite {
  const id = idOf(name);
  const vector = randomUnit(DIM, random(Number.parseInt(id.slice(0, 8), 16)));
  return { id, vector, url: `https://example.com/${name}`, origin: String(name), phash: id.slice(0, 16), width: 4, height: 3, format: 'jpeg', ...changes };
}

/** The image as it would lie in the store. */
export function recordOf({ id, vector, url, phash, width, height, format }: ImageWrite, updatedAt: number): StoredRecord {
  return { id, vector, urls: [url], phash, width, height, format, createdAt: updatedAt, updatedAt, deletedAt: undefined };
}

export function setUp({ slots = ALL_SLOTS, pageSize = 3 }: { slots?: SlotRange; pageSize?: number } = {}) {
  const clock = { store: START, pod: START, up: 0 };
  const store = new MemoryStore({ now: () => clock.store, pageSize });
  const collection = store.collection('m', LIVE);
  const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner: inlineScanner() });
  const catalog = new Catalog();
  const changes: [ChangeKind, string][] = [];
  const follower = new Follower({ collection, slots, index, catalog, now: () => clock.pod, uptimeMs: () => clock.up, onChange: (kind, id) => changes.push([kind, id]) });
  const pass = (ms: number): void => {
    clock.store += ms;
    clock.pod += ms;
    clock.up += ms;
  };
  const reads: string[] = [];
  store.fault = (operation) => void reads.push(operation);
  return { clock, pass, store, collection, index, catalog, changes, follower, reads };
}

/** Index, catalog and store say the same. */
export async function expectEqual({ collection, index, catalog }: { collection: MemoryCollection; index: ExactIndex; catalog: Catalog }, slots: SlotRange = ALL_SLOTS): Promise<void> {
  const records = [];
  for await (const page of collection.scan(slots)) records.push(...page.map((record) => ({ ...record, vector: record.vector.slice() })));
  expect([...catalog.ids()].sort()).toEqual(records.map(({ id }) => id).sort());
  expect(index.size).toBe(records.length);
  for (const { id, vector, urls, updatedAt } of records) {
    expect(await index.vector(id)).toEqual(vector);
    expect(catalog.get(id)).toMatchObject({ urls, updatedAt });
  }
}
