import { Binary, type Document } from 'bson';
import { describe, expect, it } from 'vitest';
import { slotOf } from '../../../common/slots.js';
import { versionName } from '../../../common/store/store.js';
import type { WireServer } from '../../support/mongo-wire/wire-server.js';
import { IMAGES, LIVE, startMongo } from './mongo-parts.js';
import { idOf, imageWrite } from './store-contract.js';

const namesOf = (server: WireServer): string[] => server.commands.map(({ name }) => name);
const keysOf = (server: WireServer, collection: string): Document[] => server.collection(collection).indexes.map(({ key }) => key as Document);

describe('what MongoStore writes', () => {
  it('is a document with the slot as a number, the vector as float32 and times as dates', async () => {
    const { server, images } = await startMongo();
    const image = imageWrite('a');
    await images.write([image]);
    const document = server.collection(IMAGES).documents.get(image.id) as Document;
    expect(Object.keys(document).sort()).toEqual(['_id', 'created_at', 'format', 'height', 'origin', 'phash', 'slot', 'updated_at', 'urls', 'vector', 'width']);
    expect(document).toMatchObject({ _id: image.id, slot: slotOf(image.id), origin: image.origin, created_at: expect.any(Date) as Date });
    const vector = document['vector'] as Binary;
    expect([vector.sub_type, vector.buffer[0]]).toEqual([9, Binary.VECTOR_TYPE.Float32]);
    expect(vector.toFloat32Array()).toEqual(image.vector);
  });

  it('takes its times from the clock of the server, each later than the one before even when the clock is set back', async () => {
    let now = 5_000;
    const { server, images } = await startMongo({ now: () => now });
    const timesOf = async (): Promise<Document> => (await images.getMany([idOf('a')]))[0] as object;
    await images.write([imageWrite('a')]);
    expect(await timesOf()).toMatchObject({ createdAt: 5_000, updatedAt: 5_000 });
    now = 1_000;
    await images.write([imageWrite('a', { url: 'https://other/' })]);
    expect(await timesOf()).toMatchObject({ createdAt: 5_000, updatedAt: 5_001 });
    await images.delete(idOf('a'));
    expect(await timesOf()).toMatchObject({ updatedAt: 5_002, deletedAt: 5_002 });
    await images.write([imageWrite('a')]);
    expect(await timesOf()).toMatchObject({ createdAt: 5_003, updatedAt: 5_003, deletedAt: undefined });
    expect(server.collection(IMAGES).documents.get(idOf('a'))).not.toHaveProperty('deleted_at');
  });

  it('takes what looks like a field or a variable for what it is', async () => {
    const { images, store } = await startMongo();
    await images.write([imageWrite('a', { url: '$origin', origin: '$$NOW', format: '$phash' })]);
    await images.write([imageWrite('a', { url: '$$ROOT', origin: 'other' })]);
    expect(await images.getMany([idOf('a')])).toMatchObject([{ urls: ['$origin', '$$ROOT'], format: '$phash' }]);
    await store.ledger.settle([{ submission: 's', source: '$source', model: 'm', state: 'rejected', code: '$code', message: '$$NOW' }]);
    expect(await store.ledger.getMany([{ submission: 's', source: '$source', model: 'm' }])).toMatchObject([{ source: '$source', code: '$code', message: '$$NOW' }]);
  });

  it('is acknowledged by a majority, and read back after it as a majority has it', async () => {
    const { server, images } = await startMongo();
    await images.write([imageWrite('a')]);
    const update = server.commands.find(({ name }) => name === 'update')?.command;
    expect(update).toMatchObject({ writeConcern: { w: 'majority', j: true, wtimeout: 5_000 }, ordered: false, txnNumber: expect.anything() as unknown });
    const find = server.commands.find(({ name }) => name === 'find')?.command;
    expect(find).toMatchObject({ readConcern: { level: 'majority', afterClusterTime: expect.anything() as unknown }, lsid: update?.['lsid'] as unknown });
  });

  it('is one update for an image that a batch brings many times', async () => {
    const { server, images } = await startMongo();
    await images.write([imageWrite('a'), imageWrite('b'), imageWrite('a', { url: 'https://other/', origin: 'other' })]);
    expect(server.commands.filter(({ name }) => name === 'update').map(({ command }) => (command['updates'] as unknown[]).length)).toEqual([2]);
  });

  it('survives a standing document whose vector is none: its length fits nobody', async () => {
    const { server, images } = await startMongo();
    await images.write([imageWrite('a')]);
    server.collection(IMAGES).put({ ...server.collection(IMAGES).documents.get(idOf('a')), vector: [1, 2] });
    expect((await images.getMany([idOf('a')]))[0]?.vector).toHaveLength(0);
  });
});

describe('MongoStore.init()', () => {
  it('makes the indexes of the ledger and of every version that is there, once', async () => {
    const { server, store } = await startMongo();
    server.collection(IMAGES);
    server.collection('other');
    for (let i = 0; i < 2; i++) expect(await store.init()).toEqual({ deployment: 'replica set', collections: ['sources', IMAGES], advice: [] });
    expect(keysOf(server, IMAGES)).toEqual([{ _id: 1 }, { updated_at: 1, slot: 1, _id: 1 }, { slot: 1, _id: 1, updated_at: 1, deleted_at: 1 }, { deleted_at: 1 }]);
    expect(server.collection(IMAGES).indexes.at(-1)).toMatchObject({ expireAfterSeconds: 30 * 86_400, partialFilterExpression: { deleted_at: { $exists: true } } });
    expect(keysOf(server, 'sources')).toEqual([{ _id: 1 }, { state: 1, _id: 1 }, { submission: 1, state: 1, _id: 1 }]);
    expect(keysOf(server, 'other')).toEqual([{ _id: 1 }]);
  });

  it('is enough on a standalone, which then keeps images', async () => {
    const { store, images } = await startMongo({ role: 'standalone' });
    expect(await store.init()).toMatchObject({ deployment: 'standalone', advice: [] });
    expect(await images.write([imageWrite('a'), imageWrite('a', { origin: 'other' })])).toEqual(['stored', 'duplicate']);
    expect(await images.count()).toBe(1);
  });

  it('shards by the hashed id through mongos', async () => {
    const { server, store, images } = await startMongo({ role: 'mongos' });
    expect(await store.init()).toMatchObject({ deployment: 'mongos', collections: ['sources'], advice: [] });
    expect([...server.sharding]).toEqual([['eis', {}], ['eis.sources', { _id: 'hashed' }]]);
    expect(await images.write([imageWrite('a')])).toEqual(['stored']);
    expect(server.sharding.get(`eis.${IMAGES}`)).toEqual({ _id: 'hashed' });
    await store.ledger.accept([{ submission: 's', source: 'a', model: 'm' }]);
    expect(await store.ledger.counts('s')).toMatchObject({ accepted: 1 });
  });

  it('takes a collection that is sharded already as it is', async () => {
    const { server, store } = await startMongo({ role: 'mongos' });
    server.inject({ command: 'shardCollection', effect: { kind: 'refuse', code: 23, codeName: 'AlreadyInitialized' } });
    expect(await store.init()).toMatchObject({ advice: [] });
  });

  it('says what an administrator has to run where the user may not, and serves all the same', async () => {
    const { server, store, images } = await startMongo({ role: 'mongos' });
    server.permits = (command) => !['enableSharding', 'shardCollection'].includes(command);
    const { advice } = await store.init();
    expect(advice).toHaveLength(2);
    expect(advice[0]).toContain('sh.enableSharding("eis")');
    expect(advice[1]).toContain('sh.shardCollection("eis.sources", {"_id":"hashed"})');
    expect(await images.write([imageWrite('a')])).toEqual(['stored']);
  });

  it('leaves an index that somebody made otherwise', async () => {
    const { server, store } = await startMongo();
    server.collection('sources').indexes.push({ name: 'states', key: { state: 1 } });
    expect((await store.init()).advice).toEqual([expect.stringMatching(/^An index stands in the way.*use\("eis"\); db.getCollection\("sources"\).createIndex/)]);
  });
});

describe('a new model version in MongoStore', () => {
  it('has its indexes and its shard key before its first image', async () => {
    const { server, store } = await startMongo({ role: 'mongos' });
    const next = { version: 'b'.repeat(64), dim: 4 };
    await store.collection('m', next).write([imageWrite('a')]);
    const name = versionName('m', next.version);
    expect(keysOf(server, name)).toHaveLength(5);
    expect(namesOf(server).lastIndexOf('createIndexes')).toBeLessThan(namesOf(server).indexOf('update'));
    expect(namesOf(server).indexOf('shardCollection')).toBeLessThan(namesOf(server).indexOf('update'));
    await store.collection('m', next).write([imageWrite('b')]);
    expect(namesOf(server).filter((command) => command === 'shardCollection')).toHaveLength(1);
  });

  it('is prepared again where that failed the first time', async () => {
    const { server, store } = await startMongo();
    server.inject({ command: 'createIndexes', effect: { kind: 'refuse', code: 117, codeName: 'ConflictingOperationInProgress' } });
    const images = store.collection('m', LIVE);
    await expect(images.write([imageWrite('a')])).rejects.toMatchObject({ code: 'EIS_STORE_UNAVAILABLE' });
    expect(await images.write([imageWrite('a')])).toEqual(['stored']);
    expect(keysOf(server, IMAGES)).toHaveLength(4);
  });
});
