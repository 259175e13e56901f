import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseModels, type ChosenModels } from '../../cli/evaluate-models.js';
import { parseEnvironment } from '../../common/environment.js';
import { tempFolder } from '../support/temp-folder.js';

const CONFIG = {
  models: [{ name: 'builtin' }, { name: 'own', model_url: 'own/model.json', preprocess: 'torch' }],
  services: [{ name: 'indexing', models: [{ name: 'builtin', index_algorithm: 'hnsw', expansion_search: 99 }, { name: 'own' }] }],
};

function choose(...names: string[]): ChosenModels & { readonly folder: string; readonly file: string } {
  const folder = tempFolder();
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(CONFIG));
  for (const name of ['My Model.v2', 'my-model-v2', '2024']) mkdirSync(join(folder, name));
  mkdirSync(join(folder, 'scratch'));
  return { ...chooseModels(names.map((name) => name.replace('FOLDER', folder)), parseEnvironment({ EIS_CONFIG: file }), join(folder, 'scratch')), folder, file };
}

describe('chooseModels()', () => {
  it('has all models of the configuration when none is named', () => {
    const { config, models, file } = choose();
    expect(config.file).toBe(file);
    expect(models.map(({ name }) => name)).toEqual(['builtin', 'own']);
  });

  it('has those that are named, each once, in their order', () => {
    const { config, models, file } = choose('own', 'builtin', 'own');
    expect(config.file).toBe(file);
    expect(models.map(({ name }) => name)).toEqual(['own', 'builtin']);
  });

  it('writes a configuration for models that are a place or known by name, with the settings of those that are configured', () => {
    const { config, models, folder } = choose('builtin', 'own', 'mobilenet', 'FOLDER/My Model.v2');
    expect(config.file).toBe(join(folder, 'scratch', 'config.json'));
    expect(models.map(({ name, modelUrl, preprocess }) => [name, modelUrl, preprocess])).toEqual([
      ['builtin', undefined, undefined],
      ['own', join(folder, 'own', 'model.json'), 'torch'],
      ['mobilenet', undefined, undefined],
      ['my-model-v2', join(folder, 'My Model.v2'), undefined],
    ]);
    expect([...config.indexing].map(([name, { algorithm, expansionSearch }]) => [name, algorithm, expansionSearch])).toEqual([['builtin', 'hnsw', 99], ['own', 'brute', 64], ['mobilenet', 'brute', 64], ['my-model-v2', 'brute', 64]]);
  });

  it('gives places names that models may have, and none twice', () => {
    expect(choose('FOLDER/My Model.v2', 'FOLDER/my-model-v2', 'FOLDER/2024').models.map(({ name }) => name)).toEqual(['my-model-v2', 'my-model-v2-2', 'model']);
  });

  it('says of a name that is none which there are', () => {
    expect(() => choose('bultin')).toThrow(/Did you mean "builtin"/);
    expect(() => choose('FOLDER/gone')).toThrow(/there is no such file or folder/);
  });
});
