/** Puts a model into a bundle: its files as they are loaded, and a configuration that has this model alone. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ModelConfig } from '../../common/config.js';
import type { ModelFile } from '../../common/config-schema.js';
import { listModelFiles, obtainModel, type ObtainOptions } from '../models/obtain-model.js';
import { resolveModel, type ResolvedModel } from '../models/registry.js';

/** Where a bundle has its model. */
const FOLDER = 'model';

export interface BundleModelOptions extends ObtainOptions {
  /** A folder or URL that the models known by name come from. */
  readonly mirror?: string | undefined;
}

/**
 * Copies a model into a bundle, downloading it when it is not here yet, and writes the bundle's config.json.
 *
 * @throws EisError EIS_MODEL_FILE, EIS_MODEL_DOWNLOAD
 */
export async function bundleModel(model: ModelConfig, folder: string, options: BundleModelOptions): Promise<void> {
  const resolved = resolveModel(model, options);
  const main = await obtainModel(resolved, options);
  for (const file of await listModelFiles(main)) {
    const target = join(folder, FOLDER, file);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(join(dirname(main), file), target);
  }
  await writeFile(join(folder, 'config.json'), `${JSON.stringify({ models: [describe(model, resolved, `./${FOLDER}/${basename(main)}`)] }, null, 2)}\n`);
}

/** A model at a path is used as its entry says: what is known of it by its name is written down. */
function describe({ name, engine }: ModelConfig, { sha256, layer, inputSize, preprocess, expected }: ResolvedModel, path: string): ModelFile {
  const size = inputSize ?? expected?.inputSize;
  return { name, model_url: path, ...(sha256 && { sha256 }), ...(layer && { layer }), ...(size && { input_size: size }), ...(preprocess && { preprocess }), engine };
}
