import { describe, expect, it } from 'vitest';
import { slotRange } from '../../common/slots.js';
import type { ImageWrite } from '../../common/store/store.js';
import { OVERLAP_MS, RECONCILE_EVERY_MS } from '../../indexer/follower.js';
import { expectEqual, image, recordOf, setUp, START } from './follower-parts.js';
import { idOf } from './vectors.js';

describe('Follower', () => {
  it('loads the living records of its slots', async () => {
    const slots = slotRange(1, 2);
    const parts = setUp({ slots });
    await parts.collection.write(Array.from({ length: 40 }, (_, i) => image(i)));
    await parts.collection.delete(idOf(7));
    await parts.follower.load();
    await expectEqual(parts, slots);
    expect(parts.index.size).toBeGreaterThan(5);
    expect(parts.index.size).toBeLessThan(35);
  });

  it('applies new images, new sources, tombstones and revivals', async () => {
    const parts = setUp();
    const { collection, follower, catalog, pass } = parts;
    await collection.write([image('a'), image('b')]);
    await follower.load();
    pass(500);
    await collection.write([image('c'), image('a', { url: 'https://other/', origin: 'other' })]);
    await collection.delete(idOf('b'));
    await follower.poll();
    expect(catalog.get(idOf('a'))?.urls).toEqual(['https://example.com/a', 'https://other/']);
    await expectEqual(parts);
    pass(500);
    await collection.write([image('b', { url: 'https://again/' })]);
    await follower.poll();
    expect(catalog.get(idOf('b'))?.urls).toEqual(['https://again/']);
    await expectEqual(parts);
  });

  it('sees what was written while it loaded, however long that took', async () => {
    const parts = setUp();
    const { collection, follower, store, pass } = parts;
    const byId = Array.from({ length: 12 }, (_, i) => image(i)).sort((a, b) => (a.id < b.id ? -1 : 1));
    const [passedBy, removed] = byId as [ImageWrite, ImageWrite];
    const seen = byId.at(-1) as ImageWrite;
    await collection.write(byId.slice(1, -1));
    pass(60_000);
    let batches = 0;
    store.fault = async (operation) => {
      if (operation !== 'scan' || ++batches !== 2) return;
      pass(1_000);
      store.fault = () => undefined;
      await collection.write([passedBy]);
      await collection.delete(removed.id);
      pass(60_000);
      await collection.write([seen]);
    };
    await follower.load();
    expect(parts.catalog.get(seen.id)).toBeDefined();
    expect(parts.catalog.get(passedBy.id)).toBeUndefined();
    await follower.poll();
    await expectEqual(parts);
  });

  it('is not misled by a clock of its own that is far ahead of the store', async () => {
    const parts = setUp();
    parts.clock.pod += 3_600_000;
    await parts.collection.write([image('a')]);
    await parts.follower.load();
    parts.pass(500);
    await parts.collection.write([image('b')]);
    await parts.follower.poll();
    await expectEqual(parts);
  });

  it('reads documents only of what changed', async () => {
    const parts = setUp();
    const { collection, follower, reads, pass } = parts;
    await collection.write(Array.from({ length: 30 }, (_, i) => image(i)));
    await follower.load();
    for (let i = 0; i < 3; i++) {
      pass(500);
      await follower.poll();
    }
    reads.length = 0;
    pass(500);
    await follower.poll();
    expect(reads.filter((operation) => operation === 'getMany')).toEqual([]);
    await collection.delete(idOf(3));
    for (let i = 0; i < 4; i++) {
      pass(500);
      await follower.poll();
    }
    expect(reads.filter((operation) => operation === 'getMany')).toHaveLength(2); // once, and once more to be sure of its millisecond
    expect(parts.changes.filter(([kind]) => kind === 'remove')).toEqual([['remove', idOf(3)]]);
  });

  it('lists old changes no longer once a store was quiet, however much was written last, and misses no slow writer', async () => {
    const parts = setUp();
    const { collection, follower, pass, clock } = parts;
    await collection.write(Array.from({ length: 30 }, (_, i) => image(i)));
    await follower.load();
    const listed: number[] = [];
    const changes = collection.changes.bind(collection);
    collection.changes = async function* (slots, since) {
      for await (const keys of changes(slots, since)) {
        listed.push(keys.length);
        yield keys;
      }
    };
    for (let i = 0; i < 30; i++) {
      pass(500);
      listed.length = 0;
      await follower.poll();
    }
    expect(listed).toEqual([]);
    clock.store -= 9_000;
    await collection.write([image('late')]);
    clock.store += 9_000;
    await follower.poll();
    await expectEqual(parts);
  });

  it('sees a second change in the millisecond of the first', async () => {
    const parts = setUp();
    const { collection, follower, pass } = parts;
    await collection.write([image('a')]);
    await follower.load();
    pass(500);
    await collection.write([image('b')]);
    await follower.poll();
    await collection.delete(idOf('b')); // the clock has not moved: the key is the same
    pass(500);
    await follower.poll();
    await expectEqual(parts);
    expect(parts.index.size).toBe(1);
  });

  it('sees a change in the millisecond in which it was loaded', async () => {
    const parts = setUp();
    await parts.collection.write([image('a')]);
    await parts.follower.load();
    await parts.collection.delete(idOf('a'));
    parts.pass(500);
    await parts.follower.poll();
    expect(parts.index.size).toBe(0);
  });

  it('sees what a store shard with a clock behind wrote, within the overlap', async () => {
    const parts = setUp();
    const { clock, collection, follower, pass } = parts;
    await collection.write([image('a')]);
    await follower.load();
    await follower.poll();
    pass(20_000);
    await collection.write([image('b')]);
    await follower.poll();
    clock.store -= OVERLAP_MS - 1;
    await collection.write([image('c')]);
    await follower.poll();
    await expectEqual(parts);
  });

  it('loses nothing when the store fails at any operation', async () => {
    for (let failAt = 1; failAt <= 12; failAt++) {
      const parts = setUp();
      const { collection, follower, store, pass } = parts;
      await collection.write([image('a'), image('b')]);
      await follower.load();
      pass(500);
      await collection.write(Array.from({ length: 10 }, (_, i) => image(i)));
      await collection.delete(idOf('a'));
      let operations = 0;
      store.fault = () => {
        if (++operations >= failAt) throw new Error('the store is down');
      };
      await follower.poll().catch(() => undefined);
      store.fault = () => undefined;
      pass(500);
      await follower.poll();
      await expectEqual(parts);
    }
  });

  it('reads again what an index failed to take', async () => {
    const parts = setUp();
    const { collection, follower, index, pass } = parts;
    await follower.load();
    await collection.write([image('a')]);
    const upsert = index.upsert.bind(index);
    index.upsert = async () => Promise.reject(new Error('out of memory'));
    await expect(follower.poll()).rejects.toThrow('out of memory');
    index.upsert = upsert;
    pass(500);
    await follower.poll();
    await expectEqual(parts);
  });

  it('refuses a vector that does not fit, and goes on with the rest', async () => {
    const parts = setUp();
    const { collection, follower, index, changes, pass } = parts;
    await follower.load();
    pass(500);
    collection.plant(recordOf(image('odd', { vector: new Float32Array([Number.NaN, 0, 0, 1]) }), START + 500));
    await collection.write([image('fine')]);
    await follower.poll();
    await follower.poll();
    await follower.poll();
    expect(index.size).toBe(1);
    expect(changes.filter(([kind]) => kind === 'refused')).toEqual([['refused', idOf('odd')]]);
  });

  it('reconciles every 10 minutes: what the changes did not tell comes and goes', async () => {
    const parts = setUp();
    const { collection, follower, index, pass, reads } = parts;
    await collection.write([image('a'), image('b')]);
    await follower.load();
    pass(60_000);
    await collection.write([image('c')]);
    await follower.poll();
    collection.forget(idOf('a'));
    collection.plant(recordOf(image('old'), START));
    pass(500);
    await follower.poll();
    expect(await index.vector(idOf('a'))).toBeDefined();
    expect(reads).not.toContain('keys');
    pass(RECONCILE_EVERY_MS);
    await follower.poll();
    await expectEqual(parts);
    reads.length = 0;
    pass(500);
    await follower.poll();
    expect(reads).not.toContain('keys');
  });

  it('stops loading when it is told to', async () => {
    const parts = setUp();
    await parts.collection.write([image('a')]);
    await expect(parts.follower.load(AbortSignal.abort(new Error('closing')))).rejects.toThrow('closing');
  });
});
