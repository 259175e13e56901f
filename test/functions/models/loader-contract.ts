/** What every model loader keeps, whatever the format of its files. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadedModel, LoadOptions, ModelFile, ModelLoader } from '../../../functions/models/model.js';
import { OPTIONS, jsonFile, temporaryFolder } from '../support/tiny-model.js';

/** Files of the loader's format, each written into the folder it is given. All are of the same small classifier. */
export interface LoaderFixtures {
  /** A classifier of 16×16×3 images with 4 pooled features. */
  readonly whole: (folder: string) => Promise<ModelFile>;
  /** The same with other weights in the convolution. */
  readonly retrained: (folder: string) => Promise<ModelFile>;
  /** The same with its weights cut short. */
  readonly truncated: (folder: string) => Promise<ModelFile>;
  /** The same with its weights missing. */
  readonly incomplete: (folder: string) => Promise<ModelFile>;
  /** The same with its input's rows and columns left open. */
  readonly openSize: (folder: string) => Promise<ModelFile>;
}

export function describeLoader(loader: ModelLoader, fixtures: LoaderFixtures): void {
  describe(`the loader of ${loader.format}s`, () => {
    let folder: Awaited<ReturnType<typeof temporaryFolder>>;
    let count = 0;
    beforeAll(async () => {
      folder = await temporaryFolder();
    });
    afterAll(() => folder.remove());

    const load = async (which: keyof LoaderFixtures, options: Partial<LoadOptions> = {}): Promise<LoadedModel> => loader.load(await fixtures[which](`${folder.path}/${count++}`), { ...OPTIONS, ...options });

    it('accepts its own files and no others', async () => {
      expect(loader.accepts(await fixtures.whole(`${folder.path}/own`))).toBe(true);
      for (const json of [undefined, null, [], {}, { modelTopology: { node: [] } }]) expect(loader.accepts(jsonFile('x.json', json))).toBe(false);
    });

    it('describes the model in plain data that another thread can take', async () => {
      const model = await load('whole');
      expect(structuredClone(model)).toEqual(model);
      expect(model).toMatchObject({ name: 'tiny', input: { height: 16, width: 16, channels: 3 }, preprocess: '[-1,1]' });
      expect(model.version).toMatch(/^[0-9a-f]{64}$/);
    });

    it('keeps the weights under the embedding only', async () => {
      const names = [...(await load('whole')).network.weights.keys()].map((name) => name.split('/')[0]);
      expect(new Set(names)).toEqual(new Set(['conv']));
    });

    it('gives a version that changes with all that changes embeddings, and with the place of the file it does not', async () => {
      const version = (await load('whole')).version;
      expect((await load('whole')).version).toBe(version);
      const others = await Promise.all([load('retrained'), load('whole', { preprocess: '[0,1]' }), load('whole', { layer: 'conv' }), load('openSize', { inputSize: 32 })]);
      expect(new Set([version, ...others.map((model) => model.version)]).size).toBe(5);
    });

    it('refuses files that are damaged or missing', async () => {
      await expect(load('truncated')).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
      await expect(load('incomplete')).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    });

    it('takes the size of an open input from the options, and refuses a conflict', async () => {
      expect((await load('openSize', { inputSize: 24 })).input).toEqual({ height: 24, width: 24, channels: 3 });
      await expect(load('openSize')).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('"input_size"') as string });
      await expect(load('whole', { inputSize: 24 })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('16×16') as string });
      expect((await load('whole', { inputSize: 16 })).input.width).toBe(16);
    });

    it('says which layers there are when the one asked for is not', async () => {
      await expect(load('whole', { layer: 'poled' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('"pooled"') as string });
    });
  });
}
