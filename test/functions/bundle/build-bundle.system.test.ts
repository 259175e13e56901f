import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../../common/config.js';
import { lanesOf, type ModelLane } from '../../../common/model-lanes.js';
import { buildBundle } from '../../../functions/bundle/build-bundle.js';
import { reachable, type LockedPackages } from '../../../functions/bundle/bundle-packages.js';
import { tempFolder } from '../../support/temp-folder.js';
import { tinyClassifier, writeModel } from '../support/tiny-model.js';

let parent: string;
beforeEach(() => {
  parent = tempFolder();
});

async function tinyLanes(more: object = {}): Promise<ModelLane[]> {
  await writeModel(join(parent, 'files'), tinyClassifier());
  return lanesOf(parseConfig(JSON.stringify({ models: [{ name: 'my_tiny', model_url: './files', preprocess: '[0,1]', ...more }] }), join(parent, 'config.json')).models[0]!);
}

const tinyModel = async (more: object = {}): Promise<ModelLane> => (await tinyLanes(more))[0]!;

describe('buildBundle()', () => {
  it('takes all files of the model along, and says of it what the configuration does', async () => {
    const { folder, modelVersion, bytes } = await buildBundle(await tinyModel({ layer: 'pooled' }), join(parent, 'out'), { dataDir: parent });
    expect(folder).toBe(join(parent, 'out', 'my_tiny'));
    expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toEqual({ models: [{ name: 'my_tiny', model_url: './model/model.json', layer: 'pooled', preprocess: '[0,1]', engine: 'auto' }] });
    expect(existsSync(join(folder, 'model', 'more', 'shard2.bin'))).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))).toMatchObject({ name: 'embed-my-tiny', main: 'dist/functions/index.js', private: true });
    expect(modelVersion).toMatch(/^[0-9a-f]{64}$/);
    expect(bytes).toBeGreaterThan(1_000_000);
  });

  it('writes down what is known of a model by its name, because a path has no name', async () => {
    const [builtin] = parseConfig('{ "models": [{ "name": "builtin" }] }', join(parent, 'config.json')).models;
    const { folder } = await buildBundle(lanesOf(builtin!)[0]!, parent, { dataDir: parent });
    expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toEqual({ models: [{ name: 'builtin', model_url: './model/model.json', input_size: 112, preprocess: '[-1,1]', engine: 'auto' }] });
  });

  it('replaces the bundle that was there, and leaves it where the new one cannot be made', async () => {
    const model = await tinyModel();
    const { folder } = await buildBundle(model, join(parent, 'out'), { dataDir: parent });
    writeFileSync(join(folder, 'left-over'), '');
    await buildBundle(model, join(parent, 'out'), { dataDir: parent });
    expect(readdirSync(folder)).not.toContain('left-over');
    writeFileSync(join(parent, 'files', 'shard1.bin'), 'cut');
    await expect(buildBundle(model, join(parent, 'out'), { dataDir: parent })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    expect(existsSync(join(folder, 'package.json'))).toBe(true);
  });

  it('of a second lane is the model by what it is there, beside that of the main lane', async () => {
    const lanes = await tinyLanes({ next: { model_url: './files', preprocess: '[-1,1]' } });
    const [main, next] = [await buildBundle(lanes[0]!, join(parent, 'out'), { dataDir: parent }), await buildBundle(lanes[1]!, join(parent, 'out'), { dataDir: parent })];
    expect([main.folder, next.folder]).toEqual(['my_tiny', 'my_tiny.next'].map((name) => join(parent, 'out', name)));
    expect(JSON.parse(readFileSync(join(next.folder, 'config.json'), 'utf8'))).toMatchObject({ models: [{ name: 'my_tiny', preprocess: '[-1,1]' }] });
    expect(JSON.parse(readFileSync(join(next.folder, 'package.json'), 'utf8'))).toMatchObject({ name: 'embed-my-tiny-next' });
    expect(next.modelVersion).not.toBe(main.modelVersion);
  });

  it('refuses an engine whose library an install script would have to fetch', async () => {
    await expect(buildBundle(await tinyModel({ engine: 'tfjs-node' }), parent, { dataDir: parent })).rejects.toMatchObject({ code: 'EIS_ENGINE_UNAVAILABLE', message: expect.stringContaining('"engine" of the model "my_tiny" to auto') as string });
  });
});

describe('reachable()', () => {
  const LOCKED: LockedPackages = {
    '': { version: '0' },
    'node_modules/a': { version: '1', dependencies: { b: '^1' }, optionalDependencies: { linux: '1', mac: '1' }, peerDependencies: { peer: '1', gone: '1' }, peerDependenciesMeta: { gone: { optional: true } } },
    'node_modules/a/node_modules/b': { version: '1.1', dependencies: { c: '1' } },
    'node_modules/b': { version: '2', dev: true },
    'node_modules/c': { version: '3', dev: true, optional: true },
    'node_modules/linux': { version: '1', optional: true, dependencies: { d: '1' } },
    'node_modules/mac': { version: '1', optional: true },
    'node_modules/d': { version: '1' },
    'node_modules/peer': { version: '1' },
    'node_modules/unused': { version: '1' },
  };

  it('takes what a package requires from where it finds it, and nothing else', () => {
    expect(Object.keys(reachable(['a'], LOCKED))).toEqual(['node_modules/a', 'node_modules/a/node_modules/b', 'node_modules/c', 'node_modules/d', 'node_modules/linux', 'node_modules/mac', 'node_modules/peer']);
  });

  it('calls optional what only optional packages need', () => {
    const optional = Object.entries(reachable(['a'], LOCKED)).filter(([, entry]) => entry.optional).map(([path]) => path);
    expect(optional).toEqual(['node_modules/d', 'node_modules/linux', 'node_modules/mac']);
    expect(Object.values(reachable(['a'], LOCKED)).some(({ dev }) => dev)).toBe(false);
  });

  it('names a package that the lockfile lacks, platform packages included', () => {
    expect(() => reachable(['a'], Object.fromEntries(Object.entries(LOCKED).filter(([path]) => path !== 'node_modules/mac')))).toThrow(/package-lock.json lacks mac\..*complete-lockfile/);
  });
});
