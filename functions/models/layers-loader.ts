/** Loads TF.js layers models: `model.json` with its weight files beside it, as tfjs-converter, TF.js and Teachable Machine write them. */
import { checkLayers } from './check-layers.js';
import { cutAt, inputShape, poolFeatureMap, rescalesItsInput, withInputShape } from './cut.js';
import { chooseEmbeddingLayer } from './embedding-layer.js';
import { resolveInput } from './input-size.js';
import { DEFAULT_PREPROCESS, type LayerJson, type ModelLoader } from './model.js';
import { layerName, listLayers, parseTopology, refuseKeras3 } from './topology.js';
import { versionOf } from './version.js';
import { readWeights } from './weights.js';

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
    checkLayers(whole, path);
    refuseKeras3(whole, path);
    const embeddingPath = chooseEmbeddingLayer(whole, { layer: options.layer, file: path });
    const input = resolveInput(inputShape(whole, path), options, path);
    const cut = withInputShape(cutAt(whole, embeddingPath, path), [null, input.height, input.width, input.channels]);
    const topology = poolFeatureMap(cut);
    const weights = await readWeights(weightsManifest, { file: path, isWanted: weightsOf(topology) });
    const layer = embeddingPath.join('/');
    const { name, preprocess = rescalesItsInput(whole) ? 'raw' : DEFAULT_PREPROCESS } = options;
    return { name, format: FORMAT, file: path, version: versionOf({ topology, layer, input, preprocess }, weights), network: { kind: 'layers', topology }, weights, input, layer, preprocess };
  },
};

/** Which weights the layers of a model have: `layer/kernel`, or `outer/layer/kernel`. */
function weightsOf(topology: LayerJson): (name: string) => boolean {
  const prefixes = listLayers(topology).map(({ layer }) => `${layerName(layer)}/`);
  return (name) => prefixes.some((prefix) => name.startsWith(prefix) || name.includes(`/${prefix}`));
}
