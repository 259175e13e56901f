/** Loads TF.js layers models: `model.json` with its weight files beside it, as tfjs-converter, TF.js and Teachable Machine write them. */
import { loadLayersModel } from './layers-model.js';
import type { LayerJson, ModelLoader } from './model.js';
import { isFromTfjs, parseTopology } from './topology.js';
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
    return loadLayersModel({ format: FORMAT, path, topology: parseTopology(modelTopology) as LayerJson, isFromTfjs: isFromTfjs(modelTopology), readWeights: (isWanted) => readWeights(weightsManifest, { file: path, isWanted }) }, options);
  },
};
