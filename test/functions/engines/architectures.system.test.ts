/**
 * The networks of `tf.keras.applications` with random weights: tfjs-layers on WebAssembly against our whole way, from the
 * file through the typed network, its passes and ONNX to onnxruntime. Small images: what is computed is the same.
 */
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dot, normalise } from '../../../common/vector.js';
import { onnxruntime } from '../../../functions/engines/onnxruntime.js';
import { prepareNetwork } from '../../../functions/engines/prepare.js';
import { loadTfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { ARCHITECTURES, type ArchitectureName } from '../../../functions/models/architectures/architectures.js';
import { loadModel } from '../../../functions/models/load-model.js';
import type { LoadedModel } from '../../../functions/models/model.js';
import { writeArchitecture } from '../../support/seeded-model.js';
import { preprocess } from '../support/preprocess-pixels.js';
import { temporaryFolder, type ModelJson } from '../support/tiny-model.js';
import { drawPixels, ENGINE } from './engine-contract.js';

const AGREEMENT = 0.99999;
const IMAGES = 5;

type Case = readonly [name: ArchitectureName, side: number];

/** With the pixels of a side at which each still has a few positions in the end. */
const FAMILIES: readonly Case[] = [['mobilenet_v1', 64], ['mobilenet_v2', 64], ['mobilenet_v3_large', 64], ['resnet50_v2', 64], ['vgg16', 48], ['inception_v3', 91], ['efficientnet_b0', 64], ['densenet121', 64]];
/** More of the same, and more to compute: `npm run test:models`. */
const SIBLINGS: readonly Case[] = [['mobilenet_v3_small', 64], ['resnet50', 64], ['resnet101', 64], ['resnet101_v2', 64], ['vgg19', 48], ['xception', 91], ['efficientnet_b1', 64], ['efficientnet_b2', 64], ['efficientnet_b3', 64]];
const NETWORKS = process.env['EIS_TEST_MODELS'] === 'full' ? [...FAMILIES, ...SIBLINGS] : FAMILIES;

describe('onnxruntime agrees with tfjs-layers', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await loadTfjsWasm();
  });
  afterAll(() => folder.remove());

  it.each(NETWORKS)('on %s, %i pixels', async (name, inputSize) => {
    const path = await writeArchitecture(join(folder.path, name), name, { inputSize });
    const model = await loadModel({ name, modelUrl: path, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: ARCHITECTURES[name].preprocess }, { dataDir: folder.path });
    expect(prepareNetwork(model).isBatchable).toBe(true);
    const images = Array.from({ length: IMAGES }, (_, i) => drawPixels(model, i));
    const engine = await onnxruntime.create(model, ENGINE);
    const ours = await engine.embed(Uint8Array.from(images.flatMap((pixels) => [...pixels])), IMAGES);
    await engine.dispose();
    const theirs = await predict(path, model, images);
    const { dim } = engine;
    const cosines = images.map((_, i) => dot(normalise(ours.slice(i * dim, (i + 1) * dim)), normalise(theirs.slice(i * dim, (i + 1) * dim))));
    const error = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i]!)), 0);
    console.log(`${name}: cosine at least ${Math.min(...cosines).toFixed(8)}, numbers at most ${error.toExponential(1)} apart (the largest is ${theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0).toPrecision(3)})`);
    expect(Math.min(...cosines)).toBeGreaterThanOrEqual(AGREEMENT);
    expect(new Set(theirs).size).toBeGreaterThan(dim / 4);
  });
});

async function predict(path: string, model: LoadedModel, images: readonly Uint8Array[]): Promise<Float32Array> {
  const json = JSON.parse(await readFile(path, 'utf8')) as ModelJson;
  const bytes = await readFile(join(path, '..', 'weights.bin'));
  const built = await layers.loadLayersModel({ load: async () => ({ modelTopology: json.modelTopology as object, weightSpecs: json.weightsManifest[0]!.weights as core.io.WeightsManifestEntry[], weightData: Uint8Array.from(bytes).buffer }) });
  const { height, width, channels } = model.input;
  const numbers = Float32Array.from(images.flatMap((pixels) => [...preprocess(pixels, model.input, model.preprocess)]));
  const result = core.tidy(() => (built.predict(core.tensor4d(numbers, [images.length, height, width, channels])) as core.Tensor).dataSync() as Float32Array);
  built.dispose();
  return result;
}
