/**
 * The whole system of one machine on the parts of a cluster: the queue on RabbitMQ, the store on the wire protocol of
 * MongoDB, images in the wire protocol of Cloud Storage.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import type { LedgerAnswer, SearchAnswer } from '../../common/wire.js';
import type { QueuesAnswer } from '../../common/wire-queues.js';
import type { IngestSummary } from '../../ingest/upload.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { WIRE_BUCKET, WireServer as StorageServer } from '../support/gcs-wire/wire-server.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { WireServer as MongoServer } from '../support/mongo-wire/wire-server.js';
import { Broker, RABBITMQ_MISSING } from '../support/rabbitmq.js';
import { runCli, type CliResult } from '../support/run-cli.js';

const COUNT = 24;
const builtin = { name: 'builtin', model_url: packagePath('models/builtin') };
const second = { ...builtin, name: 'second', preprocess: '[0,1]' };

describe.skipIf(RABBITMQ_MISSING !== undefined)(`the system on RabbitMQ, MongoDB's and Cloud Storage's wire protocols${RABBITMQ_MISSING ? ` (${RABBITMQ_MISSING})` : ''}`, () => {
  let folder: string;
  let broker: Broker;
  let mongo: MongoServer;
  let storage: StorageServer;
  let stack: LocalStack;
  let env: Record<string, string>;
  let names: string[];
  let first: IngestSummary;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-cluster-'));
    [broker, mongo, storage, names] = await Promise.all([Broker.start(), MongoServer.start(), StorageServer.start(), drawImages(join(folder, 'images'), COUNT)]);
    env = { AMQP_URL: broker.url, MONGODB_URI: mongo.uri('eis'), BUCKET: `gs://${WIRE_BUCKET}/eis`, STORAGE_EMULATOR_HOST: storage.url };
    const config = { models: [builtin, second], services: [{ name: 'extract_worker', models: [{ name: 'builtin' }, { name: 'second' }] }] };
    stack = await startLocalStack({ folder, env, config, args: ['--images', join(folder, 'images')] });
  }, 180_000);

  afterAll(async () => {
    await stack.stop();
    await Promise.all([broker.stop(), mongo.stop(), storage.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const eis = (...args: string[]): Promise<CliResult> => runCli([...args, '--gateway', stack.url, '--json'], env);
  const ask = async <T>(path: string): Promise<T> => (await (await fetch(`${stack.url}${path}`)).json()) as T;
  const vectors = async (): Promise<number[]> => (await ask<{ models: { vectors: number }[] }>('/models')).models.map((model) => model.vectors);

  async function search(name: string, model = 'builtin'): Promise<SearchAnswer> {
    const response = await fetch(`${stack.url}/search?model=${model}&top=3`, { method: 'POST', body: new Uint8Array(readImage(join(folder, 'images'), name)), headers: { 'content-type': 'image/jpeg' } });
    return (await response.json()) as SearchAnswer;
  }

  it('stores what is ingested in all three, and finds each image by itself, in both models', async () => {
    await expect.poll(vectors, { timeout: 60_000 }).toEqual([COUNT, COUNT]);
    for (const name of names) {
      const { results, query } = await search(name);
      expect(results[0]).toMatchObject({ id: query.id });
      expect(results[0]!.score).toBeGreaterThan(0.9999);
    }
    expect((await search(names[3]!, 'second')).results[0]!.score).toBeGreaterThan(0.9999);
    expect([...storage.objects.byName.keys()].every((name) => /^eis\/[0-9a-f]{2}\/[0-9a-f]{64}$/.test(name))).toBe(true);
    expect(storage.objects.byName.size).toBe(COUNT);
  }, 90_000);

  it('knows them all the second time; files go into the bucket from the command itself', async () => {
    const { code, stdout } = await eis('ingest', join(folder, 'images'));
    first = JSON.parse(stdout) as IngestSummary;
    expect({ code, ...first }).toMatchObject({ code: 0, sent: COUNT, stored: 0, duplicates: COUNT * 2, rejected: [] });
    const { entries } = await ask<LedgerAnswer>(`/images?submission=${first.submission}&limit=1`);
    expect(entries[0]!.source).toMatch(/^gs:\/\/bucket\/eis\/[0-9a-f]{2}\/[0-9a-f]{64}#/);
  }, 60_000);

  it('removes an image from every model and from the bucket, gone within 2 s, and revives it when it is ingested again', async () => {
    const name = names[5]!;
    const { id } = (await search(name)).query;
    expect(JSON.parse((await eis('delete', id, '--object')).stdout)).toMatchObject({ images: [{ id, models: ['builtin', 'second'] }] });
    await expect.poll(async () => (await search(name)).results.some((result) => result.id === id), { timeout: 2_000, interval: 50 }).toBe(false);
    await expect.poll(async () => (await search(name, 'second')).results.some((result) => result.id === id), { timeout: 2_000, interval: 50 }).toBe(false);
    expect([...storage.objects.byName.keys()].some((key) => key.endsWith(id))).toBe(false);
    expect(JSON.parse((await eis('ingest', join(folder, 'images', name))).stdout)).toMatchObject({ sent: 1, stored: 2, duplicates: 0 });
    await expect.poll(async () => (await search(name)).results[0]?.id, { timeout: 2_000 }).toBe(id);
  }, 60_000);

  it('fills a model that lost what it had, through its own queue', async () => {
    const collection = [...mongo.collection('models').documents.values()].find(({ _id }) => _id === 'second') as { version: string } | undefined;
    mongo.collection(`vectors_second_${collection!.version.slice(0, 8)}`).documents.clear();
    const { code, stdout } = await eis('backfill', 'second');
    expect({ code, ...(JSON.parse(stdout) as object) }).toMatchObject({ code: 0, published: COUNT, known: 0, counts: { stored: COUNT, rejected: 0, dead: 0 } });
    expect(JSON.parse((await eis('backfill', 'second')).stdout)).toMatchObject({ published: 0 });
  }, 60_000);

  it('says what waits, and prepares the store once more without a change', async () => {
    const { queues } = JSON.parse((await eis('status')).stdout) as QueuesAnswer;
    expect(queues).toMatchObject([{ model: 'builtin', ready: 0, dead: 0 }, { model: 'second', ready: 0, dead: 0 }]);
    const prepared = await runCli(['store', 'init'], env);
    expect(prepared).toMatchObject({ code: 0, stdout: expect.stringContaining('Everything that the store needs is there.') as string });
  });

  it('goes on after a restart, and ingests nothing again', async () => {
    const embeddings = mongo.commands.filter(({ name }) => name === 'update').length;
    await stack.stop();
    stack = await startLocalStack({ folder, env, basePort: stack.basePort, config: { models: [builtin, second] } });
    await expect.poll(vectors, { timeout: 20_000 }).toEqual([COUNT, COUNT]);
    expect(mongo.commands.filter(({ name }) => name === 'update').length).toBeLessThanOrEqual(embeddings + 4);
  }, 60_000);
});
