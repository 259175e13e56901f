/**
 * The weights of `.h5` files as Keras 2 lays them out, and Keras 3 for old times' sake: a group for each layer of the model,
 * whose attribute `weight_names` names the datasets in it; a nested model is one layer there.
 */
import { datasetOf, type FileWeight } from './hdf5-model.js';
import type { Hdf5Type } from './hdf5-contents.js';
import type { Hdf5File } from './hdf5-file.js';
import { WeightNames, scopesOf, variableOf } from './keras-weight-names.js';
import { failModel, type LayerJson } from './model.js';

export interface StoredWeight {
  /** As the file has it: `conv/kernel:0`. */
  readonly name: string;
  /** The path of its dataset. */
  readonly path: string;
  readonly shape: readonly number[];
  readonly type: Hdf5Type;
}

export interface StoredLayer {
  readonly name: string;
  readonly weights: readonly StoredWeight[];
}

/**
 * The layers of a model in its order, those without weights too, with their weights.
 *
 * @param root the group that they are in: `model_weights`, or '' in a file of weights alone
 * @throws EisError EIS_MODEL_FILE when a group or dataset is missing that the file names
 */
export function readH5Weights(hdf5: Hdf5File, root: string, file: string): StoredLayer[] {
  const { groups } = hdf5.contents;
  const names = numberedTexts(groups.get(root) ?? {}, 'layer_names') ?? failModel(file, `it does not say which layers it has: ${root === '' ? 'it' : `its group ${JSON.stringify(root)}`} has no attribute "layer_names". Is it a Keras model?`);
  return names.map((name) => {
    const path = root === '' ? name : `${root}/${name}`;
    const attributes = groups.get(path) ?? failModel(file, `it names the layer ${JSON.stringify(name)}, which is not in it. It is damaged: fetch or save it again.`);
    const weights = (numberedTexts(attributes, 'weight_names') ?? []).map((weight) => ({ name: weight, path: `${path}/${weight}`, ...datasetOf(hdf5, `${path}/${weight}`, file) }));
    return { name, weights };
  });
}

/** A list of texts, which Keras cuts into `name0`, `name1`, … where it is long. */
export function numberedTexts(attributes: Readonly<Record<string, readonly string[]>>, name: string): readonly string[] | undefined {
  const whole = attributes[name];
  if (whole) return whole;
  const texts: string[] = [];
  for (let i = 0; attributes[`${name}${i}`]; i++) texts.push(...(attributes[`${name}${i}`] as readonly string[]));
  return attributes[`${name}0`] ? texts : undefined;
}

/**
 * The weights by the names of the topology's layers, in the order of tensorflowjs_converter: layers as HDF5 sorts the
 * groups that they lie in, weights as their layer has them (`keras_h5_conversion.py`).
 *
 * @throws EisError EIS_MODEL_FILE when two are the same
 */
export function nameWeights(layers: readonly StoredLayer[], topology: LayerJson, file: string): { readonly weights: FileWeight[]; readonly names: WeightNames } {
  const names = new WeightNames(topology);
  const sorted = [...layers].sort((a, b) => compareGroups(a.name.split('/'), b.name.split('/')));
  const weights = sorted.flatMap((layer) => layer.weights.flatMap(({ name, ...place }) => {
    const resolved = names.resolve(layer.name, name);
    return resolved === undefined ? [] : [{ ...place, name: resolved }];
  }));
  const seen = new Set<string>();
  for (const { name } of weights) {
    if (seen.has(name)) failModel(file, `two of its weights are ${JSON.stringify(name)}. Save the model again with layers that are named differently.`);
    seen.add(name);
  }
  return { weights, names };
}

/** A layer as a recogniser of architectures looks at it. */
export interface DescribedLayer {
  readonly name: string;
  readonly weights: readonly (StoredWeight & {
    /** `kernel`; `inner/kernel` in a nested model. */
    readonly plainName: string;
  })[];
}

/** The layers that have weights, each weight by its plain name. What lies in one scope is one layer's, whatever it is called. */
export function describeLayers(layers: readonly StoredLayer[]): DescribedLayer[] {
  return layers.filter(({ weights }) => weights.length > 0).map(({ name, weights }) => {
    const scopes = weights.map((weight) => scopesOf(weight.name).join('/'));
    const isNested = new Set(scopes).size > 1;
    return { name, weights: weights.map((weight, i) => ({ ...weight, plainName: `${isNested ? `${scopes[i]}/` : ''}${variableOf(weight.name)}` })) };
  });
}

/** Component by component, as bytes: so do HDF5's groups within groups come out, sorted by name. */
function compareGroups(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = Buffer.compare(Buffer.from(a[i] as string), Buffer.from(b[i] as string));
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
