/** A pod's shard, kept for the next start: whatever happens to it, what is searched is what the store has. */
import { cpSync, existsSync, readFileSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SILENT_LOG, type Log } from '../../common/log.js';
import { ALL_SLOTS } from '../../common/slots.js';
import type { LiveVersion } from '../../common/store/store.js';
import { ExactIndex } from '../../indexer/exact-index.js';
import { IndexFolders } from '../../indexer/index-folder.js';
import { IndexHost } from '../../indexer/index-host.js';
import { SNAPSHOT_AGE_MAX_MS } from '../../indexer/shard-snapshot.js';
import { SnapshotKeeper } from '../../indexer/snapshot-keeper.js';
import { MemoryStore } from '../support/memory-store.js';
import { tempFolder } from '../support/temp-folder.js';
import { inlineScanner } from './exact-index-parts.js';
import { MODEL, V1, V2, image } from './index-pod.js';
import { idOf, random, randomUnit } from './vectors.js';

const COUNT = 300;

function setUp() {
  const clock = { now: 1_700_000_000_000 };
  const store = new MemoryStore({ now: () => clock.now, pageSize: 50 });
  const operations: string[] = [];
  store.fault = (operation) => void operations.push(operation);
  const warnings: unknown[] = [];
  const log: Log = { ...SILENT_LOG, warn: (...said: unknown[]) => void warnings.push(said) } as Log;
  const dataDir = tempFolder();

  /** A pod as another process would be: it takes over what is in the data folder. */
  const startPod = async (from = dataDir): Promise<IndexHost> => {
    const folders = new IndexFolders({ dataDir: from, model: MODEL, shard: { index: 0, of: 1 } });
    const host = new IndexHost({
      model: MODEL,
      slots: ALL_SLOTS,
      store,
      createIndex: ({ dim }: LiveVersion) => new ExactIndex({ dim, folder: folders.create(), scanner: inlineScanner() }),
      snapshots: new SnapshotKeeper({ folders, model: MODEL, slots: ALL_SLOTS, algorithm: 'brute', log, now: () => clock.now, restoreIndex: ({ live: { dim }, folder }, contents, reader) => ExactIndex.restore({ dim, folder, scanner: inlineScanner() }, contents, reader) }),
      snapshotEveryMs: 1_000,
      log,
      observer: { changed: () => undefined, loaded: () => undefined, loadFailed: () => undefined },
      now: () => clock.now,
    });
    onTestFinished(() => host.close());
    operations.length = 0;
    await follow(host);
    return host;
  };
  const follow = async (host: IndexHost): Promise<void> => {
    clock.now += 500;
    await host.poll();
    await host.whenLoaded();
    await host.poll();
    await host.whenSaved();
  };
  const collection = (live = V1) => store.collection(MODEL, live);
  const fill = async (): Promise<void> => {
    await store.setLiveVersion(MODEL, V1);
    await collection().write(Array.from({ length: COUNT }, (_, i) => image(i)));
  };
  return { clock, store, operations, warnings, dataDir, startPod, follow, collection, fill };
}

/** What a pod answers: to be compared with what a pod with a fresh index does. */
async function answersOf(host: IndexHost, dim = V1.dim): Promise<unknown> {
  const next = random(77);
  const queries = Array.from({ length: 30 }, () => randomUnit(dim, next));
  return { ...(await host.search(queries, { top: 10 })), size: host.stats().vectors, vector: await host.vector(idOf(7)).catch((error: Error) => error.message) };
}

async function freshAnswers({ startPod }: ReturnType<typeof setUp>, dim?: number): Promise<unknown> {
  return answersOf(await startPod(tempFolder()), dim);
}

const snapshotOf = (dataDir: string): string => {
  const [folder] = readdirSync(join(dataDir, 'index'));
  return join(dataDir, 'index', folder as string, 'snapshot');
};

describe('An index pod that starts again', () => {
  it('has its shard from the snapshot, and reads nothing of it from the store', async () => {
    const parts = setUp();
    await parts.fill();
    await (await parts.startPod()).close();
    const again = await parts.startPod();
    expect(parts.operations).not.toContain('scan');
    expect(parts.operations).not.toContain('getMany');
    expect(await answersOf(again)).toEqual(await freshAnswers(parts));
    expect(parts.warnings).toEqual([]);
  });

  it('follows from there: what was added, changed, removed and revived while it was away', async () => {
    const parts = setUp();
    await parts.fill();
    const { collection, clock } = parts;
    await collection().delete(idOf(3));
    const first = await parts.startPod();
    await first.close();
    clock.now += 60_000;
    await collection().write(Array.from({ length: 20 }, (_, i) => image(`new ${i}`)));
    for (const gone of [7, 8, 9]) await collection().delete(idOf(gone));
    await collection().write([image(3), { ...image(10), url: 'https://example.com/another', origin: 'another' }]);
    const again = await parts.startPod();
    expect(parts.operations).not.toContain('scan');
    expect(await answersOf(again)).toEqual(await freshAnswers(parts));
    expect(again.stats().vectors).toBe(COUNT + 20 - 3);
  });

  it('has all that was saved, whatever changes while it is written', async () => {
    const parts = setUp();
    await parts.fill();
    const { clock, collection, follow } = parts;
    const first = await parts.startPod();
    for (let round = 0; round < 6; round++) {
      await collection().write(Array.from({ length: 30 }, (_, i) => image(`${round} ${i}`)));
      if (round > 0) for (let i = 0; i < 30; i += 2) await collection().delete(idOf(`${round - 1} ${i}`));
      clock.now += 2_000;
      await first.poll();
      // Not waited for: what it writes and what follows overlap.
      await collection().delete(idOf(100 + round));
      clock.now += 500;
      await first.poll();
      await turn();
    }
    await first.whenSaved();
    await follow(first);
    await first.close();
    const again = await parts.startPod();
    expect(parts.operations).not.toContain('scan');
    expect(await answersOf(again)).toEqual(await freshAnswers(parts));
  });

  it('comes back right after it was killed at any moment, also while it wrote', async () => {
    const parts = setUp();
    await parts.fill();
    const { clock, collection, dataDir } = parts;
    const first = await parts.startPod();
    for (let round = 0; round < 12; round++) {
      await collection().write(Array.from({ length: 40 }, (_, i) => image(`${round} ${i}`)));
      for (let i = 0; i < 40; i += 3) await collection().delete(idOf(round > 0 ? `${round - 1} ${i}` : i));
      clock.now += 2_000;
      await first.poll();
      if (round % 2 === 1) {
        // After it was saved: what dies makes room for what comes.
        await first.whenSaved();
        for (const at of [0, 1, 2]) {
          for (let i = 20; i < 40; i++) await collection().delete(idOf(`${round} ${at * 7 + i}`));
          clock.now += 200;
          await first.poll();
          await collection().write(Array.from({ length: 20 }, (_, i) => image(`${round} ${at} ${i}`)));
          await first.poll();
        }
        await collection().write(Array.from({ length: 20 }, (_, i) => ({ ...image(`${round} ${20 + i}`), origin: 'revived' })));
      }
      for (let turns = 0; turns < round * 3; turns++) await turn();
      const left = tempFolder(); // what a process that dies now leaves
      cpSync(dataDir, left, { recursive: true });
      const again = await parts.startPod(left);
      expect(await answersOf(again)).toEqual(await freshAnswers(parts));
      await again.close();
    }
  });

  it.each<[string, (snapshot: string) => void, RegExp]>([
    ['has a flipped bit', (path) => {
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1]! ^= 4;
      writeFileSync(path, bytes);
    }, /damaged/],
    ['is cut off', (path) => truncateSync(path, 1_000), /cut off/],
    ['is something else', (path) => writeFileSync(path, 'something else that is long enough'), /another format/],
    ['has another URL of an image', (path) => {
      const bytes = readFileSync(path);
      bytes.write('X', bytes.indexOf('https://example.com/'));
      writeFileSync(path, bytes);
    }, /damaged/],
    ['lost the vectors beside it', (path) => truncateSync(join(path, '..', 'vectors.f32'), 100), /cut off/],
  ])('loads from the store when the snapshot %s, and says so', async (_name, damage, said) => {
    const parts = setUp();
    await parts.fill();
    await (await parts.startPod()).close();
    damage(snapshotOf(parts.dataDir));
    const again = await parts.startPod();
    expect(parts.operations).toContain('scan');
    expect(String((parts.warnings as [{ err: Error }, string][]).map(([{ err }, text]) => `${text} ${err.message}`))).toMatch(said);
    expect(await answersOf(again)).toEqual(await freshAnswers(parts));
    expect(readdirSync(join(parts.dataDir, 'index'))).toHaveLength(1);
  });

  it('knows of each image what it knew: every URL, size, hash and version, through several restarts', async () => {
    const parts = setUp();
    await parts.fill();
    const { collection, clock } = parts;
    for (let round = 0; round < 4; round++) {
      await collection().write(Array.from({ length: 40 }, (_, i) => ({ ...image(i * (round + 1)), url: `https://example.com/${'ü'.repeat(round)}/${i}`, origin: `${round}` })));
      for (let i = 0; i < 10; i++) await collection().delete(idOf(200 + 10 * round + i));
      clock.now += 5_000;
      await (await parts.startPod()).close();
    }
    const [again, fresh] = [await parts.startPod(), await parts.startPod(tempFolder())];
    for (let i = 0; i < COUNT; i++) {
      const known = await again.vector(idOf(i)).catch((error: Error) => error.message);
      expect(known).toEqual(await fresh.vector(idOf(i)).catch((error: Error) => error.message));
    }
    expect(again.stats().vectors).toBe(COUNT - 40);
    expect(parts.warnings).toEqual([]);
  });

  it('loads from the store when it was away for longer than removals are remembered', async () => {
    const parts = setUp();
    await parts.fill();
    await (await parts.startPod()).close();
    parts.clock.now += SNAPSHOT_AGE_MAX_MS + 10_000;
    await parts.startPod();
    expect(parts.operations).toContain('scan');
    expect(parts.warnings).toHaveLength(1);
  });

  it('loads another version that went live from the store, and never mixes', async () => {
    const parts = setUp();
    await parts.fill();
    await (await parts.startPod()).close();
    await parts.collection(V2).write(Array.from({ length: 50 }, (_, i) => image(i, V2.dim)));
    await parts.store.setLiveVersion(MODEL, V2);
    const again = await parts.startPod();
    expect(again.stats()).toMatchObject({ modelVersion: V2.version, vectors: 50 });
    expect(await answersOf(again, V2.dim)).toEqual(await freshAnswers(parts, V2.dim));
  });

  it('finds the snapshot again when the store was away at its start', async () => {
    const parts = setUp();
    await parts.fill();
    await (await parts.startPod()).close();
    const { store } = parts;
    const note = store.fault;
    store.fault = (operation) => {
      if (operation === 'changes') throw new Error('the store is down');
    };
    const again = await parts.startPod().catch(() => undefined);
    expect(again).toBeUndefined();
    store.fault = note;
    expect(existsSync(snapshotOf(parts.dataDir))).toBe(true);
  });

  it('says how old the oldest change is that no snapshot holds', async () => {
    const parts = setUp();
    await parts.fill();
    const { clock, collection } = parts;
    const host = await parts.startPod();
    clock.now += 60_000;
    expect(host.stats().unsavedS).toBe(0);
    await parts.follow(host);
    await collection().write([image('one more')]);
    await host.poll(); // saved, too, because the last time was long ago; what came since is not
    await collection().write([image('another')]);
    await host.poll();
    await host.whenSaved();
    clock.now += 700;
    expect(host.stats().unsavedS).toBe(0.7);
    await parts.follow(host);
    expect(host.stats().unsavedS).toBe(0);
  });

  it('goes on without a snapshot while the disk has no room for one', async () => {
    const parts = setUp();
    await parts.fill();
    const first = await parts.startPod();
    symlinkSync('/dev/full', `${snapshotOf(parts.dataDir)}.new`);
    await parts.collection().write([image('one more')]);
    parts.clock.now += 5_000;
    await parts.follow(first);
    expect(first.stats().vectors).toBe(COUNT + 1);
    expect(parts.warnings).toHaveLength(1);
    parts.clock.now += 60_000;
    expect(first.stats().unsavedS).toBeGreaterThanOrEqual(60);
    await first.close();
    expect(await answersOf(await parts.startPod())).toEqual(await freshAnswers(parts));
  });

  it('loads an index whose vectors were damaged on the disk anew, and answers again', async () => {
    const parts = setUp();
    await parts.fill();
    const host = await parts.startPod();
    const file = join(snapshotOf(parts.dataDir), '..', 'vectors.f32');
    writeFileSync(file, Buffer.alloc(readFileSync(file).length));
    await expect(answersOf(host)).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED' });
    await host.whenLoaded();
    expect(await answersOf(host)).toEqual(await freshAnswers(parts));
  });
});
