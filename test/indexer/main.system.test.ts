/** The index pod as a process of its own, over the embedded store that another process (this one) writes to. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import { packagePath } from '../../common/package-root.js';
import { encodeVector } from '../../common/vector.js';
import type { IndexAnswer } from '../../common/wire.js';
import { INDEX_ALGORITHMS } from '../../common/config-schema.js';
import { tempFolder } from '../support/temp-folder.js';
import { image, MODEL, V1, V2 } from './index-pod.js';
import { idOf } from './vectors.js';

interface Pod {
  readonly url: string;
  readonly child: ChildProcess;
}

function writeConfig(folder: string, indexing: object): string {
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify({ models: [{ name: MODEL, model_url: 'unused' }], services: [{ name: 'indexing', models: [{ name: MODEL, ...indexing }] }] }));
  return file;
}

function spawnPod(folder: string, variables: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [packagePath('dist/indexer/main.js')], {
    env: { ...process.env, EIS_CONFIG: join(folder, 'config.json'), EIS_DATA_DIR: folder, PORT: '0', LOG_LEVEL: 'info', MODEL, MONGODB_URI: '', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Starts a pod and waits until it listens (not: until it is ready). */
async function startPod(folder: string, variables: Record<string, string> = {}): Promise<Pod> {
  const child = spawnPod(folder, variables);
  for await (const line of createInterface({ input: child.stdout! })) {
    const { msg, port } = JSON.parse(line) as { msg: string; port?: number };
    if (msg === 'listening') {
      child.stdout!.resume();
      return { url: `http://127.0.0.1:${port}`, child };
    }
  }
  throw new Error('The pod ended before it listened.');
}

async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const seen = await look().catch(() => undefined);
    if (seen !== undefined && seen !== false) return seen;
    await sleep(25);
  }
}

async function search(pod: Pod, vector: Float32Array, top = 10): Promise<IndexAnswer> {
  const response = await fetch(`${pod.url}/search?top=${top}`, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: encodeVector(vector) });
  expect(response.status).toBe(200);
  return (await response.json()) as IndexAnswer;
}

const isReady = (pod: Pod): Promise<boolean> => fetch(`${pod.url}/readyz`).then(({ status }) => status === 200);

describe('the index pod as a process', () => {
  it.each(INDEX_ALGORITHMS)('loads its shard, follows writes, deletes and a new live version, and closes on SIGTERM: %s', async (algorithm) => {
    const folder = tempFolder();
    writeConfig(folder, { num_indexes: 2, index_algorithm: algorithm });
    const store = new LmdbStore({ folder: join(folder, 'store'), urlsPerImageMax: 100 });
    onTestFinished(() => store.close());
    const collection = store.collection(MODEL, V1);
    await store.setLiveVersion(MODEL, V1);
    await collection.write(Array.from({ length: 100 }, (_, i) => image(i)));

    const shards = await Promise.all([startPod(folder, { SHARD: '0/2' }), startPod(folder, { SHARD: '1/2' })]);
    const [first] = shards;
    await Promise.all(shards.map((pod) => until(() => isReady(pod))));
    const held = await Promise.all(shards.map((pod) => search(pod, image(0).vector, 1000)));
    expect(held.map(({ vectors }) => vectors).reduce((a, b) => a + b)).toBe(100);
    expect(new Set(held.flatMap(({ hits }) => hits.map(({ id }) => id))).size).toBe(100);

    const low = Array.from({ length: 50 }, (_, i) => `new ${i}`).filter((name) => idOf(name) < '8').slice(0, 2) as [string, string];
    await collection.write(low.map((name) => image(name)));
    await until(async () => (await search(first, image(low[1]).vector, 1)).hits[0]?.id === idOf(low[1]));
    await collection.delete(idOf(low[0]));
    await until(async () => (await search(first, image(low[0]).vector, 1)).hits[0]?.id !== idOf(low[0]));

    await store.collection(MODEL, V2).write([image(low[1], V2.dim)]);
    await store.setLiveVersion(MODEL, V2);
    await until(async () => (await fetch(`${first.url}/stats`).then((response) => response.json() as Promise<{ model_version: string }>)).model_version === V2.version);
    expect((await search(first, image(low[1], V2.dim).vector)).hits.map(({ id }) => id)).toEqual([idOf(low[1])]);

    for (const { child } of shards) child.kill('SIGTERM');
    expect(await Promise.all(shards.map(async ({ child }) => (await once(child, 'exit')) as unknown[]))).toEqual([[0, null], [0, null]]);
  });

  it('is ready without any image, and finds the first one', async () => {
    const folder = tempFolder();
    writeConfig(folder, {});
    const pod = await startPod(folder);
    await until(() => isReady(pod));
    expect(await search(pod, image(1).vector)).toMatchObject({ model_version: '', hits: [] });
    const store = new LmdbStore({ folder: join(folder, 'store'), urlsPerImageMax: 100 });
    onTestFinished(() => store.close());
    await store.setLiveVersion(MODEL, V1);
    await store.collection(MODEL, V1).write([image(1)]);
    await until(async () => (await search(pod, image(1).vector)).hits[0]?.id === idOf(1));
  });

  it('keeps an approximate index when the configuration says so', async () => {
    const folder = tempFolder();
    writeConfig(folder, { index_algorithm: 'hnsw', connectivity: 8 });
    const store = new LmdbStore({ folder: join(folder, 'store'), urlsPerImageMax: 100 });
    onTestFinished(() => store.close());
    await store.setLiveVersion(MODEL, V1);
    await store.collection(MODEL, V1).write(Array.from({ length: 1500 }, (_, i) => image(i)));
    const pod = await startPod(folder);
    await until(() => isReady(pod));
    expect((await search(pod, image(7).vector, 1)).hits[0]?.id).toBe(idOf(7));
    pod.child.kill('SIGTERM');
    expect(await once(pod.child, 'exit')).toEqual([0, null]);
  });

  /** Makes Node not find usearch, as on a machine for which there is no binary of it. */
  const hook = 'export const resolve = (name, context, next) => { if (name === "usearch") throw new Error("No native build was found"); return next(name, context); };';
  const register = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});`;
  const withoutUsearch = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(register)}` };

  it.each([
    ['hnsw where usearch cannot be loaded', { index_algorithm: 'hnsw' }, withoutUsearch, /EIS_ENGINE_UNAVAILABLE: The engine usearch cannot run here: .*No native build was found.*"brute"/],
    ['no model', {}, { MODEL: '' }, /EIS_ENVIRONMENT_INVALID: Environment variable MODEL/],
    ['an unknown model', {}, { MODEL: 'other' }, /EIS_MODEL_UNKNOWN: There is no model "other" here/],
    ['a shard that is none', {}, { SHARD: '2/2' }, /EIS_ENVIRONMENT_INVALID: Environment variable SHARD/],
  ])('does not start with %s, and says why', async (_case, indexing, variables, message) => {
    const folder = tempFolder();
    writeConfig(folder, indexing);
    const child = spawnPod(folder, variables);
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(said).toMatch(message);
  });
});
