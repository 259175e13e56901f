/** From a model's configuration to the model: finds or downloads its file, and has the loader of its format read it. */
import { isEisError } from '../../common/errors.js';
import { describeForeign } from './foreign-file.js';
import { graphLoader } from './graph-loader.js';
import { kerasArchiveLoader } from './keras-archive-loader.js';
import { kerasH5Loader } from './keras-h5-loader.js';
import { layersLoader } from './layers-loader.js';
import { openModelFile, sha256Of } from './model-file.js';
import { failModel, type LoadedModel, type LoadOptions, type ModelFile, type ModelLoader } from './model.js';
import { obtainModel, type ObtainOptions } from './obtain-model.js';
import { resolveModel, type ExpectedModel, type ModelRequest } from './registry.js';

const LOADERS: readonly ModelLoader[] = [kerasH5Loader, kerasArchiveLoader, layersLoader, graphLoader];

export interface LoadModelOptions extends ObtainOptions {
  /** A folder or URL that the models known by name come from. */
  readonly mirror?: string | undefined;
}

/**
 * Loads a model of the configuration, downloading it when it is not here yet.
 *
 * @throws EisError EIS_MODEL_FILE, EIS_MODEL_DOWNLOAD
 */
export async function loadModel(config: ModelRequest, options: LoadModelOptions): Promise<LoadedModel> {
  const model = resolveModel(config, options);
  const path = await obtainModel(model, options);
  const file = await readModelFile(path, model.sha256);
  const loader = LOADERS.find((candidate) => candidate.accepts(file)) ?? failModel(path, file.json === undefined ? describeForeign(file.head, path) : describeUnknown(file.json));
  const { name, layer, inputSize, preprocess, expected } = model;
  try {
    if (!expected) return await loader.load(file, { name, layer, inputSize, preprocess });
    const loaded = await loadExpected(loader, file, { name, layer, inputSize, preprocess }, expected);
    return expected.dim === undefined ? loaded : { ...loaded, expected: { name, dim: expected.dim } };
  } catch (thrown) {
    if (isEisError(thrown)) throw thrown;
    return failModel(path, `it is not a well-formed ${loader.format} (${(thrown as Error).message.split('\n')[0]}). Convert the model again.`, thrown);
  }
}

/** Loads a known model: a size that its file leaves open is the known one; another than that is another model's. */
async function loadExpected(loader: ModelLoader, file: ModelFile, options: LoadOptions, { name, inputSize }: ExpectedModel): Promise<LoadedModel> {
  if (options.inputSize !== undefined) return loader.load(file, options);
  try {
    return await loader.load(file, { ...options, inputSize });
  } catch (error) {
    const { input } = await loader.load(file, options); // what is wrong whatever the size, in words that speak of no size
    if (input.height === inputSize && input.width === inputSize) throw error;
    return failModel(file.path, `it takes ${input.height}×${input.width} pixels where ${name} takes ${inputSize}×${inputSize}: it is not the model that was meant.`, error);
  }
}

async function readModelFile(path: string, sha256: string | undefined): Promise<ModelFile> {
  try {
    const file = await openModelFile(path);
    if (sha256 !== undefined) await checkSha256(path, sha256);
    return file;
  } catch (cause) {
    if (isEisError(cause)) throw cause;
    return failModel(path, 'it cannot be read. A model folder holds a model.json and its weight files, or one .keras or .h5 file.', cause);
  }
}

async function checkSha256(path: string, expected: string): Promise<void> {
  const actual = await sha256Of(path);
  if (actual !== expected) failModel(path, `its sha256 is ${actual}, and config.json says ${expected}. It is not the file that was meant.`);
}

function describeUnknown(json: unknown): string {
  const { format, modelTopology } = (json ?? {}) as { format?: unknown; modelTopology?: { node?: unknown } | null };
  if (format === 'graph-model' || modelTopology?.node !== undefined) return 'it is a TF.js graph model without nodes: it has no list "modelTopology.node". It is damaged: convert the model again.';
  return `it is no model that this release reads (${LOADERS.map((loader) => loader.format).join(', ')}): its "modelTopology" is neither of class Sequential, Model or Functional, nor has it nodes.`;
}
