/** Runs a layers network with TF.js, on whichever backend it was set to. What its engines have in common. */
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';
import { isEisError } from '../../common/errors.js';
import { failModel, type LoadedModel, type NamedWeight } from '../models/model.js';
import type { Engine, EngineName } from './engine.js';

/** The parts of TF.js that are used: of its packages one by one, or of tfjs-node's whole. */
export type Tfjs = Pick<typeof core, 'tidy' | 'tensor4d' | 'memory' | 'dispose'> & Pick<typeof layers, 'loadLayersModel'>;

/** Numbers of an embedding; a layer with more is a feature map that somebody flattened, not an embedding. */
const DIM_MAX = 16_384;

/**
 * @throws EisError EIS_MODEL_FILE when TF.js cannot build the network, or its output is not a vector an image
 */
export async function createTfjsEngine(name: EngineName, tf: Tfjs, model: LoadedModel): Promise<Engine> {
  const network = await buildNetwork(tf, model);
  const [output] = network.outputs as [layers.SymbolicTensor];
  const dim = output.shape.slice(1).reduce<number>((product, size) => product * (size ?? NaN), 1);
  if (output.shape.length < 2 || !Number.isInteger(dim) || dim < 1 || dim > DIM_MAX) {
    network.dispose();
    failModel(model.file, `its layer ${model.layer} gives numbers of the shape ${JSON.stringify(output.shape)}; an embedding has 1 to ${DIM_MAX} of them. Set "layer" to another.`);
  }
  const { height, width, channels } = model.input;
  return {
    name,
    dim,
    async embed(numbers) {
      const result = tf.tidy(() => network.predict(tf.tensor4d(numbers, [1, height, width, channels])) as core.Tensor);
      try {
        return (await result.data()) as Float32Array;
      } finally {
        result.dispose();
      }
    },
    dispose: () => void network.dispose(),
  };
}

async function buildNetwork(tf: Tfjs, model: LoadedModel): Promise<layers.LayersModel> {
  try {
    const { topology } = model.network;
    return await tf.loadLayersModel({ load: async () => ({ modelTopology: topology, weightSpecs: model.weights.map(toSpec), weightData: concatenate(model.weights) }) });
  } catch (cause) {
    if (isEisError(cause)) throw cause;
    return failModel(model.file, `TF.js cannot build it: ${(cause as Error).message}`, cause);
  }
}

function toSpec({ name, shape, dtype }: NamedWeight): core.io.WeightsManifestEntry {
  return { name, shape: [...shape], dtype };
}

/** The weights one after the other, in memory of their own, as TF.js takes them. */
function concatenate(weights: readonly NamedWeight[]): ArrayBuffer {
  const bytes = new Uint8Array(weights.reduce((sum, { values }) => sum + values.byteLength, 0));
  let offset = 0;
  for (const { values } of weights) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    offset += values.byteLength;
  }
  return bytes.buffer;
}
