/** From a topology of layers, whatever file it stood in, and the weights beside it, to a loaded model. */
import { checkLayers } from './check-layers.js';
import { cutAt, inputShape, poolFeatureMap, rescalesItsInput, withInputShape } from './cut.js';
import { chooseEmbeddingLayer } from './embedding-layer.js';
import { resolveInput } from './input-size.js';
import { lowerLayers } from './lower-layers.js';
import { DEFAULT_PREPROCESS, type LayerJson, type LoadedModel, type LoadOptions, type NamedWeight } from './model.js';
import { layerName, listLayers } from './topology.js';
import { versionOf } from './version.js';

export interface LayersSource {
  /** Of the file, in words: `TF.js layers model`. */
  readonly format: string;
  /** The file, to be named in errors. */
  readonly path: string;
  /** As `parseTopology` gives it: nothing about it is checked yet. */
  readonly topology: LayerJson;
  /** TF.js made it, and computes some layers otherwise than Keras does. */
  readonly isFromTfjs?: boolean;
  /** Reads those weights that `isWanted` names. */
  readonly readWeights: (isWanted: (name: string) => boolean) => Promise<NamedWeight[]>;
}

/**
 * Checks the topology, finds its embedding, cuts it there and reads what is left of its weights.
 *
 * @throws EisError EIS_MODEL_FILE
 */
export async function loadLayersModel({ format, path, topology: whole, isFromTfjs = false, readWeights }: LayersSource, options: LoadOptions): Promise<LoadedModel> {
  checkLayers(whole, path);
  const embeddingPath = chooseEmbeddingLayer(whole, { layer: options.layer, file: path });
  const input = resolveInput(inputShape(whole, path), options, path);
  const cut = withInputShape(cutAt(whole, embeddingPath, path), [null, input.height, input.width, input.channels]);
  const topology = poolFeatureMap(cut);
  const weights = await readWeights(weightsOf(topology));
  const layer = embeddingPath.join('/');
  const { name, preprocess = rescalesItsInput(whole) ? 'raw' : DEFAULT_PREPROCESS } = options;
  return { name, format, file: path, version: versionOf({ topology, layer, input, preprocess }, weights), network: lowerLayers(topology, weights, { input, file: path, isFromTfjs }), input, layer, preprocess };
}

/** Which weights the layers of a model have: `layer/kernel`, or `outer/layer/kernel`. */
function weightsOf(topology: LayerJson): (name: string) => boolean {
  const prefixes = listLayers(topology).map(({ layer }) => `${layerName(layer)}/`);
  return (name) => prefixes.some((prefix) => name.startsWith(prefix) || name.includes(`/${prefix}`));
}
