/** Loads TF.js layers models: `model.json` with its weight files beside it, as tfjs-converter, TF.js and Teachable Machine write them. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cutAt, inputShape, poolFeatureMap, withInputShape } from './cut.js';
import { chooseEmbeddingLayer } from './embedding-layer.js';
import { DEFAULT_PREPROCESS, failModel, type InputShape, type LayerJson, type LoadedModel, type LoadOptions, type ModelLoader, type NamedWeight } from './model.js';
import { layerName, listLayers, parseTopology } from './topology.js';
import { decodeGroup, parseManifest } from './weights.js';

interface LayersModelJson {
  readonly modelTopology?: unknown;
  readonly weightsManifest?: unknown;
}

const FORMAT = 'TF.js layers model';

export const layersLoader: ModelLoader = {
  format: FORMAT,
  accepts: ({ json }) => parseTopology((json as LayersModelJson | null)?.modelTopology) !== undefined,
  async load({ path, json }, options) {
    const { modelTopology, weightsManifest } = json as LayersModelJson;
    const whole = parseTopology(modelTopology) as LayerJson;
    const embeddingPath = chooseEmbeddingLayer(whole, { layer: options.layer, file: path });
    const input = resolveInput(inputShape(whole, path), options, path);
    const cut = withInputShape(cutAt(whole, embeddingPath, path), [null, input.height, input.width, input.channels]);
    const topology = poolFeatureMap(cut);
    const weights = await readWeights(weightsManifest, topology, path);
    const layer = embeddingPath.join('/');
    const { name, preprocess = DEFAULT_PREPROCESS } = options;
    return { name, format: FORMAT, file: path, version: versionOf({ topology, layer, input, preprocess }, weights), network: { kind: 'layers', topology }, weights, input, layer, preprocess };
  },
};

/** The size of the input: the model's own, or `input_size` where it leaves that open. */
function resolveInput(shape: readonly (number | null)[], options: LoadOptions, file: string): InputShape {
  const [, height, width, channels] = shape;
  if (shape.length !== 4 || (channels !== 1 && channels !== 3)) return failModel(file, `its input has the shape ${JSON.stringify(shape)}; a model that embeds images takes [null, rows, columns, 3] (or 1 for grey).`);
  if (channels === 1 && (options.preprocess === 'caffe' || options.preprocess === 'torch')) failModel(file, `its input is grey, and the preprocessing ${options.preprocess} is of colours. Set "preprocess" to another.`);
  const { inputSize } = options;
  if (inputSize !== undefined && [height, width].some((size) => size !== null && size !== inputSize)) failModel(file, `its input is ${height}×${width} and "input_size" is ${inputSize}. Leave "input_size" out.`);
  const open = (): never => failModel(file, 'it leaves the size of its input open. Set "input_size" to the pixels that it was trained with, for example 224.');
  return { height: height ?? inputSize ?? open(), width: width ?? inputSize ?? open(), channels };
}

async function readWeights(manifest: unknown, topology: LayerJson, file: string): Promise<NamedWeight[]> {
  const prefixes = listLayers(topology).map(({ layer }) => `${layerName(layer)}/`);
  const isWanted = (name: string): boolean => prefixes.some((prefix) => name.startsWith(prefix) || name.includes(`/${prefix}`));
  const weights: NamedWeight[] = [];
  for (const group of parseManifest(manifest, file)) {
    const parts = await Promise.all(group.paths.map((path) => readPart(join(dirname(file), path), file)));
    weights.push(...decodeGroup(group, Buffer.concat(parts), { file, isWanted }));
  }
  return weights;
}

async function readPart(path: string, file: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    return failModel(file, `its weight file ${path} cannot be read. It belongs beside the model.json.`, cause);
  }
}

/** Changes with everything that changes embeddings, and with nothing else: not with a classifier that was cut away. */
function versionOf(description: Pick<LoadedModel, 'layer' | 'input' | 'preprocess'> & { readonly topology: LayerJson }, weights: readonly NamedWeight[]): string {
  const hash = createHash('sha256').update(canonicalJson(description));
  for (const { name, shape, dtype, values } of weights) hash.update(canonicalJson({ name, shape, dtype })).update(values);
  return hash.digest('hex');
}

/** JSON whose objects have their keys in order, so that equal values are equal text. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
