import { describe, expect, it } from 'vitest';
import { backfill } from '../../ingest/backfill.js';
import type { ImageMessage } from '../../common/wire.js';
import { imageWrite } from '../common/store/store-contract.js';
import { MemoryStore } from '../support/memory-store.js';

const version = (letter: string): { version: string; dim: number } => ({ version: letter.repeat(64), dim: 4 });

describe('backfill()', () => {
  it('publishes what the target lacks, each image once, and nothing that was removed from it', async () => {
    const store = new MemoryStore();
    const [one, two, target] = [store.collection('one', version('a')), store.collection('two', version('b')), store.collection('new', version('c'))];
    await one.write(['a', 'b', 'removed everywhere', 'removed here'].map((text) => imageWrite(text)));
    await two.write(['b', 'c'].map((text) => imageWrite(text)));
    await target.write(['c', 'removed here'].map((text) => imageWrite(text)));
    await one.delete(imageWrite('removed everywhere').id);
    await target.delete(imageWrite('removed here').id);
    const published: ImageMessage[] = [];
    const queue = { publish: async (messages: readonly ImageMessage[]) => void published.push(...messages) };
    expect(await backfill({ store, queue, model: 'new', target, from: [one, two], submission: 's' })).toBe(2);
    expect(published.map(({ source }) => source).sort()).toEqual(['https://example.com/a', 'https://example.com/b']);
    expect(await store.ledger.counts('s')).toMatchObject({ accepted: 2 });
  });

  it('publishes every image of a large collection', async () => {
    const store = new MemoryStore();
    const from = store.collection('one', version('a'));
    await from.write(Array.from({ length: 700 }, (_, i) => imageWrite(String(i))));
    const sources = new Set<string>();
    const queue = { publish: async (messages: readonly ImageMessage[]) => messages.forEach(({ source }) => sources.add(source)) };
    expect(await backfill({ store, queue, model: 'new', target: store.collection('new', version('c')), from: [from], submission: 's' })).toBe(700);
    expect(sources.size).toBe(700);
  });
});
