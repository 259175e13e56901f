/** A layers network in TF.js. */
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';
import { failModel, type LayersNetwork, type LoadedModel } from '../models/model.js';
import { toArtifacts, type LayersTfjs, type TfjsNetwork } from './tfjs-network.js';

/** @throws EisError EIS_MODEL_FILE when TF.js cannot build it */
export async function buildLayers(tf: LayersTfjs, model: LoadedModel, { topology }: LayersNetwork): Promise<TfjsNetwork> {
  try {
    const built = await tf.loadLayersModel({ load: async () => ({ modelTopology: topology, ...toArtifacts(model.weights) }) });
    const [output] = built.outputs as [layers.SymbolicTensor];
    return { outputShape: output.shape, run: (image) => built.predict(image) as core.Tensor, dispose: () => void built.dispose() };
  } catch (cause) {
    return failModel(model.file, `TF.js cannot build it: ${(cause as Error).message}`, cause);
  }
}
