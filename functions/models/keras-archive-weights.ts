/**
 * Where the weights of a topology's layers lie in the `model.weights.h5` of a `.keras` file. Layers have no names there:
 * each stands under its class in snake case, counted within its model (`layers/conv2d_1`), with its variables numbered in
 * a group `vars` (Keras, `saving_lib.py`). Since Keras 3.6 that group has the layer's name as an attribute. Keras 2.12 to
 * 2.14 counted layers with weights twice, so that it is the order of the groups that tells, not their numbers.
 */
import type { FileWeight } from './hdf5-model.js';
import type { Hdf5Contents } from './hdf5-contents.js';
import { WeightNames } from './keras-weight-names.js';
import { variablesOf } from './layer-variables.js';
import { failModel, type LayerJson } from './model.js';
import { isContainer, layerName, layersOf, listLayers, type PlacedLayer } from './topology.js';

/** What Keras calls the layers of a model: the second until 2.14. */
const COLLECTIONS = ['layers', '_layer_checkpoint_dependencies'];

/**
 * The weights of a topology, in the order of its layers.
 *
 * @throws EisError EIS_MODEL_FILE when a class has another number of layers than the file has groups of it
 */
export function placeWeights(topology: LayerJson, contents: Hdf5Contents, file: string): { readonly weights: FileWeight[]; readonly names: WeightNames } {
  const names = new WeightNames(topology);
  const groups = findGroups(topology, { path: '', tree: new GroupTree(contents), file });
  const weights = names.layers.flatMap((placed) => weightsIn(groups.get(placed.layer), placed, { names, contents }));
  return { weights, names };
}

function weightsIn(group: string | undefined, placed: PlacedLayer, { names, contents }: { readonly names: WeightNames; readonly contents: Hdf5Contents }): FileWeight[] {
  return variablesOf(placed.layer).flatMap(({ name }, i) => {
    const path = `${group}/vars/${i}`;
    const dataset = contents.datasets.get(path);
    return dataset ? [{ name: names.of(placed, name), path, ...dataset }] : [];
  });
}

/** The groups of a file by what lies directly in them. */
class GroupTree {
  readonly #children = new Map<string, string[]>();
  readonly #filled = new Set<string>();

  constructor(readonly contents: Hdf5Contents) {
    for (const path of contents.groups.keys()) {
      const [parent, name] = splitPath(path);
      if (path !== '') this.#children.set(parent, [...(this.#children.get(parent) ?? []), name]);
    }
    for (const path of contents.datasets.keys()) {
      for (let [above] = splitPath(path); above !== '' && !this.#filled.has(above); [above] = splitPath(above)) this.#filled.add(above);
    }
  }

  /** The groups in a group that have weights in or below them. */
  filledChildren(path: string): readonly string[] {
    return (this.#children.get(path) ?? []).filter((name) => this.#filled.has(join(path, name)));
  }
}

function splitPath(path: string): [parent: string, name: string] {
  const at = path.lastIndexOf('/');
  return at === -1 ? ['', path] : [path.slice(0, at), path.slice(at + 1)];
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}

interface Place {
  /** The group of the model. */
  readonly path: string;
  readonly tree: GroupTree;
  readonly file: string;
}

/** The group of every layer with weights, through nested models. */
function findGroups(model: LayerJson, { path, tree, file }: Place): Map<LayerJson, string> {
  const found = new Map<LayerJson, string>();
  const collection = join(path, COLLECTIONS.find((name) => tree.filledChildren(path).includes(name)) ?? (COLLECTIONS[0] as string));
  const weighted = layersOf(model).filter(hasWeights);
  for (const className of new Set(weighted.map(({ class_name }) => toSnakeCase(class_name)))) {
    const layers = weighted.filter(({ class_name }) => toSnakeCase(class_name) === className);
    for (const [layer, group] of pair(layers, { className, collection, tree, file })) {
      if (!isContainer(layer)) found.set(layer, group);
      else for (const [inner, place] of findGroups(layer, { path: group, tree, file })) found.set(inner, place);
    }
  }
  return found;
}

function hasWeights(layer: LayerJson): boolean {
  return isContainer(layer) ? listLayers(layer).some(({ layer: inner }) => !isContainer(inner) && hasWeights(inner)) : variablesOf(layer).length > 0;
}

/** Layers of a class with their groups: by name where the groups have one, else by their order. */
function pair(layers: readonly LayerJson[], { className, collection, tree, file }: Omit<Place, 'path'> & { readonly className: string; readonly collection: string }): [LayerJson, string][] {
  const numbers = new RegExp(`^${className}(?:_(\\d+))?$`);
  const groups = tree.filledChildren(collection)
    .flatMap((name) => {
      const match = numbers.exec(name);
      return match ? [{ path: join(collection, name), number: Number(match[1] ?? 0) }] : [];
    })
    .sort((a, b) => a.number - b.number)
    .map(({ path }) => path);
  const byName = new Map(groups.map((path) => [tree.contents.groups.get(`${path}/vars`)?.['name']?.[0], path]));
  if (layers.every((layer) => byName.has(layerName(layer)))) return layers.map((layer) => [layer, byName.get(layerName(layer)) as string]);
  if (groups.length !== layers.length) failModel(file, `it has ${layers.length} layers of the kind ${className} with weights in ${JSON.stringify(collection)}, and the weights of ${groups.length}. It is damaged, or its parts do not belong together: save the model again.`);
  return layers.map((layer, i) => [layer, groups[i] as string]);
}

/** As Keras makes the names of groups from those of classes: `BatchNormalization` → `batch_normalization`. */
function toSnakeCase(className: string): string {
  return className.replace(/\W+/g, '').replace(/(.)([A-Z][a-z]+)/g, '$1_$2').replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
}
