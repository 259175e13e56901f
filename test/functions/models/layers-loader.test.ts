import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { layersLoader } from '../../../functions/models/layers-loader.js';
import { loadModel } from '../../../functions/models/load-model.js';
import type { LayerJson, LoadOptions, ModelFile } from '../../../functions/models/model.js';
import type { ModelConfig } from '../../../common/config.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { graphBytes, graphModel, tinyGraph } from '../support/tiny-graph.js';
import { OPTIONS, conv, functional, input, jsonFile, layer, seededWeights, sequential, temporaryFolder, tinyClassifier, writeModel, float, type ModelJson } from '../support/tiny-model.js';
import { describeLoader } from './loader-contract.js';

const write = async (folder: string, model: ModelJson, bytes?: Buffer): Promise<ModelFile> => jsonFile(await writeModel(folder, model, bytes), model);

describeLoader(layersLoader, {
  whole: (folder) => write(folder, tinyClassifier()),
  retrained: (folder) => write(folder, tinyClassifier(), seededWeights(tinyClassifier(), 2)),
  truncated: (folder) => write(folder, tinyClassifier(), seededWeights(tinyClassifier()).subarray(4)),
  incomplete: async (folder) => {
    const file = await write(folder, tinyClassifier());
    await unlink(join(folder, 'more/shard2.bin'));
    return file;
  },
  openSize: (folder) => write(folder, tinyClassifier(null)),
});

describe('loadModel()', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    await writeModel(join(folder.path, 'tiny'), tinyClassifier());
  });
  afterAll(() => folder.remove());

  const config = (changes: Partial<ModelConfig>): ModelConfig => ({ name: 'tiny', kubernetesName: 'tiny', modelUrl: undefined, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined, engine: 'auto', ...changes });
  const load = (changes: Partial<ModelConfig>): ReturnType<typeof loadModel> => loadModel(config(changes), { dataDir: folder.path });

  it('reads a folder and a model.json alike', async () => {
    const [byFolder, byFile] = await Promise.all([load({ modelUrl: join(folder.path, 'tiny') }), load({ modelUrl: join(folder.path, 'tiny/model.json') })]);
    expect(byFolder).toEqual(byFile);
    expect(byFolder.layer).toBe('pooled');
  });

  it('needs no more than the name of builtin', async () => {
    expect(await load({ name: 'builtin' })).toMatchObject({ layer: 'embedding', input: { height: 112, width: 112, channels: 3 }, preprocess: '[-1,1]' });
  });

  it('says what to set for a name that is not known', async () => {
    await expect(load({ name: 'my-own' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/"model_url".*config\.json/) as string });
  });

  it('holds the file to its sha256', async () => {
    await expect(load({ modelUrl: join(folder.path, 'tiny'), sha256: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('sha256') as string });
  });

  it('says what is wrong with a path that leads nowhere', async () => {
    await expect(load({ modelUrl: join(folder.path, 'nowhere') })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('model_url') as string });
    await expect(load({ modelUrl: folder.path })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('model.json') as string });
  });

  it('reads graph models too, and names what it reads when a file is neither', async () => {
    await writeModel(join(folder.path, 'graph'), graphModel(tinyGraph()), graphBytes(tinyGraph()));
    expect(await load({ modelUrl: join(folder.path, 'graph') })).toMatchObject({ format: 'TF.js graph model', layer: 'pooled', preprocess: '[-1,1]' });
    await writeModel(join(folder.path, 'neither'), { ...tinyClassifier(), modelTopology: { class_name: 'Tokenizer', config: {} } });
    await expect(load({ modelUrl: join(folder.path, 'neither') })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/TF\.js layers model, TF\.js graph model/) as string });
    await writeModel(join(folder.path, 'empty'), { ...graphModel([]), modelTopology: { node: [] } }, Buffer.alloc(0));
    await expect(load({ modelUrl: join(folder.path, 'empty') })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('graph model without nodes') as string });
  });

  it('keeps the versions of layers models: embeddings are stored under them', async () => {
    expect((await load({ name: 'builtin' })).version).toBe('156edf4c7f6a658c7ecc26cac62063f73e63680fbf749e99b593addb95e0c02c');
  });

  it.skipIf(missingTestData('models'))(`keeps the versions of real layers models ${missingTestData('models') ?? ''}`, async () => {
    expect((await load({ modelUrl: testDataPath('models/teachable-machine') })).version).toBe('073298c75337ed0872fcece9bbeb648f29dff018c5959c89157f9a32953eff66');
    expect((await load({ modelUrl: testDataPath('models/mobilenet-v2-quantized') })).version).toBe('32ea40eb3cbb715eb8e5c59499bdfaff59b9868ae312e713121119d2b6ba341f');
  });

  it('gives pixels as they are to a model that rescales them first, unless the configuration says otherwise', async () => {
    const rescaling = layer('Rescaling', 'rescaling', { scale: 1 / 127.5, offset: -1 }, 'image');
    const base = [input(), rescaling, conv('conv', 'rescaling')];
    const weights = tinyClassifier().weightsManifest[0]!.weights.slice(0, 2);
    const rescaled = async (topology: LayerJson, changes: Partial<LoadOptions> = {}): Promise<string> => (await layersLoader.load(await write(join(folder.path, 'rescaling'), { modelTopology: topology, weightsManifest: [{ paths: ['w.bin'], weights }] }), { ...OPTIONS, preprocess: undefined, ...changes })).preprocess;
    expect(await rescaled(functional('m', base))).toBe('raw');
    expect(await rescaled(functional('m', base), { preprocess: '[0,1]' })).toBe('[0,1]');
    const alone = (layerJson: LayerJson): LayerJson => ({ class_name: layerJson.class_name, config: layerJson.config });
    const first = { ...alone(rescaling), config: { ...rescaling.config, batch_input_shape: [null, 16, 16, 3] } };
    expect(await rescaled(sequential('m', [first, alone(conv('conv'))]))).toBe('raw');
    expect(await rescaled(sequential('m', [sequential('inner', [alone(input()), alone(rescaling)]), alone(conv('conv'))]))).toBe('raw');
    expect(await rescaled(functional('m', [input(), conv('conv', 'image')]))).toBe('[-1,1]');
  });

  it('loads what Keras 3 wrote', async () => {
    const tensor = { class_name: '__keras_tensor__', config: { shape: [null, 16, 16, 3], dtype: 'float32', keras_history: ['image', 0, 0] } };
    const open = { class_name: 'InputLayer', config: { name: 'image', batch_shape: [null, null, null, 3], dtype: 'float32' } };
    const referring = { ...conv('conv', 'image'), module: 'keras.layers', registered_name: null, inbound_nodes: [{ args: [tensor], kwargs: {} }] };
    const functional3 = { ...functional('m', [{ ...open, name: 'image' }, referring]), class_name: 'Functional' };
    const sequential3 = sequential('m', [open, { class_name: 'Conv2D', config: conv('conv').config }]);
    for (const topology of [functional3, sequential3]) {
      const file = await write(join(folder.path, 'keras3'), { ...tinyClassifier(), modelTopology: topology });
      expect(await layersLoader.load(file, { ...OPTIONS, inputSize: 20 })).toMatchObject({ layer: 'conv', input: { height: 20, width: 20, channels: 3 } });
      await expect(layersLoader.load(file, OPTIONS)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('"input_size"') as string });
    }
  });

  it('refuses colour preprocessing of a grey input, and inputs that are no image', async () => {
    const grey: ModelJson = { modelTopology: functional('grey', [input(16, 1), conv('conv', 'image')]), weightsManifest: [{ paths: ['w.bin'], weights: [float('conv/kernel', [3, 3, 1, 4]), float('conv/bias', [4])] }] };
    const file = await write(join(folder.path, 'grey'), grey);
    await expect(layersLoader.load(file, { ...OPTIONS, preprocess: 'caffe' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    expect((await layersLoader.load(file, OPTIONS)).input.channels).toBe(1);
    const five: ModelJson = { ...grey, modelTopology: functional('five', [input(16, 5), conv('conv', 'image')]) };
    await expect(layersLoader.load(jsonFile(file.path, five), OPTIONS)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('[null,16,16,5]') as string });
  });
});
