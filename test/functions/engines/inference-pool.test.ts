import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SILENT_LOG } from '../../../common/log.js';
import { packagePath } from '../../../common/package-root.js';
import { dot } from '../../../common/vector.js';
import { startInferencePool, type InferencePool, type InferencePoolOptions } from '../../../functions/engines/inference-pool.js';
import type { LoadedModel } from '../../../functions/models/model.js';
import { graphBytes, graphModel, tinyGraph } from '../support/tiny-graph.js';
import { seededRandom, temporaryFolder, writeModel } from '../support/tiny-model.js';
import { load } from './engine-contract.js';

/** A thread that dies at the task of a single pixel, and answers any other. */
const FRAGILE_WORKER = `
export async function infer({ pixels }) {
  if (!pixels) return { kind: 'engine', name: 'tfjs-wasm', dim: 2, passedOver: [] };
  if (pixels.length === 3) process.exit(9);
  return { kind: 'embedding', embedding: Float32Array.of(0, 1) };
}`;

let model: LoadedModel;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const open: InferencePool[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  model = await load(packagePath('models/builtin/model.json'));
});
afterAll(async () => {
  await Promise.all(open.map((pool) => pool.close()));
  await folder.remove();
});

async function start(options: Partial<InferencePoolOptions> = {}): Promise<InferencePool> {
  const pool = await startInferencePool({ model, choice: 'tfjs-wasm', log: SILENT_LOG, threads: 1, ...options });
  open.push(pool);
  return pool;
}

function pixels(seed: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: 112 * 112 * 3 }, () => random() * 256);
}

describe('startInferencePool()', () => {
  it('embeds on threads, the same image always to the same unit vector', async () => {
    const pool = await start({ threads: 2 });
    expect(pool.description).toEqual({ engine: 'tfjs-wasm', dim: 256 });
    const vectors = await Promise.all(Array.from({ length: 6 }, () => pool.embed(pixels(1))));
    for (const vector of vectors) expect(dot(vector, vectors[0]!)).toBeCloseTo(1, 5);
    expect(dot(await pool.embed(pixels(2)), vectors[0]!)).toBeLessThan(0.9999);
  });

  it('runs a graph on threads too, and does not start with one that cannot be run', async () => {
    const nodes = tinyGraph();
    const graph = await load(await writeModel(join(folder.path, 'graph'), graphModel(nodes), graphBytes(nodes)));
    const pool = await start({ model: graph });
    expect(pool.description).toEqual({ engine: 'tfjs-wasm', dim: 4 });
    const image = (): Uint8Array => Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 31) % 256);
    expect(dot(await pool.embed(image()), await pool.embed(image()))).toBeCloseTo(1, 5);
    const network = JSON.parse(JSON.stringify(graph.network).replace('"_FusedConv2D"', '"FancyOp"')) as LoadedModel['network'];
    await expect(start({ model: { ...graph, network } })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('"conv" is of the operation FancyOp') as string });
  });

  it('hands the pixels over instead of copying them', async () => {
    const image = pixels(3);
    await (open[0] ?? (await start())).embed(image);
    expect(image).toHaveLength(0);
  });

  it('outlives a thread that dies: its task fails, the next one is done by another', async () => {
    const workerPath = join(folder.path, 'fragile.mjs');
    await writeFile(workerPath, FRAGILE_WORKER);
    const pool = await start({ workerUrl: pathToFileURL(workerPath) });
    await expect(pool.embed(new Uint8Array(3))).rejects.toThrow();
    expect([...(await pool.embed(new Uint8Array(6)))]).toEqual([0, 1]);
  });

  it('does not start with a model that no engine can run, or an engine that is not there', async () => {
    await expect(start({ model: { ...model, weights: [] } })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    await expect(start({ choice: 'onnxruntime' })).rejects.toMatchObject({ code: 'EIS_ENGINE_UNAVAILABLE' });
  });

  it('says that an image has no embedding when the network makes nothing of it', async () => {
    const dead = { ...model, weights: model.weights.map((weight) => ({ ...weight, values: new Float32Array(weight.values.length) })) };
    await expect(start({ model: dead })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('nothing but zeros') as string });
  });
});
