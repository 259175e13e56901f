/** Models of layers whose weights lie in an HDF5 file, known by name, type and shape before any is read. */
import { WEIGHT_BYTES_MAX, type Hdf5Dataset, type Hdf5Type, type Hdf5Values } from './hdf5-contents.js';
import type { Hdf5File } from './hdf5-file.js';
import type { WeightNames } from './keras-weight-names.js';
import { fits, variablesOf } from './layer-variables.js';
import { loadLayersModel } from './layers-model.js';
import { failModel, type LayerJson, type LoadedModel, type LoadOptions, type NamedWeight } from './model.js';

/** A weight and where it lies in an HDF5 file. */
export interface FileWeight {
  /** `layer/kernel`. */
  readonly name: string;
  /** The path of its dataset. */
  readonly path: string;
  readonly shape: readonly number[];
  readonly type: Hdf5Type;
}

/** The dataset of a weight. */
export function datasetOf(hdf5: Hdf5File, path: string, file: string): Hdf5Dataset {
  return hdf5.contents.datasets.get(path) ?? failModel(file, `it names the weight ${JSON.stringify(path)}, which is not in it. It is damaged: fetch or save it again.`);
}

/**
 * Throws EIS_MODEL_FILE when one of the layers' weights that `isWanted` names is missing, or has a shape that the layer
 * cannot have.
 */
function checkWeights(weights: readonly FileWeight[], names: WeightNames, { file, isWanted }: { readonly file: string; readonly isWanted: (name: string) => boolean }): void {
  const byName = new Map(weights.map((weight) => [weight.name, weight]));
  for (const placed of names.layers) {
    for (const variable of variablesOf(placed.layer)) {
      const name = names.of(placed, variable.name);
      if (!isWanted(name)) continue;
      const found = byName.get(name);
      const layer = `its layer ${JSON.stringify(placed.path.join('/'))} (${placed.layer.class_name})`;
      if (found === undefined) return failModel(file, `${layer} has no weight ${JSON.stringify(variable.name)} in it. Save the model again, with its weights.`);
      if (!found.type.includes('float')) failModel(file, `${layer} has the weight ${JSON.stringify(variable.name)} in numbers of the type ${found.type}. What Keras quantised is not read: save the model before it is quantised.`);
      if (!fits(variable, found.shape)) failModel(file, `${layer} has the weight ${JSON.stringify(variable.name)} of the shape [${found.shape.join(', ')}] where its settings ask for [${variable.shape.map((size) => size ?? '?').join(', ')}]. They do not belong together: save the model again.`);
    }
  }
}

export interface Hdf5Model {
  /** Of the file, in words. */
  readonly format: string;
  /** The file, to be named in errors. */
  readonly path: string;
  readonly topology: LayerJson;
  /** In the order that the version is of. */
  readonly weights: readonly FileWeight[];
  readonly names: WeightNames;
}

/**
 * Loads a model whose weights lie in an HDF5 file: those alone that its embedding needs.
 *
 * @throws EisError EIS_MODEL_FILE
 */
export async function loadFromHdf5(hdf5: Hdf5File, { format, path, topology, weights, names }: Hdf5Model, options: LoadOptions): Promise<LoadedModel> {
  const readWeights = async (isWanted: (name: string) => boolean): Promise<NamedWeight[]> => {
    checkWeights(weights, names, { file: path, isWanted });
    return readFileWeights(hdf5, weights.filter(({ name }) => isWanted(name)), path);
  };
  return loadLayersModel({ format, path, topology, readWeights }, options);
}

async function readFileWeights(hdf5: Hdf5File, weights: readonly FileWeight[], file: string): Promise<NamedWeight[]> {
  const bytes = weights.reduce((sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1), 0);
  if (bytes > WEIGHT_BYTES_MAX) failModel(file, `its weights have ${bytes} bytes in memory; at most ${WEIGHT_BYTES_MAX} are read.`);
  const read = await hdf5.read(weights.map(({ path }) => path));
  return weights.map(({ name, shape }, i) => ({ name, shape, ...(read[i] as Hdf5Values) }));
}
