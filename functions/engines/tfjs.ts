/** Runs networks with TF.js, on whichever backend it was set to. What its engines have in common. */
import { failModel, type LoadedModel } from '../models/model.js';
import { preprocess } from '../models/preprocess.js';
import type { Engine, EngineName } from './engine.js';
import { buildGraph } from './tfjs-graph.js';
import { buildLayers } from './tfjs-layers.js';
import type { GraphTfjs, LayersTfjs, TfjsNetwork, TfjsSource } from './tfjs-network.js';

/** Numbers of an embedding; a layer with more is a feature map that somebody flattened, not an embedding. */
const DIM_MAX = 16_384;

/**
 * @throws EisError EIS_MODEL_FILE when TF.js cannot build or run the network, or its output is not a vector an image
 */
export async function createTfjsEngine(name: EngineName, source: TfjsSource, model: LoadedModel): Promise<Engine> {
  const { tf, network } = await build(source, model);
  const { outputShape } = network;
  const dim = outputShape.slice(1).reduce<number>((product, size) => product * (size ?? NaN), 1);
  const isVector = outputShape.length >= 2 && (model.network.kind === 'layers' || (outputShape[0] === 1 && outputShape.filter((size) => size !== 1).length <= 1));
  if (!isVector || !Number.isInteger(dim) || dim < 1 || dim > DIM_MAX) {
    network.dispose();
    failModel(model.file, `its layer ${model.layer} gives numbers of the shape ${JSON.stringify(outputShape)}; an embedding is a vector of 1 to ${DIM_MAX}. Set "layer" to another.`);
  }
  const { height, width, channels } = model.input;
  const imageBytes = height * width * 3;
  return {
    name,
    dim,
    threads: 1,
    isBatching: false,
    async embed(pixels, count) {
      const embeddings = new Float32Array(count * dim);
      for (let i = 0; i < count; i++) {
        const numbers = preprocess(pixels.subarray(i * imageBytes, (i + 1) * imageBytes), model.input, model.preprocess);
        const result = tf.tidy(() => network.run(tf.tensor4d(numbers, [1, height, width, channels])));
        embeddings.set(await result.data().finally(() => result.dispose()), i * dim);
      }
      return embeddings;
    },
    dispose: async () => network.dispose(),
  };
}

async function build(source: TfjsSource, model: LoadedModel): Promise<{ readonly tf: LayersTfjs | GraphTfjs; readonly network: TfjsNetwork }> {
  const { network } = model;
  if (network.kind === 'graph') {
    const tf = await source.graph();
    return { tf, network: await buildGraph(tf, model, network) };
  }
  const tf = await source.layers();
  return { tf, network: await buildLayers(tf, model, network) };
}
