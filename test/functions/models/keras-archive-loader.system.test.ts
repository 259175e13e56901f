import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kerasArchiveLoader } from '../../../functions/models/keras-archive-loader.js';
import { kerasH5Loader } from '../../../functions/models/keras-h5-loader.js';
import { loadModel } from '../../../functions/models/load-model.js';
import type { LayerJson, LoadedModel, LoadOptions } from '../../../functions/models/model.js';
import { asKeras, kerasArchive, kerasWeights, tinyH5, tinyKeras, writeModelFile, zip, type H5Weight, type ZipEntry } from '../support/keras-files.js';
import { weightsIn } from '../support/loaded-weights.js';
import { OPTIONS, conv, functional, input, layer, sequential, temporaryFolder, tinyClassifier } from '../support/tiny-model.js';
import { describeLoader } from './loader-contract.js';

const TINY = asKeras(tinyClassifier());
const weightsOf = (name: string): readonly H5Weight[] => TINY.layers.find((each) => each.name === name)!.weights;
const PARTS = { 'layers/conv2d': { variables: weightsOf('conv') }, 'layers/dense': { variables: weightsOf('classes') } };

describeLoader(kerasArchiveLoader, {
  whole: async (folder) => writeModelFile(`${folder}/model.keras`, await tinyKeras()),
  retrained: async (folder) => writeModelFile(`${folder}/model.keras`, await tinyKeras(16, 2)),
  truncated: async (folder) => writeModelFile(`${folder}/model.keras`, (await tinyKeras()).subarray(0, -100)),
  incomplete: async (folder) => writeModelFile(`${folder}/model.keras`, kerasArchive(TINY.topology, await kerasWeights({ ...PARTS, 'layers/conv2d': { variables: weightsOf('conv').slice(0, 1) } }))),
  openSize: async (folder) => writeModelFile(`${folder}/model.keras`, await tinyKeras(null)),
});

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

let count = 0;
const load = async (bytes: Buffer, options: Partial<LoadOptions> = {}): Promise<LoadedModel> => kerasArchiveLoader.load(await writeModelFile(join(folder.path, String(count++), 'model.keras'), bytes), { ...OPTIONS, ...options });
const refused = (words: string | RegExp): object => ({ code: 'EIS_MODEL_FILE', message: (typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words)) as string });
/** A kernel and a bias of these numbers. */
const numbered = (value: number, channels = 4): readonly H5Weight[] => [{ name: '', shape: [3, 3, channels, 4], values: new Float32Array(36 * channels).fill(value) }, { name: '', shape: [4], values: new Float32Array(4).fill(value) }];
const firsts = (model: LoadedModel): (readonly [string, number])[] => weightsIn(model).filter(({ name }) => /kernel|gamma/.test(name)).map(({ name, values }) => [name.split('/').slice(-2).join('/'), values[0] as number]);
const CHAIN = [input(), conv('c', 'image'), conv('b', 'c'), conv('a', 'b')];
const CHAINED = functional('m', CHAIN);

describe('a .keras', () => {
  it('is the model that its .h5 is', async () => {
    const [keras, h5] = [await load(await tinyKeras()), await kerasH5Loader.load(await writeModelFile(join(folder.path, 'model.h5'), await tinyH5()), OPTIONS)];
    expect(keras).toEqual({ ...h5, file: keras.file, format: 'Keras .keras' });
    expect((await loadModel({ name: 'tiny', modelUrl: keras.file, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: '[-1,1]' }, { dataDir: folder.path })).version).toBe(h5.version);
  });

  it('has layers of a class counted in the order of the model', async () => {
    const weights = await kerasWeights({ 'layers/conv2d_2': { variables: numbered(3) }, 'layers/conv2d': { variables: numbered(1, 3) }, 'layers/conv2d_1': { variables: numbered(2) } });
    expect(firsts(await load(kerasArchive(CHAINED, weights)))).toEqual([['c/kernel', 1], ['b/kernel', 2], ['a/kernel', 3]]);
  });

  it('may name its layers, as Keras does since 3.6', async () => {
    const weights = await kerasWeights({ 'layers/conv2d': { name: 'c', variables: numbered(1, 3) }, 'layers/conv2d_1': { name: 'a', variables: numbered(3) }, 'layers/conv2d_2': { name: 'b', variables: numbered(2) } });
    expect(firsts(await load(kerasArchive(CHAINED, weights)))).toEqual([['c/kernel', 1], ['b/kernel', 2], ['a/kernel', 3]]);
  });

  it('may count layers twice under another name, as Keras 2.12 to 2.14 did', async () => {
    const dependencies = '_layer_checkpoint_dependencies';
    const weights = await kerasWeights({ [`${dependencies}/conv2d`]: { variables: numbered(1, 3) }, [`${dependencies}/conv2d_2`]: { variables: numbered(2) }, [`${dependencies}/conv2d_4`]: { variables: numbered(3) }, [`${dependencies}/conv2d_10/nothing`]: { variables: [] } });
    expect(firsts(await load(kerasArchive(CHAINED, weights)))).toEqual([['c/kernel', 1], ['b/kernel', 2], ['a/kernel', 3]]);
  });

  it('has models in models as groups in groups, each counted by itself', async () => {
    const inner = (name: string, value: string): LayerJson => ({ ...functional(name, [input(), conv(value, 'image'), { ...layer('ReLU', 'relu', {}, value) }]), class_name: 'Functional', name });
    const second = { ...functional('two', [{ ...input(8, 4), name: 'small', config: { ...input(8, 4).config, name: 'small' } }, conv('y', 'small'), layer('BatchNormalization', 'bn', {}, 'y')]), class_name: 'Functional', name: 'two' };
    const topology = sequential('m', [inner('one', 'x'), second]);
    const vector = (value: number): H5Weight => ({ name: '', shape: [4], values: new Float32Array(4).fill(value) });
    const weights = await kerasWeights({
      'layers/functional/layers/conv2d': { variables: numbered(1, 3) },
      'layers/functional_1/layers/conv2d': { variables: numbered(2) },
      'layers/functional_1/layers/batch_normalization': { variables: [3, 4, 5, 6].map(vector) },
      'optimizer': { variables: [vector(0)] },
    });
    const model = await load(kerasArchive(topology, weights));
    expect(firsts(model)).toEqual([['x/kernel', 1], ['y/kernel', 2], ['bn/gamma', 3]]);
    expect(weightsIn(model).filter(({ name }) => name.includes('bn/')).map(({ name, values }) => [name.split('/').slice(-2).join('/'), values[0]])).toEqual([['bn/gamma', 3], ['bn/beta', 4], ['bn/moving_mean', 5], ['bn/moving_variance', 6]]);
  });

  it('names the variables of layers as Keras 2 does: depthwise, separable and scaleless ones too', async () => {
    const layers = [input(), layer('DepthwiseConv2D', 'deep', { kernel_size: [3, 3], use_bias: true }, 'image'), layer('SeparableConv2D', 'apart', { kernel_size: [1, 1], filters: 2 }, 'deep'), layer('BatchNormalization', 'bn', { scale: false }, 'apart')];
    const shaped = (...shapes: number[][]): Omit<H5Weight, 'name'>[] => shapes.map((shape) => ({ shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)) }));
    const weights = await kerasWeights({ 'layers/depthwise_conv2d': { variables: shaped([3, 3, 3, 1], [3]) }, 'layers/separable_conv2d': { variables: shaped([1, 1, 3, 1], [1, 1, 3, 2], [2]) }, 'layers/batch_normalization': { variables: shaped([2], [2], [2]) } });
    expect(weightsIn(await load(kerasArchive(functional('m', layers), weights))).map(({ name }) => name)).toEqual(expect.arrayContaining(['deep/depthwise_kernel', 'deep/bias', 'apart/depthwise_kernel', 'apart/pointwise_kernel', 'apart/bias', 'bn/beta', 'bn/moving_mean', 'bn/moving_variance']));
  });

  it('may have been packed again', async () => {
    const weights = await kerasWeights(PARTS);
    expect(weightsIn(await load(kerasArchive(TINY.topology, weights, { isPacked: true })))).toEqual(weightsIn(await load(await tinyKeras())));
  });
});

describe('an archive', () => {
  const CONFIG: ZipEntry = { name: 'config.json', bytes: Buffer.from(JSON.stringify(TINY.topology)) };
  const archive = async (config: Partial<ZipEntry>, weights: Partial<ZipEntry> = {}, ...more: ZipEntry[]): Promise<Buffer> => zip([{ ...CONFIG, ...config }, { name: 'model.weights.h5', bytes: await kerasWeights(PARTS), ...weights }, ...more]);

  it.each<[string, () => Promise<Buffer>, string | RegExp]>([
    ['that is none', async () => Buffer.from('PK\x03\x04 and then something else'), 'its archive is damaged'],
    ['of something else', async () => zip([{ name: 'saved_model.pb', bytes: Buffer.from('x') }]), /without a config\.json/],
    ['without weights', async () => zip([CONFIG]), 'it has no model.weights.h5'],
    ['whose weights are of NumPy', async () => zip([CONFIG, { name: 'model.weights.npz', bytes: Buffer.from('x') }]), '"npz"'],
    ['with two of a name', async () => archive({}, {}, CONFIG), 'two entries "config.json"'],
    ['with names that lead out of it', async () => archive({}, {}, { name: '../../etc/passwd', bytes: Buffer.from('x') }), /damaged.*\.\.\/\.\.\/etc\/passwd/],
    ['with names that begin at the root', async () => archive({}, {}, { name: '/etc/passwd', bytes: Buffer.from('x') }), /damaged.*\/etc\/passwd/],
    ['that is encrypted', async () => archive({}, { isPacked: true, flags: 1 }), 'the model.weights.h5 in its archive is encrypted'],
    ['in ZIP64', async () => archive({}, { extra: Buffer.from('0100080000000000000000000000'.slice(0, 24), 'hex') }), /ZIP64/],
    ['packed by another method', async () => archive({}, { method: 14 }), 'packed by the method 14'],
    ['of a few bytes that announces gigabytes', async () => archive({}, { isPacked: true, bytes: Buffer.alloc(100), announcedBytes: 4_000_000_000 }), 'That cannot be'],
    ['that is unpacked to more than it announces', async () => archive({}, { isPacked: true, announcedBytes: 1_000 }), 'its archive is damaged'],
    ['that is unpacked to more than is read', async () => archive({ isPacked: true, bytes: Buffer.alloc(70_000_000, '[') }), 'at most 67108864 are read'],
    ['of whose topology a bit changed', async () => changeOf(await archive({}), 'conv'), 'its checksum is not the one'],
    ['of whose weights a bit changed', async () => changeOf(await archive({}), '\x89HDF'), 'the model.weights.h5 in its archive is damaged'],
    ['of a topology that is no JSON', async () => archive({ bytes: Buffer.from('no') }), 'its topology is not JSON'],
    ['with fewer weights than layers', async () => kerasArchive(CHAINED, await kerasWeights({ 'layers/conv2d': { variables: numbered(1, 3) } })), 'it has 3 layers of the kind conv2d with weights in "layers", and the weights of 1'],
    ['with weights of another shape', async () => kerasArchive(TINY.topology, await kerasWeights({ ...PARTS, 'layers/conv2d': { variables: numbered(1, 3).toReversed() } })), /its layer "conv" \(Conv2D\).*where its settings ask for/],
    ['whose weights are no HDF5 file', async () => archive({}, { bytes: Buffer.from('nothing') }), 'no HDF5 file'],
  ])('%s is refused', async (_what, bytes, words) => {
    await expect(load(await bytes())).rejects.toMatchObject(refused(words));
  });

  it('that is cut short anywhere is refused', async () => {
    const whole = await tinyKeras();
    for (let length = 10; length < whole.length; length += Math.floor(whole.length / 12)) await expect(load(whole.subarray(0, length)), String(length)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
  });
});

function changeOf(bytes: Buffer, at: string): Buffer {
  bytes[bytes.indexOf(at, 0, 'latin1') + 2]! ^= 1;
  return bytes;
}
