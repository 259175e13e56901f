/** From a model's configuration to the model: finds or downloads its file, and has the loader of its format read it. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelConfig } from '../../common/config.js';
import { downloadModel } from './download.js';
import { graphLoader } from './graph-loader.js';
import { layersLoader } from './layers-loader.js';
import { failModel, refuseHdf5, type LoadedModel, type ModelFile, type ModelLoader } from './model.js';
import { resolveModel } from './registry.js';

const LOADERS: readonly ModelLoader[] = [layersLoader, graphLoader];

/**
 * Loads a model of the configuration.
 *
 * @param options.dataDir where downloaded models are kept
 * @throws EisError EIS_MODEL_FILE, EIS_MODEL_DOWNLOAD
 */
export async function loadModel(config: ModelConfig, options: { readonly dataDir: string }): Promise<LoadedModel> {
  const { modelUrl, preprocess } = resolveModel(config);
  const path = /^[a-z][a-z0-9+.-]*:\/\//i.test(modelUrl)
    ? await downloadModel({ url: modelUrl, sha256: config.sha256, folder: join(options.dataDir, 'models') })
    : await findModelFile(modelUrl);
  refuseHdf5(path);
  const bytes = await readModelFile(path);
  checkSha256(bytes, config.sha256, path);
  const file: ModelFile = { path, json: parseJson(bytes, path) };
  const loader = LOADERS.find((candidate) => candidate.accepts(file)) ?? failModel(path, describeUnknown(file.json));
  return loader.load(file, { name: config.name, layer: config.layer, inputSize: config.inputSize, preprocess });
}

/** The file of a path that names it or its folder. */
async function findModelFile(path: string): Promise<string> {
  try {
    return (await stat(path)).isDirectory() ? join(path, 'model.json') : path;
  } catch (cause) {
    return failModel(path, 'there is no such file or folder. Correct "model_url" in config.json.', cause);
  }
}

async function readModelFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    return failModel(path, 'it cannot be read. A model folder holds a model.json and its weight files.', cause);
  }
}

function checkSha256(bytes: Buffer, expected: string | undefined, path: string): void {
  const actual = createHash('sha256').update(bytes).digest('hex');
  if (expected !== undefined && actual !== expected) failModel(path, `its sha256 is ${actual}, and config.json says ${expected}. It is not the file that was meant.`);
}

function parseJson(bytes: Buffer, path: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    return failModel(path, 'it is not JSON. "model_url" names a TF.js model.json or its folder.', cause);
  }
}

function describeUnknown(json: unknown): string {
  const { format, modelTopology } = (json ?? {}) as { format?: unknown; modelTopology?: { node?: unknown } | null };
  if (format === 'graph-model' || modelTopology?.node !== undefined) return 'it is a TF.js graph model without nodes: it has no list "modelTopology.node". It is damaged: convert the model again.';
  return `it is no model that this release reads (${LOADERS.map((loader) => loader.format).join(', ')}): its "modelTopology" is neither of class Sequential, Model or Functional, nor has it nodes.`;
}
