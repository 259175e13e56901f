/** Topologies built by TF.js, the reference: with zeros for weights, which need no time to be drawn. */
import '@tensorflow/tfjs-backend-cpu';
import * as tfl from '@tensorflow/tfjs-layers';
import type { LayerJson } from '../../../../functions/models/model.js';
import { layersOf } from '../../../../functions/models/topology.js';

const ZEROS = { class_name: 'Zeros', config: {} };
const INITIALISERS: Readonly<Record<string, object>> = {
  Conv2D: { kernel_initializer: ZEROS },
  Dense: { kernel_initializer: ZEROS },
  DepthwiseConv2D: { depthwise_initializer: ZEROS },
  SeparableConv2D: { depthwise_initializer: ZEROS, pointwise_initializer: ZEROS },
};

export async function withBuilt<T>(topology: LayerJson, use: (model: tfl.LayersModel) => T): Promise<T> {
  const layers = layersOf(topology).map((layer) => ({ ...layer, config: { ...layer.config, ...INITIALISERS[layer.class_name] } }));
  const model = await tfl.loadLayersModel({ load: async () => ({ modelTopology: { ...topology, config: { ...topology.config, layers } } }) });
  try {
    return use(model);
  } finally {
    model.dispose();
  }
}
