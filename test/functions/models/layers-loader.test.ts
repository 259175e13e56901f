import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { layersLoader } from '../../../functions/models/layers-loader.js';
import { loadModel } from '../../../functions/models/load-model.js';
import type { ModelFile } from '../../../functions/models/model.js';
import type { ModelConfig } from '../../../common/config.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { OPTIONS, conv, functional, input, seededWeights, temporaryFolder, tinyClassifier, writeModel, float, type ModelJson } from '../support/tiny-model.js';
import { describeLoader } from './loader-contract.js';

const write = async (folder: string, model: ModelJson, bytes?: Buffer): Promise<ModelFile> => ({ path: await writeModel(folder, model, bytes), json: model });

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

  it('says what to set for a name that does not ship', async () => {
    await expect(load({ name: 'resnet' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/"model_url".*config\.json/) as string });
  });

  it('holds the file to its sha256', async () => {
    await expect(load({ modelUrl: join(folder.path, 'tiny'), sha256: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('sha256') as string });
  });

  it('says how to convert a Keras file', async () => {
    await writeModel(join(folder.path, 'h5'), tinyClassifier());
    await expect(load({ modelUrl: 'https://example.com/model-finetuned.h5' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('tensorflowjs_converter --input_format=keras') as string });
  });

  it('says what is wrong with a path that leads nowhere', async () => {
    await expect(load({ modelUrl: join(folder.path, 'nowhere') })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('model_url') as string });
    await expect(load({ modelUrl: folder.path })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('model.json') as string });
  });

  it.skipIf(missingTestData('models'))(`refuses a graph model in words ${missingTestData('models') ?? ''}`, async () => {
    await expect(load({ modelUrl: testDataPath('models/topologies/mobilenet-v2-graph-model.json') })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('graph model') as string });
  });

  it('refuses colour preprocessing of a grey input, and inputs that are no image', async () => {
    const grey: ModelJson = { modelTopology: functional('grey', [input(16, 1), conv('conv', 'image')]), weightsManifest: [{ paths: ['w.bin'], weights: [float('conv/kernel', [3, 3, 1, 4]), float('conv/bias', [4])] }] };
    const file = await write(join(folder.path, 'grey'), grey);
    await expect(layersLoader.load(file, { ...OPTIONS, preprocess: 'caffe' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    expect((await layersLoader.load(file, OPTIONS)).input.channels).toBe(1);
    const five: ModelJson = { ...grey, modelTopology: functional('five', [input(16, 5), conv('conv', 'image')]) };
    await expect(layersLoader.load({ path: file.path, json: five }, OPTIONS)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('[null,16,16,5]') as string });
  });
});
