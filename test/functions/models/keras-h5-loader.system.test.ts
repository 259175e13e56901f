import '@tensorflow/tfjs-backend-cpu';
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { File, ready, type Dataset, type Group } from 'h5wasm';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { createKerasH5Loader, kerasH5Loader, type RecogniseArchitecture } from '../../../functions/models/keras-h5-loader.js';
import { layersLoader } from '../../../functions/models/layers-loader.js';
import { loadModel } from '../../../functions/models/load-model.js';
import { openModelFile } from '../../../functions/models/model-file.js';
import type { LayerJson, LoadedModel, LoadOptions } from '../../../functions/models/model.js';
import type { WeightedLayer } from '../../../functions/models/architectures/weighted-layer.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { asKeras, kerasH5, setLayers, setTexts, tinyH5, writeHdf5, writeModelFile, type H5Layer, type H5Weight } from '../support/keras-files.js';
import { weightsIn } from '../support/loaded-weights.js';
import { preprocess } from '../support/preprocess-pixels.js';
import { OPTIONS, conv, dense, functional, input, layer, seededRandom, seededWeights, sequential, temporaryFolder, tinyClassifier, writeModel, type ModelJson } from '../support/tiny-model.js';
import { describeLoader } from './loader-contract.js';

const TINY = asKeras(tinyClassifier());
const weightsOf = (name: string): readonly H5Weight[] => TINY.layers.find((each) => each.name === name)!.weights;
const without = (name: string): H5Layer[] => TINY.layers.map((each) => ({ ...each, weights: each.weights.filter((weight) => weight.name !== name) }));

describeLoader(kerasH5Loader, {
  whole: async (folder) => writeModelFile(`${folder}/model.h5`, await tinyH5()),
  retrained: async (folder) => writeModelFile(`${folder}/model.h5`, await tinyH5(16, 2)),
  truncated: async (folder) => writeModelFile(`${folder}/model.h5`, (await tinyH5()).subarray(0, -100)),
  incomplete: async (folder) => writeModelFile(`${folder}/model.h5`, await kerasH5(TINY.topology, without('conv/kernel:0'))),
  openSize: async (folder) => writeModelFile(`${folder}/model.h5`, await tinyH5(null)),
});

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

let count = 0;
const place = (name: string): string => join(folder.path, String(count++), name);
const load = async (bytes: Buffer, options: Partial<LoadOptions> = {}, loader = kerasH5Loader): Promise<LoadedModel> => loader.load(await writeModelFile(place('model.h5'), bytes), { ...OPTIONS, ...options });
/** The same model as a model.json, as tensorflowjs_converter would write it. */
const loadJson = async (model: ModelJson): Promise<LoadedModel> => layersLoader.load(await openModelFile(await writeModel(place('json'), model)), OPTIONS);
const valuesOf = (model: LoadedModel): Record<string, number[]> => Object.fromEntries(weightsIn(model).map(({ name, values }) => [name.split('/').slice(-2).join('/'), [...values]]));
const refused = (words: string | RegExp): object => ({ code: 'EIS_MODEL_FILE', message: (typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words)) as string });
const renamed = (names: Readonly<Record<string, string>>): H5Layer[] => TINY.layers.map((each) => ({ ...each, weights: each.weights.map((weight) => ({ ...weight, name: names[weight.name] ?? weight.name })) }));

describe('a .h5 of Keras 2', () => {
  it('is the model that tensorflowjs_converter makes of it: the same weights and the same version', async () => {
    const [h5, json] = await Promise.all([load(await tinyH5()), loadJson(tinyClassifier())]);
    expect(h5).toEqual({ ...json, file: h5.file, format: 'Keras .h5' });
  });

  it('may name weights as Keras did over the years', async () => {
    const expected = valuesOf(await load(await tinyH5()));
    for (const [kernel, bias] of [['conv_W:0', 'conv_b:0'], ['conv_W_1:0', 'conv_b_1:0'], ['conv_1/kernel:0', 'conv_1/bias:0'], ['tiny/conv/kernel', 'tiny/conv/bias'], ['conv/kernel_3:0', 'conv/bias_3:0']] as const) {
      expect(valuesOf(await load(await kerasH5(TINY.topology, renamed({ 'conv/kernel:0': kernel, 'conv/bias:0': bias })))), kernel).toEqual(expected);
    }
  });

  it('may hold layers whose names have slashes, and depthwise kernels as Keras 3 calls them', async () => {
    const chain = [input(), conv('block/conv', 'image'), layer('DepthwiseConv2D', 'block/deep', { kernel_size: [3, 3], use_bias: false }, 'block/conv'), layer('BatchNormalization', 'block/bn', { scale: false }, 'block/deep')];
    const numbers = (name: string, shape: readonly number[]): H5Weight => ({ name, shape, values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i) });
    const all: H5Layer[] = [
      { name: 'image', weights: [] },
      { name: 'block/conv', weights: [numbers('block/conv/kernel:0', [3, 3, 3, 4]), numbers('block/conv/bias:0', [4])] },
      { name: 'block/deep', weights: [numbers('m/block/deep/kernel', [3, 3, 4, 1])] },
      { name: 'block/bn', weights: [numbers('block/bn/beta:0', [4]), numbers('block/bn/moving_mean:0', [4]), numbers('block/bn/moving_variance:0', [4])] },
    ];
    expect(weightsIn(await load(await kerasH5(functional('m', chain), all))).map(({ name }) => name)).toEqual(expect.arrayContaining(['block/bn/beta', 'block/bn/moving_mean', 'block/bn/moving_variance', 'block/conv/kernel', 'block/conv/bias', 'block/deep/depthwise_kernel']));
  });

  it('may hold models in models, each as one layer', async () => {
    const inner = { ...functional('inner', [input(), conv('conv', 'image'), layer('GlobalAveragePooling2D', 'pooled', {}, 'conv')]), name: 'inner' };
    const bare = ({ class_name, config }: LayerJson): LayerJson => ({ class_name, config });
    const topology = sequential('outer', [sequential('middle', [inner]), bare(dense('classes', 3, 'softmax'))]);
    const expected = valuesOf(await load(await tinyH5()));
    for (const [kernel, bias] of [['conv/kernel:0', 'conv/bias:0'], ['inner/conv/kernel:0', 'inner/conv/bias:0'], ['conv_1/kernel:0', 'conv_1/bias:0']] as const) {
      const nested = weightsOf('conv').map((weight, i) => ({ ...weight, name: [kernel, bias][i] as string }));
      const model = await load(await kerasH5(topology, [{ name: 'middle', weights: nested }, { name: 'classes', weights: weightsOf('classes') }]));
      expect(model.layer).toBe('middle/inner/pooled');
      expect(valuesOf(model), kernel).toEqual(expected);
    }
  });

  it('tells layers of one name in two models apart by the models', async () => {
    const part = (name: string): LayerJson => ({ ...sequential(name, [{ ...conv('conv'), config: { ...conv('conv').config, batch_input_shape: [null, 16, 16, 3], filters: 3 } }]), name });
    const kernel = (value: number): H5Weight[] => [{ name: 'conv/kernel:0', shape: [3, 3, 3, 3], values: new Float32Array(81).fill(value) }, { name: 'conv/bias:0', shape: [3], values: new Float32Array(3) }];
    const model = await load(await kerasH5(sequential('m', [part('one'), part('two')]), [{ name: 'one', weights: kernel(1) }, { name: 'two', weights: kernel(2) }]));
    expect(weightsIn(model).filter(({ name }) => name.endsWith('kernel')).map(({ name, values }) => [name, values[0]])).toEqual([['one/conv/kernel', 1], ['two/conv/kernel', 2]]);
  });

  it('may keep long texts in pieces, and weights packed', async () => {
    const text = JSON.stringify(TINY.topology);
    const bytes = await writeHdf5((file) => {
      file.create_attribute('model_config0', text.slice(0, 100));
      file.create_attribute('model_config1', text.slice(100));
      const root = file.create_group('model_weights');
      setLayers(root, TINY.layers, { isPacked: true });
      root.delete_attribute('layer_names');
      setTexts(root, 'layer_names0', ['image', 'conv']);
      setTexts(root, 'layer_names1', ['pooled', 'classes']);
    });
    expect(valuesOf(await load(bytes))).toEqual(valuesOf(await load(await tinyH5())));
  });

  it('may keep numbers in other types: they become float32', async () => {
    const [kernel, bias] = weightsOf('conv') as [H5Weight, H5Weight];
    const doubles = TINY.layers.map((each) => (each.name === 'conv' ? { ...each, weights: [kernel, { ...bias, values: Float64Array.of(0.1, -2.5, 1e300, 3) }] } : each));
    expect(valuesOf(await load(await kerasH5(TINY.topology, doubles)))['conv/bias']).toEqual([Math.fround(0.1), -2.5, Infinity, 3]);
    const half = await load(asHalf(await kerasH5(TINY.topology, TINY.layers.map((each) => (each.name === 'conv' ? { ...each, weights: [kernel, { ...bias, values: new Float32Array(Uint16Array.of(0x3c00, 0xc100, 0x0001, 0x7bff, 0, 0, 0, 0).buffer) }] } : each))), bias.shape[0] as number));
    expect(valuesOf(half)['conv/bias']).toEqual([1, -2.5, 2 ** -24, 65_504]);
  });

  it('may have been written in the newest form of HDF5, and after a block of the user', async () => {
    const newest = await writeHdf5((file) => {
      file.create_attribute('model_config', JSON.stringify(TINY.topology));
      setLayers(file.create_group('model_weights'), TINY.layers);
    }, 'latest');
    expect(valuesOf(await load(newest))).toEqual(valuesOf(await load(await tinyH5())));
    expect((await openModelFile((await writeModelFile(place('block.h5'), Buffer.concat([Buffer.alloc(1_024), newest]))).path)).json).toBeUndefined();
    expect(kerasH5Loader.accepts(await writeModelFile(place('block.h5'), Buffer.concat([Buffer.alloc(1_024), newest])))).toBe(true);
  });

  it.each<[string, () => Promise<Buffer>, string | RegExp]>([
    ['names a weight that is not in it', () => writeHdf5((file) => {
      file.create_attribute('model_config', JSON.stringify(TINY.topology));
      const root = file.create_group('model_weights');
      setLayers(root, TINY.layers);
      setTexts(root.create_group('more'), 'weight_names', ['more/kernel:0']);
      root.delete_attribute('layer_names');
      setTexts(root, 'layer_names', ['conv', 'more']);
    }), /names the weight "model_weights\/more\/more\/kernel:0", which is not in it/],
    ['names a layer that is not in it', () => writeHdf5((file) => {
      file.create_attribute('model_config', JSON.stringify(TINY.topology));
      setTexts(file.create_group('model_weights'), 'layer_names', ['conv']);
    }), 'names the layer "conv"'],
    ['has no weights at all', () => writeHdf5((file) => file.create_attribute('model_config', JSON.stringify(TINY.topology))), 'does not say which layers it has'],
    ['lacks a weight that its layer asks for', () => kerasH5(TINY.topology, without('conv/bias:0')), 'its layer "conv" (Conv2D) has no weight "bias"'],
    ['has a weight of another shape', () => kerasH5(TINY.topology, TINY.layers.map((each) => (each.name === 'conv' ? { ...each, weights: [{ name: 'conv/kernel:0', shape: [3, 3, 3, 5], values: new Float32Array(135) }, ...weightsOf('conv').slice(1)] } : each))), /\[3, 3, 3, 5\] where its settings ask for \[3, 3, \?, 4\]/],
    ['has weights that were quantised', () => kerasH5(TINY.topology, TINY.layers.map((each) => (each.name === 'conv' ? { ...each, weights: [{ name: 'conv/kernel:0', shape: [3, 3, 3, 4], values: new Int8Array(108) }, ...weightsOf('conv').slice(1)] } : each))), 'type int8'],
    ['has a topology that is no JSON', () => writeHdf5((file) => file.create_attribute('model_config', '{')), 'its topology is not JSON'],
    ['is of a class of its own', () => kerasH5({ class_name: 'MyModel', config: {} }, []), 'of the class "MyModel"'],
    ['is no model', () => writeHdf5((file) => file.create_group('data')), 'Is it a Keras model?'],
  ])('that %s is refused', async (_what, bytes, words) => {
    await expect(load(await bytes())).rejects.toMatchObject(refused(words));
  });
});

/** The one float32 dataset of `count × 2` halves as the `count` float16 numbers that its bytes are. */
function asHalf(file: Buffer, elements: number): Buffer {
  const float32 = Buffer.from('11201f000400000000002000170800177f000000', 'hex');
  const float16 = Buffer.from('11200f0002000000000010000a05000a0f000000', 'hex');
  const bytes = Buffer.from(file);
  for (let at = bytes.indexOf(float32); at !== -1; at = bytes.indexOf(float32, at + 1)) {
    const layout = bytes.subarray(at, at + 200).indexOf(Buffer.from([3, 1])) + at;
    if (Number(bytes.readBigUInt64LE(layout + 10)) !== 4 * elements) continue;
    float16.copy(bytes, at);
    bytes.writeBigUInt64LE(BigInt(2 * elements), layout + 10);
    return bytes;
  }
  throw new Error('There is no such dataset.');
}

describe('weights alone', () => {
  const seen: (readonly WeightedLayer[])[] = [];
  const recognise: RecogniseArchitecture = async (given) => {
    seen.push(given);
    if (given[0]?.name !== 'conv_7') return undefined;
    return { title: 'Tiny', topology: TINY.topology as unknown as LayerJson, preprocess: 'caffe', weightNames: new Map([['conv_7/kernel', 'conv/kernel'], ['conv_7/bias', 'conv/bias']]) };
  };
  const alone = (name: string): Promise<Buffer> => writeHdf5((file) => setLayers(file, [{ name: 'image', weights: [] }, { name, weights: weightsOf('conv').map((weight) => ({ ...weight, name: weight.name.replace('conv/kernel:0', `${name}_W_1:0`).replace('conv/bias:0', `${name}_b_1:0`) })) }]));

  it('are the network that they are recognised as, with its preprocessing unless the configuration says another', async () => {
    const loader = createKerasH5Loader(recognise);
    const model = await load(await alone('conv_7'), { preprocess: undefined }, loader);
    expect(seen.at(-1)).toEqual([{ name: 'conv_7', weights: [{ name: 'kernel', shape: [3, 3, 3, 4] }, { name: 'bias', shape: [4] }] }]);
    expect(model).toMatchObject({ layer: 'pooled', preprocess: 'caffe' });
    expect(await load(await alone('conv_7'), { preprocess: '[-1,1]' }, loader)).toEqual({ ...(await load(await tinyH5())), file: expect.any(String) as string });
  });

  it('are refused with what to save instead where they are of no network that is known', async () => {
    await expect(load(await alone('conv_8'), {}, createKerasH5Loader(recognise))).rejects.toMatchObject(refused(/weights without the network.*model\.save/));
    await expect(load(await writeHdf5((file) => file.create_group('layers')))).rejects.toMatchObject(refused('weights without the network'));
  });
});

describe('loadModel() with a .h5', () => {
  const request = (modelUrl: string, sha256?: string): Parameters<typeof loadModel>[0] => ({ name: 'tiny', modelUrl, sha256, layer: undefined, inputSize: undefined, preprocess: '[-1,1]' });

  it('goes by what is in a file, not by its name, and takes the one model of a folder', async () => {
    const { path } = await writeModelFile(place('model.json'), await tinyH5());
    expect((await loadModel(request(path), { dataDir: folder.path })).format).toBe('Keras .h5');
    const own = await writeModelFile(place('finetuned.H5'), await tinyH5());
    expect((await loadModel(request(join(own.path, '..')), { dataDir: folder.path })).file).toBe(own.path);
    await copyFile(own.path, join(own.path, '..', 'other.keras'));
    await expect(loadModel(request(join(own.path, '..')), { dataDir: folder.path })).rejects.toMatchObject(refused(/several models: .*finetuned\.H5/));
  });

  it('holds it to its sha256', async () => {
    const { path } = await writeModelFile(place('model.h5'), await tinyH5());
    await expect(loadModel(request(path, 'a'.repeat(64)), { dataDir: folder.path })).rejects.toMatchObject(refused('sha256'));
  });

  it('does not read a large file as text', async () => {
    const path = place('large.bin');
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, Buffer.from('RIFF'));
    await expect(loadModel(request(path), { dataDir: folder.path })).rejects.toMatchObject(refused('not JSON, and no file of Keras'));
  });
});

const missing = missingTestData('models');
describe.skipIf(missing)(`real networks ${missing ?? ''}`, () => {
  it('are computed layer by layer as the same network built by hand', async () => {
    await core.setBackend('cpu');
    const path = testDataPath('models/keras-h5/lenet-mnist.h5');
    const { FS } = (await ready) as unknown as { FS: { writeFile(path: string, bytes: Uint8Array): void } };
    FS.writeFile('/lenet.h5', readFileSync(path));
    const file = new File('/lenet.h5', 'r');
    const tensor = (name: string): core.Tensor => {
      const dataset = (file.get('model_weights') as Group).get(`${name.split('/')[0]}/${name}:0`) as Dataset;
      return core.tensor(dataset.value as Float32Array, dataset.shape!);
    };
    const built = layers.sequential({ layers: [
      layers.layers.reshape({ inputShape: [28, 28, 1], targetShape: [28, 28, 1] }),
      layers.layers.zeroPadding2d({ padding: [[2, 2], [2, 2]] }),
      layers.layers.conv2d({ filters: 6, kernelSize: 5, name: 'conv_1' }),
      layers.layers.maxPooling2d({ poolSize: 2, strides: 2 }),
      layers.layers.conv2d({ filters: 16, kernelSize: 5, name: 'conv_2' }),
      layers.layers.maxPooling2d({ poolSize: 2, strides: 2, name: 'maxpool_2' }),
      layers.layers.flatten({ name: 'flatten' }),
      layers.layers.dense({ units: 120, activation: 'relu', name: 'dense_1' }),
      layers.layers.dense({ units: 84, activation: 'relu', name: 'dense_2' }),
    ] });
    for (const name of ['conv_1', 'conv_2', 'dense_1', 'dense_2']) built.getLayer(name).setWeights([tensor(`${name}/kernel`), tensor(`${name}/bias`)]);
    const random = seededRandom(3);
    const pixels = Uint8Array.from({ length: 28 * 28 * 3 }, () => Math.floor(random() * 256));
    for (const name of ['flatten', 'dense_1', 'dense_2']) {
      const model = await kerasH5Loader.load(await openModelFile(path), { ...OPTIONS, layer: name, preprocess: '[0,1]' });
      expect(model.input).toEqual({ height: 28, width: 28, channels: 1 });
      const engine = await tfjsWasm.create(model, { threads: 1, cacheDir: undefined });
      const embedding = await engine.embed(pixels, 1);
      await engine.dispose();
      const upTo = layers.model({ inputs: built.inputs, outputs: built.getLayer(name).output });
      const expected = await (upTo.predict(core.tensor4d(preprocess(pixels, model.input, '[0,1]'), [1, 28, 28, 1])) as core.Tensor).data();
      expect(embedding.length).toBe(expected.length);
      expect(Math.max(...embedding.map((value, i) => Math.abs(value - (expected[i] as number)))), name).toBeLessThan(1e-4);
    }
  });

  it('are those of their model.json, MobileNetV2 with the same version', async () => {
    const model = JSON.parse(readFileSync(testDataPath('models/topologies/mobilenet-v2-layers-model.json'), 'utf8')) as ModelJson;
    const single: ModelJson = { ...model, weightsManifest: [{ paths: ['w.bin'], weights: model.weightsManifest.flatMap(({ weights }) => weights) }] };
    const { topology, layers: all } = asKeras(single, seededWeights(single));
    const [h5, json] = [await load(await kerasH5(topology, all)), await loadJson(single)];
    expect(h5.network.weights.size).toBe(260);
    expect(h5.network).toEqual(json.network);
    expect(h5.version).toBe(json.version); // it is of every weight, in its order
  });
});
