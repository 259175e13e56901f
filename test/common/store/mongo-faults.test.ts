import { Binary, type Document } from 'bson';
import { describe, expect, it } from 'vitest';
import { ALL_SLOTS, slotOf } from '../../../common/slots.js';
import type { LedgerKey } from '../../../common/store/store.js';
import type { Effect } from '../../support/mongo-wire/wire-faults.js';
import { IMAGES, LIVE, startMongo, type MongoPair } from './mongo-parts.js';
import { idOf, imageWrite } from './store-contract.js';

/** What the driver sends again by itself, where transaction numbers tell a server that it knows the write. */
const RETRIED: [string, Effect][] = [
  ['a connection cut before a write is applied', { kind: 'cut', when: 'before' }],
  ['a connection cut after a write is applied', { kind: 'cut', when: 'after' }],
  ['a primary that is none any more', { kind: 'refuse', code: 10107, codeName: 'NotWritablePrimary' }],
  ['a primary that steps down', { kind: 'refuse', code: 189, codeName: 'PrimarySteppedDown' }],
  ['an upsert that another one is faster than', { kind: 'race' }],
];
/** What the caller is told of, and sends again. */
const TOLD: [string, Effect][] = [
  ['a write that no majority took in time', { kind: 'unconfirmed' }],
  ['a lock that was not to be had in time', { kind: 'refuse', code: 24, codeName: 'LockTimeout' }],
];
const KEY: LedgerKey = { submission: 's1', source: 'a', model: 'm' };
const UNAVAILABLE = { code: 'EIS_STORE_UNAVAILABLE', retryAfterS: 1 };

async function expectStoredOnce({ server, images }: MongoPair): Promise<void> {
  expect(server.pendingFaults).toBe(0);
  expect(server.collection(IMAGES).documents.size).toBe(1);
  const [before] = await images.getMany([idOf('a')]);
  expect(before?.createdAt).toBe(before?.updatedAt);
  expect(await images.write([imageWrite('a')])).toEqual(['stored']);
  expect(await images.write([imageWrite('a', { origin: 'other' })])).toEqual(['duplicate']);
  expect((await images.getMany([idOf('a')]))[0]).toEqual(before);
}

describe('MongoStore, when something fails in a write', () => {
  it.each(RETRIED)('gives the same outcome after %s', async (_, effect) => {
    const mongo = await startMongo();
    mongo.server.inject({ command: 'update', collection: IMAGES, effect });
    expect(await mongo.images.write([imageWrite('a')])).toEqual(['stored']);
    await expectStoredOnce(mongo);
  });

  it.each(TOLD)('says that it is unavailable after %s, and stores it once when it is written again', async (_, effect) => {
    const mongo = await startMongo();
    mongo.server.inject({ command: 'update', collection: IMAGES, effect });
    await expect(mongo.images.write([imageWrite('a')])).rejects.toMatchObject(UNAVAILABLE);
    expect(await mongo.images.write([imageWrite('a')])).toEqual(['stored']);
    await expectStoredOnce(mongo);
  });

  it.each(['before', 'after'] as const)('stores it once on a standalone, where nothing is sent again, after a cut %s', async (when) => {
    const mongo = await startMongo({ role: 'standalone' });
    mongo.server.inject({ command: 'update', collection: IMAGES, effect: { kind: 'cut', when } });
    await expect(mongo.images.write([imageWrite('a')])).rejects.toMatchObject(UNAVAILABLE);
    expect(await mongo.images.write([imageWrite('a')])).toEqual(['stored']);
    await expectStoredOnce(mongo);
  });

  it('is the duplicate of the writer that was faster, and adds its source', async () => {
    const mongo = await startMongo();
    const { server, images } = mongo;
    await mongo.open().collection('m', LIVE).write([imageWrite('a', { origin: 'faster', url: 'https://faster/' })]);
    const standing = server.collection(IMAGES).documents.get(idOf('a')) as Document;
    server.collection(IMAGES).documents.clear();
    server.inject({ command: 'update', collection: IMAGES, effect: { kind: 'race', meanwhile: () => server.collection(IMAGES).put(standing) } });
    expect(await images.write([imageWrite('b'), imageWrite('a')])).toEqual(['stored', 'duplicate']);
    expect((await images.getMany([idOf('a')]))[0]?.urls).toEqual(['https://faster/', 'https://example.com/a']);
  });

  it('answers a delete that was applied before the connection was cut', async () => {
    const { server, images } = await startMongo();
    await images.write([imageWrite('a')]);
    server.inject({ command: 'update', collection: IMAGES, effect: { kind: 'cut', when: 'after' } });
    expect(await images.delete(idOf('a'))).toBe(true);
    expect(await images.delete(idOf('a'))).toBe(false);
  });

  it.each([...RETRIED, ...TOLD])('lets the first outcome of the ledger win after %s', async (_, effect) => {
    const { server, store } = await startMongo();
    const settle = (state: 'stored' | 'duplicate') => store.ledger.settle([{ ...KEY, state, id: idOf('a') }]);
    server.inject({ command: 'update', collection: 'sources', effect });
    await settle('stored').catch((error: unknown) => expect(error).toMatchObject(UNAVAILABLE));
    expect(await settle('stored')).toMatchObject([{ state: 'stored' }]);
    expect(await settle('duplicate')).toMatchObject([{ state: 'stored' }]);
    expect(await store.ledger.counts('s1')).toMatchObject({ stored: 1, duplicate: 0 });
    expect(server.pendingFaults).toBe(0);
  });

  it.each(RETRIED)('names the first live version after %s', async (_, effect) => {
    const { server, store } = await startMongo();
    server.inject({ command: 'findAndModify', effect });
    expect(await store.setLiveVersion('m', LIVE, { onlyIfAbsent: true })).toEqual(LIVE);
    expect(await store.setLiveVersion('m', { version: 'b', dim: 1 }, { onlyIfAbsent: true })).toEqual(LIVE);
    expect(server.pendingFaults).toBe(0);
  });

  it('loses nothing and stores nothing twice among four writers of the same images, whatever fails', async () => {
    const mongo = await startMongo();
    const { server } = mongo;
    await mongo.store.init();
    const effects = [...RETRIED, ...TOLD].map(([, effect]) => effect);
    for (const effect of effects) server.inject({ command: 'update', collection: IMAGES, effect });
    const texts = Array.from({ length: 20 }, (_, i) => `image ${i}`);
    const persist = async (writer: number): Promise<string[]> => {
      const collection = mongo.open().collection('m', LIVE);
      const writes = texts.map((text) => imageWrite(text, { url: `https://example.com/${writer}/${text}`, origin: `${writer} ${text}` }));
      for (;;) {
        const outcomes = await collection.write(writes).catch((error: unknown) => void expect(error).toMatchObject(UNAVAILABLE));
        if (outcomes) return outcomes;
      }
    };
    const outcomes = await Promise.all([0, 1, 2, 3].map(persist));
    for (const i of texts.keys()) expect(outcomes.filter((of) => of[i] === 'stored')).toHaveLength(1);
    const records = await mongo.images.getMany(texts.map(idOf));
    expect(records.map(({ urls }) => urls.length)).toEqual(texts.map(() => 4));
    expect(server.pendingFaults).toBe(0);
  });
});

describe('MongoStore, when the server is away', () => {
  it('goes on where a server restarts meanwhile', async () => {
    const { server, images } = await startMongo();
    await images.write([imageWrite('a')]);
    await server.stop();
    const written = images.write([imageWrite('b')]);
    setTimeout(() => void server.restart(), 200);
    expect(await written).toEqual(['stored']);
    expect(await images.count()).toBe(2);
  });

  it('waits for the next primary', async () => {
    const { server, images } = await startMongo();
    await images.write([imageWrite('a')]);
    server.isPrimary = false;
    setTimeout(() => (server.isPrimary = true), 300);
    expect(await images.write([imageWrite('b')])).toEqual(['stored']);
  });

  it('says so in time, without naming hosts', async () => {
    const { server, images } = await startMongo({}, { timeoutMs: 400 });
    await images.write([imageWrite('a')]);
    await server.stop();
    const error = await images.count().catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject(UNAVAILABLE);
    expect((error as Error).message).not.toMatch(/127\.0\.0\.1|\d{5}/);
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  it('gives up what takes too long, and stores it once when it is written again', async () => {
    const mongo = await startMongo({}, { timeoutMs: 400 });
    await mongo.store.collection('m', LIVE).write([imageWrite('b')]);
    mongo.server.collection(IMAGES).documents.clear();
    mongo.server.inject({ command: 'update', collection: IMAGES, effect: { kind: 'slow', ms: 600 } });
    await expect(mongo.images.write([imageWrite('a')])).rejects.toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining('EIS_STORE_TIMEOUT_MS') as string });
    expect(await mongo.images.write([imageWrite('a')])).toEqual(['stored']);
    await expectStoredOnce(mongo);
  });

  it('tells what a user may not do, and what will never be taken, from what passes', async () => {
    const { server, images } = await startMongo();
    const writeRefused = async (code: number, codeName: string): Promise<Error> => {
      server.inject({ command: 'update', collection: IMAGES, effect: { kind: 'refuse', code, codeName } });
      return (await images.write([imageWrite('a')]).catch((error: unknown) => error)) as Error;
    };
    expect(await writeRefused(13, 'Unauthorized')).toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining('Grant it readWrite') as string });
    expect(await writeRefused(10334, 'BSONObjectTooLarge')).toMatchObject({ code: 'EIS_STORE_REFUSED', message: expect.stringContaining('larger than the server takes') as string });
    expect(await images.write([imageWrite('a')])).toEqual(['stored']);
  });
});

describe('MongoStore, when cursors die', () => {
  const COUNT = 5_000;

  /** Images of which 2,000 changed in the same millisecond: a cursor that goes on must not give some of them twice. */
  async function startFull(): Promise<MongoPair & { readonly ids: string[] }> {
    const mongo = await startMongo();
    const ids = Array.from({ length: COUNT }, (_, i) => idOf(String(i)));
    const vector = Binary.fromFloat32Array(new Float32Array(4));
    ids.forEach((id, i) => {
      const at = new Date(1_000_000 + Math.floor(i / 2_000));
      mongo.server.collection(IMAGES).put({ _id: id, slot: slotOf(id), vector, urls: [], phash: '', width: 1, height: 1, format: 'png', origin: 'o', created_at: at, updated_at: at });
    });
    return { ...mongo, ids: ids.sort() };
  }

  const FAULTS: [string, Effect][] = [
    ['forgotten cursors', { kind: 'refuse', code: 43, codeName: 'CursorNotFound' }],
    ['a cut connection', { kind: 'cut', when: 'before' }],
    ['an election', { kind: 'refuse', code: 11602, codeName: 'InterruptedDueToReplStateChange' }],
  ];

  it.each(FAULTS)('gives every record and key once in spite of %s', async (_, effect) => {
    const { server, images, ids } = await startFull();
    for (const read of [() => images.scan(ALL_SLOTS), () => images.keys(ALL_SLOTS), () => images.changes(ALL_SLOTS, 0)]) {
      server.inject({ command: 'getMore', effect });
      const found: string[] = [];
      for await (const batch of read() as AsyncIterable<{ id: string }[]>) found.push(...batch.map(({ id }) => id));
      expect(found.sort()).toEqual(ids);
    }
    expect(server.pendingFaults).toBe(0);
    await expect.poll(() => server.openCursors).toBe(0);
  });

  it('leaves no cursor behind when nobody reads on', async () => {
    const { server, images } = await startFull();
    for (const read of [() => images.scan(ALL_SLOTS), () => images.keys(ALL_SLOTS), () => images.changes(ALL_SLOTS, 0)]) {
      for await (const batch of read() as AsyncIterable<{ id: string }[]>) if (batch.length > 0) break;
      expect(server.openCursors).toBe(0);
    }
  });

  it('holds a bounded number of batches for a consumer that is slow', async () => {
    const { server, images } = await startFull();
    const records = images.scan(ALL_SLOTS)[Symbol.asyncIterator]();
    await records.next();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(server.commands.filter(({ name }) => name === 'getMore').length).toBeLessThanOrEqual(2);
    await records.return?.();
  });

  it('does not try for ever, and not at all where it may not read', async () => {
    const { server, images } = await startFull();
    const readAll = async (): Promise<void> => {
      for await (const keys of images.keys(ALL_SLOTS)) expect(keys).toBeDefined();
    };
    server.inject({ command: 'find', effect: { kind: 'refuse', code: 13, codeName: 'Unauthorized' } });
    await expect(readAll()).rejects.toMatchObject(UNAVAILABLE);
    expect(server.commands.filter(({ name }) => name === 'find')).toHaveLength(1);
    server.inject({ command: 'find', times: 100, effect: { kind: 'refuse', code: 24, codeName: 'LockTimeout' } });
    await expect(readAll()).rejects.toMatchObject(UNAVAILABLE);
    expect(server.commands.filter(({ name }) => name === 'find')).toHaveLength(8);
  });
});
