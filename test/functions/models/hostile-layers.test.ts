/** Layers models that nobody trained: each is refused in words, soon, whatever is wrong with it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../../functions/models/load-model.js';
import type { LayerJson } from '../../../functions/models/model.js';
import { conv, dense, float, functional, input, layer, seededWeights, sequential, temporaryFolder, tinyClassifier, writeModel, type ModelJson } from '../support/tiny-model.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

const load = (modelUrl: string): ReturnType<typeof loadModel> => loadModel({ name: 'hostile', modelUrl, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined }, { dataDir: folder.path });
const refusal = (words: RegExp | string): object => ({ code: 'EIS_MODEL_FILE', message: (words instanceof RegExp ? expect.stringMatching(words) : expect.stringContaining(words)) as string });

const withSize = (size: unknown): LayerJson => functional('m', [layer('InputLayer', 'image', { batch_input_shape: [null, size, 16, 3] }), conv('conv', 'image')]);
const nested = (depth: number): LayerJson => {
  let model = sequential('inner', [conv('conv')]);
  for (let i = 0; i < depth; i++) model = sequential(`m${i}`, [model]);
  return model;
};
const nameless: LayerJson = { class_name: 'Conv2D', config: {}, inbound_nodes: [[['image', 0, 0, {}]]] };

describe('a layers model', () => {
  it.each<[string, LayerJson, RegExp | string]>([
    ['whose layers feed each other', functional('m', [input(), layer('Add', 'a', {}, ['image', 'b']), conv('b', 'a'), dense('c', 2, 'softmax', 'b')]), 'wait for each other'],
    ['whose layers feed each other beside the output', functional('m', [input(), conv('a', 'b'), conv('b', 'a'), conv('out', 'image')]), 'wait for each other'],
    ['whose layer feeds itself', functional('m', [input(), conv('a', 'a')]), 'wait for each other'],
    ['with a layer that takes its input from nowhere', functional('m', [input(), conv('a', 'gone')]), '"gone", which is not there'],
    ['with a layer without a name', functional('m', [input(), nameless]), 'has no name'],
    ['with two layers of one name', functional('m', [input(), conv('a', 'image'), conv('a', 'image')]), 'two of its layers are named "a"'],
    ['of more layers than any', sequential('m', Array.from({ length: 20_000 }, (_, i) => conv(`c${i}`))), 'more than 5000 layers'],
    ['of models within models', nested(50), 'nested more than 32 deep'],
    ['of very many models within models', nested(1_000), 'nested more than 32 deep'],
    ['of an input of less than nothing', withSize(-16), 'whole number from 1 to 2048'],
    ['of an input of nothing', withSize(0), 'whole number from 1 to 2048'],
    ['of an input of half a pixel', withSize(16.5), 'whole number from 1 to 2048'],
    ['of an input in words', withSize('16'), 'whole number from 1 to 2048'],
    ['of a vast input', withSize(100_000), 'whole number from 1 to 2048'],
    ['with a Reshape to no shape', functional('m', [input(), conv('conv', 'image'), layer('Reshape', 'reshape', {}, 'conv')]), 'not a well-formed TF.js layers model'],
  ])('%s is refused', async (what, topology, words) => {
    const model: ModelJson = { modelTopology: topology, weightsManifest: [{ paths: ['w.bin'], weights: [float('conv/kernel', [3, 3, 3, 4]), float('conv/bias', [4])] }] };
    await expect(load(await writeModel(join(folder.path, what.replace(/\W/g, '-')), model))).rejects.toMatchObject(refusal(words));
  });
});

describe('a file that is no model.json', () => {
  it.each<[string, string | Buffer, RegExp | string]>([
    ['nothing.json', '', 'it is empty'],
    ['pointer.json', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n', 'git lfs pull'],
    ['page.json', '<!doctype html><title>Not found</title>', 'web page'],
    ['keras.bin', Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), 'no HDF5 file, or it is damaged'],
    ['lite.json', Buffer.concat([Buffer.from([28, 0, 0, 0]), Buffer.from('TFL3')]), 'TensorFlow Lite'],
    ['archive.json', 'PK\x03\x04', 'archive'],
    ['saved_model.pb', Buffer.from([8, 1, 18]), /SavedModel.*tensorflowjs_converter/],
    ['model.onnx', Buffer.from([8, 7, 18]), 'ONNX'],
    ['text.json', 'some words', 'not JSON'],
  ])('%s is told from one, with what to do', async (name, contents, words) => {
    await writeFile(join(folder.path, name), contents);
    await expect(load(join(folder.path, name))).rejects.toMatchObject(refusal(words));
  });

  it('may begin with a byte order mark', async () => {
    const path = await writeModel(join(folder.path, 'bom'), tinyClassifier());
    await writeFile(path, `\uFEFF${JSON.stringify(tinyClassifier())}`);
    expect((await load(path)).layer).toBe('pooled');
  });
});

describe('weights', () => {
  it('that are a Git LFS pointer are told from damaged ones', async () => {
    const model: ModelJson = { ...tinyClassifier(), weightsManifest: [{ ...tinyClassifier().weightsManifest[0]!, paths: ['w.bin'] }] };
    const path = await writeModel(join(folder.path, 'lfs'), model, Buffer.from('version https://git-lfs.github.com/spec/v1\n'));
    await expect(load(path)).rejects.toMatchObject(refusal(/w\.bin is a Git LFS pointer.*git lfs pull/));
  });

  it('that are named over and over are not read', async () => {
    const weights = seededWeights(tinyClassifier());
    await mkdir(join(folder.path, 'over'), { recursive: true });
    const path = await writeModel(join(folder.path, 'over'), { ...tinyClassifier(), weightsManifest: [{ ...tinyClassifier().weightsManifest[0]!, paths: ['w.bin'] }] }, weights);
    await writeFile(path, JSON.stringify({ ...tinyClassifier(), weightsManifest: [{ ...tinyClassifier().weightsManifest[0]!, paths: Array.from({ length: 5_000 }, () => 'w.bin') }] }));
    await expect(load(path)).rejects.toMatchObject(refusal(`are ${weights.length * 5_000} bytes where model.json announces ${weights.length}`));
  });
});
