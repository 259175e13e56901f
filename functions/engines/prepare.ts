/** What every engine runs: the network of a model from pixels to a vector. */
import { failModel, type LoadedModel } from '../models/model.js';
import { prependPreprocess } from '../models/preprocess.js';
import { sizeOf, type Network, type Shape } from '../network/network.js';
import { inferShapes, isBatchable } from '../network/shapes.js';

/** Numbers of an embedding; a layer with more is a feature map that somebody flattened, not an embedding. */
const DIM_MAX = 16_384;

export interface PreparedNetwork {
  /** From pixels (RGB, 0 to 255) to the embedding; not optimised. */
  readonly network: Network;
  /** Numbers of an embedding. */
  readonly dim: number;
  /** Whether images can be computed side by side. */
  readonly isBatchable: boolean;
}

/** The embeddings of images that are computed one after the other. */
export async function embedEach(pixels: Uint8Array, count: number, dim: number, embed: (image: Uint8Array) => Promise<Float32Array>): Promise<Float32Array> {
  const embeddings = new Float32Array(count * dim);
  const imageBytes = pixels.length / count;
  for (let i = 0; i < count; i++) embeddings.set(await embed(pixels.subarray(i * imageBytes, (i + 1) * imageBytes)), i * dim);
  return embeddings;
}

/** @throws EisError EIS_MODEL_FILE when the network's output is not a vector an image */
export function prepareNetwork({ network: bare, preprocess, layer, file }: LoadedModel): PreparedNetwork {
  const network = prependPreprocess(bare, preprocess);
  const shape = inferShapes(network).get(network.output) as Shape;
  const dim = sizeOf(shape);
  const isVector = shape.length >= 2 && shape[0] === 1 && shape.filter((size) => size !== 1).length <= 1;
  if (!isVector || dim > DIM_MAX) failModel(file, `its layer ${layer} gives numbers of the shape ${JSON.stringify(shape)}; an embedding is a vector of 1 to ${DIM_MAX}. Set "layer" to another.`);
  return { network, dim, isBatchable: isBatchable(network) };
}
