/** What every store keeps to. Run over each implementation; `open` may be called again for the same data. */
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ALL_SLOTS, slotRange, type SlotRange } from '../../../common/slots.js';
import type { ImageWrite, Store, VectorCollection } from '../../../common/store/store.js';
import { normalise } from '../../../common/vector.js';
import { describeLedger } from './ledger-contract.js';

export interface StoreUnderTest {
  /** Opens the store; every call of one test sees the same data. */
  open(): Promise<Store>;
}

const LIVE = { version: 'a'.repeat(64), dim: 4 };

export const idOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export function imageWrite(text: string, changes: Partial<ImageWrite> = {}): ImageWrite {
  const id = idOf(text);
  const vector = normalise(Array.from({ length: LIVE.dim }, (_, i) => Number.parseInt(id.slice(i * 2, i * 2 + 2), 16) + 1));
  return { id, vector, url: `https://example.com/${text}`, origin: `s1\nhttps://example.com/${text}`, phash: id.slice(0, 16), width: 640, height: 480, format: 'jpeg', ...changes };
}

async function collect<T>(pages: AsyncIterable<T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}

async function changedIds(collection: VectorCollection, since: number, slots: SlotRange = ALL_SLOTS): Promise<string[]> {
  return (await collect(collection.changes(slots, since))).map(({ id }) => id);
}

export function describeStoreContract(name: string, prepare: () => StoreUnderTest): void {
  describe(`${name}, as a store`, () => {
    let store: Store;
    let open: () => Promise<Store>;

    beforeEach(async () => {
      const underTest = prepare();
      open = async () => {
        const opened = await underTest.open();
        onTestFinished(() => opened.close());
        return opened;
      };
      store = await open();
    });

    const collection = (): VectorCollection => store.collection('m', LIVE);

    describe('live version', () => {
      it('is undefined before it is named', async () => {
        expect(await store.liveVersion('m')).toBeUndefined();
      });

      it('stays with the first one when only set if absent', async () => {
        expect(await store.setLiveVersion('m', LIVE, { onlyIfAbsent: true })).toEqual(LIVE);
        expect(await store.setLiveVersion('m', { version: 'b'.repeat(64), dim: 8 }, { onlyIfAbsent: true })).toEqual(LIVE);
        expect(await store.liveVersion('m')).toEqual(LIVE);
      });

      it('can be moved, and is seen by others', async () => {
        await store.setLiveVersion('m', LIVE);
        const other = await open();
        await other.setLiveVersion('m', { version: 'b'.repeat(64), dim: 8 });
        expect(await store.liveVersion('m')).toEqual({ version: 'b'.repeat(64), dim: 8 });
      });
    });

    describe('write()', () => {
      it('says stored once, and duplicate to another source of the same image', async () => {
        expect(await collection().write([imageWrite('a')])).toEqual(['stored']);
        expect(await collection().write([imageWrite('a', { url: 'https://other/', origin: 's1\nhttps://other/' })])).toEqual(['duplicate']);
        const [record] = await collection().getMany([idOf('a')]);
        expect(record?.urls).toEqual(['https://example.com/a', 'https://other/']);
        expect(await collection().count()).toBe(1);
      });

      it('says stored again to the origin that stored it, for a redelivery after a crash', async () => {
        await collection().write([imageWrite('a')]);
        expect(await collection().write([imageWrite('a')])).toEqual(['stored']);
        expect(await collection().count()).toBe(1);
      });

      it('meets the same image twice in one batch', async () => {
        expect(await collection().write([imageWrite('a'), imageWrite('a', { origin: 'other' })])).toEqual(['stored', 'duplicate']);
      });

      it('gives back what was written, the vector bit for bit', async () => {
        const image = imageWrite('a');
        await collection().write([image]);
        const [record] = await collection().getMany([image.id, idOf('unknown')]);
        expect(record).toMatchObject({ id: image.id, phash: image.phash, width: 640, height: 480, format: 'jpeg', deletedAt: undefined });
        expect(Buffer.from(record!.vector.buffer)).toEqual(Buffer.from(image.vector.buffer));
        expect(record!.createdAt).toBe(record!.updatedAt);
      });

      it('does not move updatedAt when nothing changes', async () => {
        await collection().write([imageWrite('a')]);
        const [before] = await collection().getMany([idOf('a')]);
        await new Promise((resolve) => setTimeout(resolve, 5));
        await collection().write([imageWrite('a', { origin: 'other' })]);
        const [after] = await collection().getMany([idOf('a')]);
        expect(after?.updatedAt).toBe(before?.updatedAt);
      });

      it('gives every change of an image a later time, however fast they follow', async () => {
        const times: number[] = [];
        for (let i = 0; i < 5; i++) {
          await collection().write([imageWrite('a', { url: `https://example.com/${i}`, origin: String(i) })]);
          times.push((await collection().getMany([idOf('a')]))[0]!.updatedAt);
        }
        expect(new Set(times).size).toBe(5);
        expect([...times].sort((a, b) => a - b)).toEqual(times);
      });

      it('keeps a bounded number of sources', async () => {
        await collection().write(Array.from({ length: 150 }, (_, i) => imageWrite('a', { url: `https://example.com/${i}`, origin: String(i) })));
        const [record] = await collection().getMany([idOf('a')]);
        expect(record?.urls).toHaveLength(100);
        expect(record?.urls[0]).toBe('https://example.com/0');
      });

      it('refuses a vector of another length and writes nothing of the batch', async () => {
        await expect(collection().write([imageWrite('a'), imageWrite('b', { vector: new Float32Array(3) })])).rejects.toMatchObject({ code: 'EIS_VECTOR_INVALID' });
        expect(await collection().count()).toBe(0);
      });

      it('lets one of many concurrent writers of an image store it', async () => {
        const stores = await Promise.all([open(), open(), open()]);
        const outcomes = await Promise.all(
          Array.from({ length: 30 }, (_, i) => (stores[i % 3] as Store).collection('m', LIVE).write([imageWrite('a', { url: `https://example.com/${i}`, origin: String(i) })])),
        );
        expect(outcomes.flat().filter((outcome) => outcome === 'stored')).toHaveLength(1);
        const [record] = await collection().getMany([idOf('a')]);
        expect(new Set(record?.urls).size).toBe(30);
      });

      it('keeps versions of one model and models of one version apart', async () => {
        await collection().write([imageWrite('a')]);
        expect(await store.collection('m', { ...LIVE, version: 'b'.repeat(64) }).count()).toBe(0);
        expect(await store.collection('n', LIVE).count()).toBe(0);
      });
    });

    describe('metadata', () => {
      const given = (values: Record<string, string | number | boolean | string[]>, givenAt: number): Partial<ImageWrite> => ({ metadata: { values, givenAt }, origin: String(givenAt) });
      const read = async (text = 'a') => (await collection().getMany([idOf(text)]))[0];

      it('comes back as it was given, also from scans, and of an image without it there is none', async () => {
        const values = { $literal: '$urls', tags: ['cat', ''], text: 'é$.\u0000', yes: true, zero: 0, large: 2 ** 53, small: -1.5e-7 };
        await collection().write([imageWrite('a', given(values, 5)), imageWrite('b')]);
        expect((await read())?.metadata).toEqual({ values, givenAt: 5 });
        expect((await read('b'))?.metadata).toBeUndefined();
        const scanned = new Map((await collect(collection().scan(ALL_SLOTS))).map(({ id, metadata }) => [id, metadata]));
        expect(scanned).toEqual(new Map([[idOf('a'), { values, givenAt: 5 }], [idOf('b'), undefined]]));
      });

      it('is replaced as a whole by what is given later, which is a change', async () => {
        await collection().write([imageWrite('a', given({ year: 2020, tags: ['cat'] }, 5))]);
        const before = await read();
        expect(await collection().write([imageWrite('a', given({ year: 2021 }, 6))])).toEqual(['duplicate']);
        const after = await read();
        expect(after?.metadata).toEqual({ values: { year: 2021 }, givenAt: 6 });
        expect(after?.updatedAt).toBeGreaterThan(before!.updatedAt);
        expect(after?.urls).toEqual(before?.urls);
        expect(await changedIds(collection(), before!.updatedAt + 1)).toEqual([idOf('a')]);
      });

      it('stays where a write gives none, and where it gives what was given earlier', async () => {
        await collection().write([imageWrite('a', given({ year: 2021 }, 6))]);
        const before = await read();
        await collection().write([imageWrite('a', given({ year: 2020 }, 5)), imageWrite('a', { origin: 'none' })]);
        expect(await read()).toEqual(before);
        await collection().write([imageWrite('a', { ...given({ year: 2020 }, 5), url: 'https://other/' })]);
        expect(await read()).toMatchObject({ metadata: before!.metadata, urls: [before!.urls[0], 'https://other/'] });
      });

      it('is no change when the same is given again, which stands from then on', async () => {
        await collection().write([imageWrite('a', given({ year: 2020 }, 5))]);
        const before = await read();
        await collection().write([imageWrite('a', given({ year: 2020 }, 9))]);
        expect(await read()).toEqual({ ...before, metadata: { values: { year: 2020 }, givenAt: 9 } });
        await collection().write([imageWrite('a', given({ year: 1999 }, 7))]);
        expect(await read()).toMatchObject({ metadata: { values: { year: 2020 } }, updatedAt: before!.updatedAt });
      });

      it('is taken away by an empty object', async () => {
        await collection().write([imageWrite('a', given({ year: 2020 }, 5))]);
        await collection().write([imageWrite('a', given({}, 6))]);
        expect((await read())?.metadata).toEqual({ values: {}, givenAt: 6 });
      });

      it('comes to an image that had none', async () => {
        await collection().write([imageWrite('a')]);
        const before = await read();
        await collection().write([imageWrite('a', given({ year: 2020 }, 5))]);
        const after = await read();
        expect(after?.metadata).toEqual({ values: { year: 2020 }, givenAt: 5 });
        expect(after?.updatedAt).toBeGreaterThan(before!.updatedAt);
      });

      it('is that of the last of several writes of one batch, and a new URL comes with it', async () => {
        await collection().write([imageWrite('a', given({ year: 1 }, 1)), imageWrite('a', given({ year: 3 }, 3)), imageWrite('a', { ...given({ year: 2 }, 2), url: 'https://other/' })]);
        expect(await read()).toMatchObject({ metadata: { values: { year: 3 }, givenAt: 3 }, urls: ['https://example.com/a', 'https://other/'] });
      });

      it('does not outlive the image', async () => {
        await collection().write([imageWrite('a', given({ year: 2020 }, 5))]);
        await collection().delete(idOf('a'));
        await collection().write([imageWrite('a', { origin: 'later' })]);
        expect((await read())?.metadata).toBeUndefined();
      });
    });

    describe('delete()', () => {
      it('leaves a tombstone that is a change, and is gone from scans and counts', async () => {
        await collection().write([imageWrite('a'), imageWrite('b')]);
        expect(await collection().delete(idOf('a'))).toBe(true);
        const [record] = await collection().getMany([idOf('a')]);
        expect(record?.deletedAt).toBe(record?.updatedAt);
        expect(await changedIds(collection(), record!.updatedAt)).toContain(idOf('a'));
        expect((await collect(collection().scan(ALL_SLOTS))).map(({ id }) => id)).toEqual([idOf('b')]);
        expect((await collect(collection().keys(ALL_SLOTS))).map(({ id }) => id)).toEqual([idOf('b')]);
        expect(await collection().count()).toBe(1);
      });

      it('is false for an image that is unknown or already gone', async () => {
        await collection().write([imageWrite('a')]);
        await collection().delete(idOf('a'));
        expect(await collection().delete(idOf('a'))).toBe(false);
        expect(await collection().delete(idOf('unknown'))).toBe(false);
      });

      it('is undone by ingesting the image again', async () => {
        await collection().write([imageWrite('a')]);
        await collection().delete(idOf('a'));
        expect(await collection().write([imageWrite('a', { origin: 'later', url: 'https://later/' })])).toEqual(['stored']);
        const [record] = await collection().getMany([idOf('a')]);
        expect(record).toMatchObject({ deletedAt: undefined, urls: ['https://later/'] });
      });

      it('leaves out what was given before it and comes later, of an image that was here, and of one that was not', async () => {
        await collection().write([imageWrite('a', { givenAt: 1_000 })]);
        expect(await collection().delete(idOf('a'), 2_000)).toBe(true);
        expect(await collection().delete(idOf('b'), 2_000)).toBe(false);
        expect(await collection().write([imageWrite('a', { givenAt: 1_000 }), imageWrite('a', { givenAt: 1_999, origin: 'other', url: 'https://other/' }), imageWrite('b', { givenAt: 1_999 })])).toEqual(['stored', 'duplicate', 'duplicate']);
        const records = await collection().getMany([idOf('a'), idOf('b')]);
        expect(records.map(({ deletedAt, updatedAt }) => deletedAt === updatedAt)).toEqual([true, true]);
        expect(await collection().count()).toBe(0);
        expect(await collect(collection().scan(ALL_SLOTS))).toEqual([]);
      });

      it('is undone by what is given later, or at the same moment', async () => {
        await collection().write([imageWrite('a', { givenAt: 1_000 })]);
        await collection().delete(idOf('a'), 2_000);
        await collection().delete(idOf('b'), 2_000);
        expect(await collection().write([imageWrite('a', { givenAt: 2_001, origin: 'later', url: 'https://later/' }), imageWrite('b', { givenAt: 2_000 })])).toEqual(['stored', 'stored']);
        expect(await collection().getMany([idOf('b')])).toMatchObject([{ deletedAt: undefined, width: 640, urls: ['https://example.com/b'] }]);
        expect((await collect(collection().scan(ALL_SLOTS))).map(({ urls: [url] }) => url).sort()).toEqual(['https://example.com/b', 'https://later/']);
        expect(await collection().write([imageWrite('a', { givenAt: 1_500, origin: 'late', url: 'https://late/' })])).toEqual(['duplicate']);
      });

      it('counts from the last time that it was asked for', async () => {
        await collection().write([imageWrite('a')]);
        await collection().delete(idOf('a'), 1_000);
        const [before] = await collection().getMany([idOf('a')]);
        expect(await collection().delete(idOf('a'), 3_000)).toBe(false);
        await collection().delete(idOf('a'), 2_000);
        expect((await collection().getMany([idOf('a')]))[0]?.updatedAt).toBe(before?.updatedAt);
        expect(await collection().write([imageWrite('a', { givenAt: 2_500, origin: 'other' })])).toEqual(['duplicate']);
        expect(await collection().count()).toBe(0);
      });
    });

    describe('setGroups()', () => {
      const recordOf = async (text: string) => (await collection().getMany([idOf(text)]))[0]!;

      it('names the canonical image of a group, which is a change, and a scan tells it', async () => {
        await collection().write([imageWrite('a'), imageWrite('b'), imageWrite('c')]);
        const before = await recordOf('b');
        expect(before.canonical).toBeUndefined();
        expect(await collection().setGroups([{ id: idOf('a'), canonical: idOf('a') }, { id: idOf('b'), canonical: idOf('a') }])).toBe(2);
        const after = await recordOf('b');
        expect(after).toEqual({ ...before, canonical: idOf('a'), updatedAt: after.updatedAt });
        expect(after.updatedAt).toBeGreaterThan(before.updatedAt);
        expect(await changedIds(collection(), after.updatedAt)).toContain(idOf('b'));
        const scanned = await collect(collection().scan(ALL_SLOTS));
        expect(new Map(scanned.map(({ id, canonical }) => [id, canonical]))).toEqual(new Map([[idOf('a'), idOf('a')], [idOf('b'), idOf('a')], [idOf('c'), undefined]]));
      });

      it('changes nothing where the group is the same', async () => {
        await collection().write([imageWrite('a'), imageWrite('b')]);
        const writes = [{ id: idOf('a'), canonical: idOf('b') }, { id: idOf('b'), canonical: undefined }];
        expect(await collection().setGroups(writes)).toBe(1);
        const before = [await recordOf('a'), await recordOf('b')];
        expect(await collection().setGroups(writes)).toBe(0);
        expect([await recordOf('a'), await recordOf('b')]).toEqual(before);
        expect(await collection().setGroups([])).toBe(0);
      });

      it('takes an image out of its group', async () => {
        await collection().write([imageWrite('a')]);
        await collection().setGroups([{ id: idOf('a'), canonical: idOf('b') }]);
        const grouped = await recordOf('a');
        expect(await collection().setGroups([{ id: idOf('a'), canonical: undefined }])).toBe(1);
        expect((await recordOf('a')).canonical).toBeUndefined();
        expect((await recordOf('a')).updatedAt).toBeGreaterThan(grouped.updatedAt);
      });

      it('leaves unknown and deleted images as they are', async () => {
        await collection().write([imageWrite('a')]);
        await collection().delete(idOf('a'));
        const before = await recordOf('a');
        expect(await collection().setGroups([{ id: idOf('a'), canonical: idOf('b') }, { id: idOf('unknown'), canonical: idOf('b') }])).toBe(0);
        expect(await recordOf('a')).toEqual(before);
        expect(await collection().getMany([idOf('unknown')])).toEqual([]);
      });

      it('lets a group outlast another URL, and end when the image is deleted and comes back', async () => {
        await collection().write([imageWrite('a')]);
        await collection().setGroups([{ id: idOf('a'), canonical: idOf('b') }]);
        await collection().write([imageWrite('a', { url: 'https://other/', origin: 'other' })]);
        expect((await recordOf('a')).canonical).toBe(idOf('b'));
        await collection().delete(idOf('a'));
        await collection().write([imageWrite('a', { origin: 'later' })]);
        expect((await recordOf('a')).canonical).toBeUndefined();
      });
    });

    describe('notes', () => {
      it('are kept by name, for each version of its own, and seen by others', async () => {
        expect(await collection().readNote('job')).toBeUndefined();
        await collection().writeNote('job', { at: 1, $set: ['x'], nothing: null });
        expect(await (await open()).collection('m', LIVE).readNote('job')).toEqual({ at: 1, $set: ['x'], nothing: null });
        await collection().writeNote('job', { at: 2 });
        expect(await collection().readNote('job')).toEqual({ at: 2 });
        expect(await collection().readNote('other')).toBeUndefined();
        expect(await store.collection('m', { ...LIVE, version: 'b'.repeat(64) }).readNote('job')).toBeUndefined();
      });
    });

    describe('scan(), keys() and changes()', () => {
      const texts = Array.from({ length: 700 }, (_, i) => `image ${i}`);

      it('give every record once over the shards of any number', async () => {
        await collection().write(texts.map((text) => imageWrite(text)));
        const expected = texts.map(idOf).sort();
        for (const shards of [1, 2, 3, 7]) {
          const ranges = Array.from({ length: shards }, (_, i) => slotRange(i, shards));
          for (const read of [(range: SlotRange) => collection().scan(range), (range: SlotRange) => collection().keys(range), (range: SlotRange) => collection().changes(range, 0)]) {
            const ids = (await Promise.all(ranges.map(async (range) => collect<{ id: string }>(read(range))))).flat().map(({ id }) => id);
            expect(ids.sort()).toEqual(expected);
          }
        }
      });

      it('give changes oldest first, from a time on, that time included', async () => {
        await collection().write([imageWrite('a')]);
        const [a] = await collection().getMany([idOf('a')]);
        await new Promise((resolve) => setTimeout(resolve, 5));
        await collection().write([imageWrite('b')]);
        const [b] = await collection().getMany([idOf('b')]);
        expect(await changedIds(collection(), 0)).toEqual([idOf('a'), idOf('b')]);
        expect(await changedIds(collection(), a!.updatedAt + 1)).toEqual([idOf('b')]);
        expect(await changedIds(collection(), b!.updatedAt)).toEqual([idOf('b')]);
        expect(await changedIds(collection(), b!.updatedAt + 1)).toEqual([]);
      });

      it('name a record once after it changed several times', async () => {
        await collection().write([imageWrite('a')]);
        await collection().write([imageWrite('a', { url: 'https://other/', origin: 'other' })]);
        await collection().delete(idOf('a'));
        expect(await changedIds(collection(), 0)).toEqual([idOf('a')]);
      });

      it('survive closing and opening again', async () => {
        await collection().write(texts.slice(0, 10).map((text) => imageWrite(text)));
        const again = await open();
        expect(await again.collection('m', LIVE).count()).toBe(10);
      });
    });

    describe('removeVersion()', () => {
      const other = { version: 'b'.repeat(64), dim: 4 };

      it('removes every image of a version, for all who have the store open, and nothing of another', async () => {
        await store.setLiveVersion('m', LIVE);
        const elsewhere = await open();
        for (const live of [LIVE, other]) await elsewhere.collection('m', live).write([imageWrite('a'), imageWrite('b')]);
        await store.removeVersion('m', other);
        expect(await collect(elsewhere.collection('m', other).keys(ALL_SLOTS))).toEqual([]);
        expect(await elsewhere.collection('m', other).getMany([idOf('a')])).toEqual([]);
        expect(await changedIds(elsewhere.collection('m', other), 0)).toEqual([]);
        expect(await collection().count()).toBe(2);
        await store.removeVersion('m', other);
      });

      it('forgets what jobs noted of the version, and nothing of another', async () => {
        for (const live of [LIVE, other]) await store.collection('m', live).writeNote('job', { of: live.version });
        await store.removeVersion('m', other);
        expect(await (await open()).collection('m', other).readNote('job')).toBeUndefined();
        expect(await collection().readNote('job')).toEqual({ of: LIVE.version });
      });

      it('leaves a collection that can be filled again', async () => {
        await store.collection('m', other).write([imageWrite('a')]);
        await store.removeVersion('m', other);
        expect(await store.collection('m', other).write([imageWrite('a')])).toEqual(['stored']);
        expect(await store.collection('m', other).count()).toBe(1);
      });

      it('refuses the version that is searched', async () => {
        await store.setLiveVersion('m', LIVE);
        await collection().write([imageWrite('a')]);
        await expect(store.removeVersion('m', LIVE)).rejects.toMatchObject({ code: 'EIS_STORE_REFUSED' });
        expect(await collection().count()).toBe(1);
      });
    });

    describe('reembeddings', () => {
      const job = { model: 'm', step: 'starting', startedAt: 1, to: { modelUrl: '/models/other', sha256: undefined, layer: undefined, inputSize: 96, preprocess: '[0,1]', engine: 'auto' }, from: LIVE, revision: 0 } as const;

      it('are known to all who have the store open, with all that was saved', async () => {
        expect(await store.reembeddings.get('m')).toBeUndefined();
        const saved = await store.reembeddings.save(job);
        const agreement = { overlap: 0.25, k: 10, sampled: 100, among: 2000 };
        await store.reembeddings.save({ ...saved!, step: 'comparing', version: { version: 'b'.repeat(64), dim: 8 }, submission: 'x', missing: 3, agreement });
        const elsewhere = await open();
        expect(await elsewhere.reembeddings.get('m')).toMatchObject({ model: 'm', step: 'comparing', to: { modelUrl: '/models/other', inputSize: 96, preprocess: '[0,1]' }, from: LIVE, version: { dim: 8 }, submission: 'x', missing: 3, agreement, revision: 2 });
        expect((await elsewhere.reembeddings.list()).map(({ model, step }) => [model, step])).toEqual([['m', 'comparing']]);
        await elsewhere.reembeddings.remove('m');
        expect(await store.reembeddings.get('m')).toBeUndefined();
      });

      it('are saved by one of two that changed what they read', async () => {
        const first = await store.reembeddings.save(job);
        expect(first).toMatchObject({ revision: 1 });
        expect(await store.reembeddings.save(job)).toBeUndefined();
        const elsewhere = await open();
        expect(await elsewhere.reembeddings.save({ ...first!, step: 'filling' })).toMatchObject({ revision: 2 });
        expect(await store.reembeddings.save({ ...first!, step: 'rolled_back' })).toBeUndefined();
        expect(await store.reembeddings.get('m')).toMatchObject({ step: 'filling' });
        await store.reembeddings.remove('m');
        expect(await elsewhere.reembeddings.save({ ...first!, revision: 2 })).toBeUndefined();
      });
    });

    describeLedger(() => store, () => open());
  });
}
