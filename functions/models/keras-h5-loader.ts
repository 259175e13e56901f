/**
 * Loads `.h5` files of Keras: whole models, as Keras 2 wrote them and Keras 3 still does when asked to, and weights alone
 * where they are those of a network that is known.
 */
import { stat } from 'node:fs/promises';
import { containerOf } from './file-signature.js';
import { loadFromHdf5 } from './hdf5-model.js';
import { withHdf5, type Hdf5File } from './hdf5-file.js';
import { describeLayers, nameWeights, numberedTexts, readH5Weights } from './keras-h5-weights.js';
import { parseKerasConfig } from './keras-config.js';
import { WeightNames } from './keras-weight-names.js';
import { failModel, type LoadedModel, type LoadOptions, type ModelLoader } from './model.js';
import type { RecognisedArchitecture } from './architectures/recognise.js';
import type { WeightedLayer } from './architectures/weighted-layer.js';

const FORMAT = 'Keras .h5';

/** The network that weights alone are of; undefined: none that is known. */
export type RecogniseArchitecture = (layers: readonly WeightedLayer[], request: Request) => Promise<Omit<RecognisedArchitecture, 'inputSize'> | undefined>;

/** @param recognise tells which network weights are of, in a file that does not say it */
export function createKerasH5Loader(recognise: RecogniseArchitecture): ModelLoader {
  return {
    format: FORMAT,
    accepts: ({ head }) => containerOf(head) === 'hdf5',
    async load({ path }, options) {
      const { size } = await stat(path);
      return withHdf5({ kind: 'part', path, start: 0, bytes: size }, { file: path }, (hdf5) => {
        const config = numberedTexts(hdf5.contents.groups.get('') ?? {}, 'model_config');
        return config === undefined ? loadWeightsAlone(hdf5, recognise, { path, options }) : loadWhole(hdf5, config.join(''), { path, options });
      });
    },
  };
}

export const kerasH5Loader: ModelLoader = createKerasH5Loader(recogniseKnown);

interface Request {
  readonly path: string;
  readonly options: LoadOptions;
}

async function loadWhole(hdf5: Hdf5File, config: string, { path, options }: Request): Promise<LoadedModel> {
  const topology = parseKerasConfig(config, path);
  const { weights, names } = nameWeights(readH5Weights(hdf5, 'model_weights', path), topology, path);
  return loadFromHdf5(hdf5, { format: FORMAT, path, topology, weights, names }, options);
}

/** Weights of a network of `tf.keras.applications`: those of Keras itself, and of whoever trained one further. */
async function loadWeightsAlone(hdf5: Hdf5File, recognise: RecogniseArchitecture, { path, options }: Request): Promise<LoadedModel> {
  const { groups } = hdf5.contents;
  if (groups.has('layers') || groups.has('_layer_checkpoint_dependencies')) failWithoutArchitecture(path);
  const layers = describeLayers(readH5Weights(hdf5, '', path));
  const found = (await recognise(layers.map(({ name, weights }) => ({ name, weights: weights.map(({ plainName, shape }) => ({ name: plainName, shape })) })), { path, options })) ?? failWithoutArchitecture(path);
  const weights = layers.flatMap((layer) => layer.weights.flatMap(({ plainName, ...place }) => {
    const name = found.weightNames.get(`${layer.name}/${plainName}`);
    return name === undefined ? [] : [{ ...place, name }];
  }));
  const { preprocess = found.preprocess } = options;
  return loadFromHdf5(hdf5, { format: FORMAT, path, topology: found.topology, weights, names: new WeightNames(found.topology) }, { ...options, preprocess });
}

async function recogniseKnown(layers: readonly WeightedLayer[], { path, options }: Request): Promise<RecognisedArchitecture | undefined> {
  const { ArchitectureMismatch, recogniseArchitecture } = await import('./architectures/recognise.js');
  try {
    return recogniseArchitecture(layers, { inputSize: options.inputSize });
  } catch (thrown) {
    if (thrown instanceof ArchitectureMismatch) failModel(path, thrown.message, thrown);
    throw thrown;
  }
}

function failWithoutArchitecture(path: string): never {
  return failModel(path, "it holds weights without the network that they are of, and they are of none that is known. Save the whole model in Keras: model.save('model.keras'), or model.save('model.h5'); then set \"model_url\" to that file.");
}
