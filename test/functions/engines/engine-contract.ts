/** What every engine keeps: it computes what TF.js computes for the same network. */
import * as cpu from '@tensorflow/tfjs-backend-cpu';
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { dot, normalise } from '../../../common/vector.js';
import type { EngineFactory } from '../../../functions/engines/engine.js';
import { layersLoader } from '../../../functions/models/layers-loader.js';
import type { LoadedModel, LoadOptions } from '../../../functions/models/model.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { OPTIONS, seededRandom, temporaryFolder, tinyClassifier, writeModel, type ModelJson } from '../support/tiny-model.js';

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
      await expectAgreement(factory, path, 'pooled', 4);
    });

    it('agrees with TF.js on builtin', () => expectAgreement(factory, packagePath('models/builtin/model.json'), 'embedding', 256));

    it('averages a feature map over its positions', async () => {
      const path = await writeModel(`${folder.path}/map`, tinyClassifier());
      const [map, pooled] = await Promise.all([load(path, { layer: 'conv' }), load(path)]);
      expect(await compute(factory, map)).toEqual(await compute(factory, pooled));
    });

    it('says what is wrong with a network that it cannot build', async () => {
      const model = await load(await writeModel(`${folder.path}/broken`, tinyClassifier()));
      await expect(factory.create({ ...model, weights: model.weights.slice(1) })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
      const topology = JSON.parse(JSON.stringify(model.network.topology).replaceAll('"Conv2D"', '"Conv9D"')) as typeof model.network.topology;
      await expect(factory.create({ ...model, network: { kind: 'layers', topology } })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    });

    const missing = missingTestData('models');
    it.skipIf(missing)(`agrees with TF.js on nested and quantised models ${missing ?? ''}`, async () => {
      await expectAgreement(factory, testDataPath('models/teachable-machine/model.json'), 'global_average_pooling2d_GlobalAveragePooling2D5', 1280, ['sequential_17']);
      await expectAgreement(factory, testDataPath('models/mobilenet-v2-quantized/model.json'), 'flatten_1', 1280);
    });

    it.skipIf(missing)(`agrees with TF.js on MobileNetV2 with random weights ${missing ?? ''}`, async () => {
      const json = JSON.parse(readFileSync(testDataPath('models/topologies/mobilenet-v2-layers-model.json'), 'utf8')) as ModelJson;
      await expectAgreement(factory, await writeModel(`${folder.path}/mobilenet`, json), 'global_average_pooling2d', 1280);
    });

    it.skipIf(missing)(`runs ResNet-50 with random weights ${missing ?? ''}`, async () => {
      const json = JSON.parse(readFileSync(testDataPath('models/topologies/resnet50-layers-model.json'), 'utf8')) as ModelJson;
      const vector = await compute(factory, await load(await writeModel(`${folder.path}/resnet`, json)));
      expect(vector).toHaveLength(2048);
      expect(() => normalise(vector)).not.toThrow();
    });
  });
}

export async function load(path: string, options: Partial<LoadOptions> = {}): Promise<LoadedModel> {
  return layersLoader.load({ path, json: JSON.parse(readFileSync(path, 'utf8')) }, { ...OPTIONS, ...options });
}

function probe({ input }: LoadedModel): Float32Array {
  const random = seededRandom(9);
  return Float32Array.from({ length: input.height * input.width * input.channels }, () => random() * 2 - 1);
}

async function compute(factory: EngineFactory, model: LoadedModel): Promise<Float32Array> {
  const engine = await factory.create(model);
  try {
    expect(engine.name).toBe(factory.name);
    const vector = await engine.embed(probe(model));
    expect(vector).toHaveLength(engine.dim);
    return vector;
  } finally {
    engine.dispose();
  }
}

/** The engine on our cut of the model, against TF.js's CPU backend on the file as it is, read at the same layer. */
async function expectAgreement(factory: EngineFactory, path: string, layerName: string, dim: number, within: readonly string[] = []): Promise<void> {
  const model = await load(path);
  expect(model.layer).toBe([...within, layerName].join('/'));
  const ours = await compute(factory, model);
  expect(ours).toHaveLength(dim);
  expect(dot(normalise(ours), normalise(await reference(path, model, within[0] ?? layerName)))).toBeGreaterThan(AGREEMENT);
}

async function reference(path: string, model: LoadedModel, layerName: string): Promise<Float32Array> {
  const before = core.getBackend();
  expect(cpu.version_cpu).toBe(core.version_core);
  await core.setBackend('cpu');
  const json = JSON.parse(readFileSync(path, 'utf8')) as ModelJson;
  const [group] = json.weightsManifest;
  const bytes = Buffer.concat(group!.paths.map((part) => readFileSync(path.replace(/model\.json$/, part))));
  const whole = await layers.loadLayersModel({ load: async () => ({ modelTopology: json.modelTopology as object, weightSpecs: group!.weights as core.io.WeightsManifestEntry[], weightData: Uint8Array.from(bytes).buffer }) });
  const cut = layers.model({ inputs: whole.inputs, outputs: whole.getLayer(layerName).output });
  const { height, width, channels } = model.input;
  const result = core.tidy(() => (cut.predict(core.tensor4d(probe(model), [1, height, width, channels])) as core.Tensor).dataSync() as Float32Array);
  whole.dispose();
  await core.setBackend(before);
  return result;
}
