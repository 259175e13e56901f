import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SILENT_LOG } from '../../../common/log.js';
import { packagePath } from '../../../common/package-root.js';
import { dot } from '../../../common/vector.js';
import type { FinishedCall } from '../../../functions/engines/batcher.js';
import { startInferencePool, type InferencePool, type InferencePoolOptions } from '../../../functions/engines/inference-pool.js';
import type { ThreadEngine } from '../../../functions/engines/inference-worker.js';
import type { LoadedModel } from '../../../functions/models/model.js';
import { graphBytes, graphModel, tinyGraph } from '../support/tiny-graph.js';
import { seededRandom, temporaryFolder, writeModel } from '../support/tiny-model.js';
import { load } from './engine-contract.js';

const STUB_WORKER = pathToFileURL(packagePath('test/functions/support/stub-worker.mjs'));
const ONE_BY_ONE = { threads: 2, isBatching: false };

let model: LoadedModel;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const open: InferencePool[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  model = await load(packagePath('models/builtin/model.json'));
});
afterEach(() => Promise.all(open.splice(0).map((pool) => pool.close())));
afterAll(() => folder.remove());

async function start(options: Partial<InferencePoolOptions> = {}): Promise<InferencePool> {
  const pool = await startInferencePool({ model, choice: 'tfjs-wasm', log: SILENT_LOG, cpus: 1, cacheDir: undefined, ...options });
  open.push(pool);
  return pool;
}

/** A pool whose threads compute nothing (`stub-worker.mjs`), as this engine would. */
function startStub(engine: Partial<ThreadEngine> = {}, options: Partial<InferencePoolOptions> = {}): Promise<InferencePool> {
  return start({ model: Object.assign({ ...model }, { engine }), choice: 'auto', workerUrl: STUB_WORKER, ...options });
}

function pixels(seed: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: 112 * 112 * 3 }, () => random() * 256);
}

/** Everybody asks again and again, for images of their own. The answers, by client. */
function askOften(pool: InferencePool, clients: number, times: number): Promise<number[][]> {
  return Promise.all(Array.from({ length: clients }, async (_, client) => {
    const answers: number[] = [];
    for (let i = 0; i < times; i++) {
      const [first, second] = await pool.embed(Uint8Array.of(100 + client, i));
      answers.push(first!, second!);
    }
    return answers;
  }));
}

describe('startInferencePool()', () => {
  it('embeds on threads, the same image always to the same unit vector', async () => {
    const pool = await start({ cpus: 2 });
    expect(pool.description).toEqual({ engine: 'tfjs-wasm', dim: 256, threads: 1, isBatching: false, passedOver: [], workers: 2 });
    const vectors = await Promise.all(Array.from({ length: 6 }, () => pool.embed(pixels(1))));
    for (const vector of vectors) expect(dot(vector, vectors[0]!)).toBeCloseTo(1, 5);
    expect(dot(await pool.embed(pixels(2)), vectors[0]!)).toBeLessThan(0.9999);
  });

  it('runs a graph on threads too', async () => {
    const nodes = tinyGraph();
    const graph = await load(await writeModel(join(folder.path, 'graph'), graphModel(nodes), graphBytes(nodes)));
    const pool = await start({ model: graph });
    expect(pool.description).toMatchObject({ engine: 'tfjs-wasm', dim: 4 });
    const image = (): Uint8Array => Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 31) % 256);
    expect(dot(await pool.embed(image()), await pool.embed(image()))).toBeCloseTo(1, 5);
  });

  it('refuses pixels of another size, and those that were handed over before, and answers others', async () => {
    const pool = await start();
    const image = pixels(3);
    await pool.embed(image);
    await expect(pool.embed(image)).rejects.toMatchObject({ code: 'EIS_INTERNAL' });
    await expect(pool.embed(new Uint8Array(7))).rejects.toMatchObject({ code: 'EIS_INTERNAL' });
    expect(await pool.embed(pixels(4))).toHaveLength(256);
    await pool.close();
    await expect(pool.embed(pixels(5))).rejects.toMatchObject({ code: 'EIS_NOT_READY' });
  });

  it('hands the pixels over instead of copying them', async () => {
    const image = pixels(3);
    await (await start()).embed(image);
    expect(image).toHaveLength(0);
  });

  it('does not start with a model that cannot be read, that no engine can run, or an engine that is not there', async () => {
    await expect(start({ model: Promise.reject(new Error('no such file')) })).rejects.toThrow('no such file');
    await expect(start({ model: { ...model, expected: { name: 'mobilenet', dim: 1280 } } })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    await expect(start({ workerUrl: new URL('file:///nowhere.js') })).rejects.toMatchObject({ code: 'EIS_INTERNAL' });
  });

  it('says that an image has no embedding when the network makes nothing of it', async () => {
    const dead = { ...model, network: { ...model.network, weights: new Map([...model.network.weights].map(([name, { shape, values }]) => [name, { shape, values: new Float32Array(values.length) }])) } };
    await expect(start({ model: dead })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('nothing but zeros') as string });
  });
});

describe('the threads of a pool', () => {
  it('are as many as keep the CPUs busy, all with the engine that the first chose', async () => {
    const pool = await startStub(ONE_BY_ONE, { cpus: 5 });
    expect(pool.description).toEqual({ engine: 'onnxruntime', dim: 4, ...ONE_BY_ONE, passedOver: ['a better one is not here'], workers: 2 });
    const answers = await Promise.all(Array.from({ length: 30 }, () => pool.embed(Uint8Array.of(1, 1))));
    expect(new Set(answers.map(([, , isFirst]) => isFirst))).toEqual(new Set([1, 0]));
    expect(new Set(answers.map((answer) => answer[3]))).toEqual(new Set([5]));
    expect((await startStub({ threads: 8 }, { cpus: 8 })).description.workers).toBe(1);
    expect((await startStub({ threads: 1 }, { cpus: 1 })).description.workers).toBe(1);
  });

  it('give sixteen clients each the embeddings of their own images, many at once', async () => {
    const calls: FinishedCall[] = [];
    const pool = await startStub({ isBatching: true }, { cpus: 2, onCall: (call) => calls.push(call) });
    const answers = await askOften(pool, 16, 40);
    answers.forEach((answer, client) => expect(answer).toEqual(Array.from({ length: 40 }, (_, i) => [100 + client, i]).flat()));
    expect(pool.bestBatch).toBe(8);
    expect(Math.max(...calls.map(({ images }) => images))).toBe(8);
    expect(calls.reduce((sum, { images }) => sum + images, 0)).toBe(16 * 40);
  });

  it('compute single images where the engine gains nothing by more', async () => {
    const calls: FinishedCall[] = [];
    await askOften(await startStub({ isBatching: false }, { onCall: (call) => calls.push(call) }), 8, 10);
    expect(calls.every(({ images }) => images === 1)).toBe(true);
  });

  it('take with them what they compute when they die, and nothing else; others are started', async () => {
    const pool = await startStub({ isBatching: true }, { cpus: 2 });
    await askOften(pool, 16, 20);
    const asked = Array.from({ length: 40 }, (_, i) => pool.embed(Uint8Array.of(i === 20 ? 9 : 100, i)).then(([, second]) => second, (error: { code?: string }) => error.code));
    const answers = await Promise.all(asked);
    const failed = answers.flatMap((answer, i) => (answer === 'EIS_INTERNAL' ? [i] : []));
    expect(failed).toContain(20);
    expect(failed.length).toBeLessThanOrEqual(8);
    answers.forEach((answer, i) => failed.includes(i) || expect(answer).toBe(i));
    expect((await askOften(pool, 4, 5)).flat()).toHaveLength(40);
  });

  it('leave nobody waiting when none can be started, and serve again as soon as one can', async () => {
    const cacheDir = join(folder.path, 'engines');
    await mkdir(cacheDir);
    const pool = await startStub({}, { cacheDir });
    await writeFile(join(cacheDir, 'broken'), '');
    await expect(pool.embed(Uint8Array.of(9))).rejects.toMatchObject({ code: 'EIS_INTERNAL' });
    await expect(pool.embed(Uint8Array.of(1, 1))).rejects.toMatchObject({ code: 'EIS_NOT_READY' });
    await rm(join(cacheDir, 'broken'));
    await vi.waitFor(() => pool.embed(Uint8Array.of(1, 1)), { timeout: 5_000 });
  });

  it('are not waited for by images that nobody wants any more', async () => {
    const calls: FinishedCall[] = [];
    const pool = await startStub({ isBatching: false }, { onCall: (call) => calls.push(call) });
    const gone = new AbortController();
    const first = pool.embed(Uint8Array.of(1, 1));
    const second = pool.embed(Uint8Array.of(2, 2), gone.signal);
    gone.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    await first;
    await pool.embed(Uint8Array.of(3, 3));
    expect(calls).toHaveLength(2);
  });

  it('end when the pool is closed, after what they compute; what waits is refused', async () => {
    const pool = await startStub();
    const computed = pool.embed(Uint8Array.of(7, 7));
    const waiting = pool.embed(Uint8Array.of(8, 8)).catch((error: { code?: string }) => error.code);
    await pool.close();
    expect([(await computed)[0], await waiting]).toEqual([7, 'EIS_NOT_READY']);
  });
});
