/**
 * Makes the folder of one function that can be installed and served by itself, or given to `gcloud functions deploy`:
 * code, model, config.json, package.json and lockfile.
 */
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig, type ModelConfig } from '../../common/config.js';
import { EisError } from '../../common/errors.js';
import type { ModelLane } from '../../common/model-lanes.js';
import { packagePath } from '../../common/package-root.js';
import { loadModel } from '../models/load-model.js';
import { bundleCode } from './bundle-code.js';
import { bundleModel, type BundleModelOptions } from './bundle-model.js';
import { bundlePackages, INSTALLED } from './bundle-packages.js';
import { functionName } from './function-name.js';

export interface Bundle {
  readonly laneName: string;
  readonly folder: string;
  /** Of its files, packages not installed. */
  readonly bytes: number;
  /** As `/ready` says it: that of the model which it was made of. */
  readonly modelVersion: string;
}

/** Where the bundles of the package's models are made. */
export const BUNDLES_FOLDER = packagePath('functions', 'dist');

/**
 * Makes the bundle of a lane in a folder of its name; the one that was there is replaced when the new one is whole.
 *
 * @param parent holds the bundles
 * @throws EisError EIS_BUNDLE; EIS_ENGINE_UNAVAILABLE for an engine that no bundle can have; EIS_MODEL_FILE, EIS_MODEL_DOWNLOAD
 */
export async function buildBundle(model: ModelLane, parent: string, options: BundleModelOptions): Promise<Bundle> {
  if (model.engine === 'tfjs-node') throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: model.engine, detail: `its library is fetched by an install script, and a function is installed without any. Set "engine" of the model ${JSON.stringify(model.name)} to auto in config.json.` });
  const { laneName } = model;
  const folder = join(parent, laneName);
  const draft = join(parent, `.${laneName}.draft`);
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  await bundleCode(draft, INSTALLED);
  await bundlePackages(functionName(model), draft);
  await copyFile(packagePath('config.schema.json'), join(draft, 'config.schema.json'));
  await bundleModel(model, draft, options);
  const modelVersion = await requireSame(model, draft, options);
  await rm(folder, { recursive: true, force: true });
  await rename(draft, folder);
  return { laneName, folder, bytes: await measure(folder), modelVersion };
}

/** What was written down of a model must make of its files what it was made of: a function of another version finds no index. */
async function requireSame(model: ModelConfig, folder: string, options: BundleModelOptions): Promise<string> {
  const [bundled] = loadConfig(join(folder, 'config.json')).models as [ModelConfig];
  const { version } = await loadModel(model, options);
  const { version: bundledVersion } = await loadModel(bundled, { dataDir: options.dataDir });
  if (version !== bundledVersion) throw new EisError('EIS_BUNDLE', { detail: `the model ${model.name} has the version ${version} here and ${bundledVersion} in the bundle. Its file changed meanwhile? Try again.` });
  return version;
}

async function measure(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(entries.filter((entry) => entry.isFile()).map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
