/** What every engine keeps: it computes what TF.js computes for the same network. */
import * as cpu from '@tensorflow/tfjs-backend-cpu';
import * as converter from '@tensorflow/tfjs-converter';
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { dot, normalise } from '../../../common/vector.js';
import type { EngineFactory, EngineOptions } from '../../../functions/engines/engine.js';
import { loadTfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { graphLoader } from '../../../functions/models/graph-loader.js';
import { layersLoader } from '../../../functions/models/layers-loader.js';
import type { LoadedModel, LoadOptions } from '../../../functions/models/model.js';
import { preprocess } from '../support/preprocess-pixels.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { graphBytes, graphModel, seededQuantised, tinyGraph, type NodeJson } from '../support/tiny-graph.js';
import { OPTIONS, jsonFile, seededRandom, temporaryFolder, tinyClassifier, writeModel, type ModelJson } from '../support/tiny-model.js';

/** The cosine that engines must agree with TF.js to. */
const AGREEMENT = 0.99999;

export interface EngineSuite {
  /** Why the engine cannot be tested here; undefined: it can. */
  readonly skip?: string | undefined;
}

export function describeEngine(factory: EngineFactory, { skip }: EngineSuite = {}): void {
  describe.skipIf(skip !== undefined)(`the engine ${factory.name}${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    beforeAll(async () => {
      folder = await temporaryFolder();
    });
    afterAll(() => folder.remove());

    it('computes the layer that was asked for, without the classifier', async () => {
      const path = await writeModel(`${folder.path}/tiny`, tinyClassifier());
      await expectAgreement(factory, path, 'pooled', 4, { backend: 'cpu' });
    });

    it('agrees with TF.js on builtin', () => expectAgreement(factory, packagePath('models/builtin/model.json'), 'embedding', 256));

    it('averages a feature map over its positions', async () => {
      const path = await writeModel(`${folder.path}/map`, tinyClassifier());
      const [map, pooled] = await Promise.all([load(path, { layer: 'conv' }), load(path)]);
      expect(await compute(factory, map)).toEqual(await compute(factory, pooled));
    });

    it('gives each image of a call what it gives it alone', async () => {
      const model = await load(packagePath('models/builtin/model.json'));
      const engine = await factory.create(model, ENGINE);
      const images = [1, 2, 3].map((seed) => drawPixels(model, seed));
      const together = await engine.embed(Uint8Array.from(images.flatMap((pixels) => [...pixels])), 3);
      expect(together).toHaveLength(3 * engine.dim);
      for (const [i, pixels] of images.entries()) expect(dot(normalise(together.slice(i * engine.dim, (i + 1) * engine.dim)), normalise(await engine.embed(pixels, 1)))).toBeGreaterThan(0.999999);
      await engine.dispose();
    });

    it('refuses an output that is no vector', async () => {
      const model = await load(await writeModel(`${folder.path}/no-vector`, tinyClassifier()));
      const map = model.network.nodes.find(({ op }) => op === 'conv')!.name;
      await expect(factory.create({ ...model, network: { ...model.network, output: map } }, ENGINE)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('[1,8,8,4]') as string });
    });

    const missing = missingTestData('models');
    it.skipIf(missing)(`agrees with TF.js on nested and quantised models ${missing ?? ''}`, async () => {
      await expectAgreement(factory, testDataPath('models/teachable-machine/model.json'), 'global_average_pooling2d_GlobalAveragePooling2D5', 1280, { within: ['sequential_17'] });
      await expectAgreement(factory, testDataPath('models/mobilenet-v2-quantized/model.json'), 'flatten_1', 1280);
    });

    it.skipIf(missing)(`agrees with TF.js on MobileNetV2 with random weights ${missing ?? ''}`, async () => {
      const json = JSON.parse(readFileSync(testDataPath('models/topologies/mobilenet-v2-layers-model.json'), 'utf8')) as ModelJson;
      await expectAgreement(factory, await writeModel(`${folder.path}/mobilenet`, json), 'global_average_pooling2d', 1280);
    });

    it.skipIf(missing)(`agrees with TF.js on ResNet-50 with random weights ${missing ?? ''}`, async () => {
      const json = JSON.parse(readFileSync(testDataPath('models/topologies/resnet50-layers-model.json'), 'utf8')) as ModelJson;
      await expectAgreement(factory, await writeModel(`${folder.path}/resnet`, json), 'flatten_1', 2048);
    });
  });

  describe.skipIf(skip !== undefined)(`the engine ${factory.name} on graphs${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    let count = 0;
    beforeAll(async () => {
      folder = await temporaryFolder();
    });
    afterAll(() => folder.remove());

    const write = (nodes: readonly NodeJson[]): Promise<string> => writeModel(`${folder.path}/${count++}`, graphModel(nodes), graphBytes(nodes));

    it('computes the node that was asked for, without the classifier', async () => {
      await expectAgreement(factory, await write(tinyGraph()), 'pooled', 4);
      const batches = tinyGraph().map((each) => (each.op === 'Placeholder' ? { ...each, attr: { ...each.attr, shape: { shape: { dim: [1, 16, 16, 3].map((size) => ({ size })) } } } } : each));
      await expectAgreement(factory, await write(batches), 'pooled', 4);
    });

    it('averages a feature map over its positions', async () => {
      const path = await write(tinyGraph());
      const [map, pooled] = await Promise.all([load(path, { layer: 'conv' }), load(path)]);
      expect(await compute(factory, map)).toEqual(await compute(factory, pooled));
    });

    const missing = missingTestData('models');
    it.skipIf(missing)(`agrees with TF.js on a quantised MobileNetV2 of TF-Hub ${missing ?? ''}`, async () => {
      const json = JSON.parse(readFileSync(testDataPath('models/topologies/mobilenet-v2-graph-model.json'), 'utf8')) as ModelJson;
      const prefix = 'StatefulPartitionedCall/sequential/keras_layer/StatefulPartitionedCall/StatefulPartitionedCall/StatefulPartitionedCall/predict';
      await expectAgreement(factory, await writeModel(`${folder.path}/hub`, json, seededQuantised(json)), `${prefix}/feature_vector/SpatialSqueeze`, 1792);
    });
  });
}

export async function load(path: string, options: Partial<LoadOptions> = {}): Promise<LoadedModel> {
  const file = jsonFile(path, JSON.parse(readFileSync(path, 'utf8')));
  return (graphLoader.accepts(file) ? graphLoader : layersLoader).load(file, { ...OPTIONS, ...options });
}

export const ENGINE: EngineOptions = { threads: 1, cacheDir: undefined };

/** The pixels of an image, drawn from a seed. */
export function drawPixels({ input }: Pick<LoadedModel, 'input'>, seed = 9): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: input.height * input.width * 3 }, () => random() * 256);
}

async function compute(factory: EngineFactory, model: LoadedModel): Promise<Float32Array> {
  const engine = await factory.create(model, ENGINE);
  try {
    expect(engine.name).toBe(factory.name);
    const vector = await engine.embed(drawPixels(model), 1);
    expect(vector).toHaveLength(engine.dim);
    return vector;
  } finally {
    await engine.dispose();
  }
}

interface Agreement {
  /** The models around the layer. */
  readonly within?: readonly string[];
  /** The backend of the reference: the CPU's takes long for large networks. */
  readonly backend?: 'cpu' | 'wasm';
}

/** The engine on our cut of the model, against TF.js itself on the file as it is, read at the same layer. */
export async function expectAgreement(factory: EngineFactory, path: string, layerName: string, dim: number, { within = [], backend = 'wasm' }: Agreement = {}): Promise<void> {
  const model = await load(path);
  expect(model.layer).toBe([...within, layerName].join('/'));
  const ours = await compute(factory, model);
  expect(ours).toHaveLength(dim);
  expect(new Set(ours).size).toBeGreaterThan(dim / 10);
  expect(dot(normalise(ours), normalise(await reference(path, model, { layerName: within[0] ?? layerName, backend })))).toBeGreaterThan(AGREEMENT);
}

async function reference(path: string, model: LoadedModel, { layerName, backend }: { readonly layerName: string; readonly backend: string }): Promise<Float32Array> {
  await loadTfjsWasm();
  const before = core.getBackend();
  expect(cpu.version_cpu).toBe(core.version_core);
  await core.setBackend(backend);
  const json = JSON.parse(readFileSync(path, 'utf8')) as ModelJson;
  const [group] = json.weightsManifest;
  const bytes = Buffer.concat(group!.paths.map((part) => readFileSync(path.replace(/model\.json$/, part))));
  const artifacts = { modelTopology: json.modelTopology as object, weightSpecs: group!.weights as core.io.WeightsManifestEntry[], weightData: Uint8Array.from(bytes).buffer };
  const { height, width, channels } = model.input;
  const image = core.tensor4d(preprocess(drawPixels(model), model.input, model.preprocess), [1, height, width, channels]);
  const result = graphLoader.accepts(jsonFile(path, json)) ? await executeGraph(artifacts, image, layerName) : await executeLayers(artifacts, image, layerName);
  image.dispose();
  await core.setBackend(before);
  return result;
}

async function executeLayers(artifacts: core.io.ModelArtifacts, image: core.Tensor4D, layerName: string): Promise<Float32Array> {
  const whole = await layers.loadLayersModel({ load: async () => artifacts });
  const cut = layers.model({ inputs: whole.inputs, outputs: whole.getLayer(layerName).output });
  const result = core.tidy(() => (cut.predict(image) as core.Tensor).dataSync() as Float32Array);
  whole.dispose();
  return result;
}

async function executeGraph(artifacts: core.io.ModelArtifacts, image: core.Tensor4D, name: string): Promise<Float32Array> {
  const whole = await converter.loadGraphModel({ load: async () => artifacts });
  const result = core.tidy(() => (whole.execute(image, name) as core.Tensor).dataSync() as Float32Array);
  whole.dispose();
  return result;
}
