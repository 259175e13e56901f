/** Reads the topology of Keras and TF.js layers models: which layers there are and what feeds what, nested or not. */
import { failModel, type LayerJson } from './model.js';

/** Models within models; more is no network that somebody trained. */
export const DEPTH_MAX = 32;

const CONTAINERS = new Set(['Sequential', 'Model', 'Functional']);

/** Where a layer takes its input from: the name of a layer, the number of its use, the number of its output. */
export type TensorRef = readonly [layer: string, node: number, tensor: number];

/** A layer by where it lies: the names of the models around it, then its own. */
export interface PlacedLayer {
  readonly path: readonly string[];
  readonly layer: LayerJson;
}

export function isContainer(layer: LayerJson): boolean {
  return CONTAINERS.has(layer.class_name);
}

/**
 * The model inside a `modelTopology`, in one form: `{class_name, config}`, where a Sequential's config is an object too
 * (it was a bare list in old Keras).
 *
 * @returns undefined when it is none
 */
export function parseTopology(value: unknown): LayerJson | undefined {
  const outer = value as { model_config?: unknown } | null | undefined;
  const model = (outer?.model_config ?? outer) as Partial<LayerJson> | null | undefined;
  return typeof model === 'object' && model !== null && isLayer(model) && isContainer(model) ? normalise(model, 1) : undefined;
}

function isLayer(value: unknown): value is LayerJson {
  const layer = value as Partial<LayerJson> | null;
  return typeof layer === 'object' && layer !== null && typeof layer.class_name === 'string' && typeof layer.config === 'object' && layer.config !== null;
}

/** Down to one more than may be nested, so that `checkLayers` sees that there are too many. */
function normalise(layer: LayerJson, depth: number): LayerJson {
  if (!isContainer(layer)) return layer;
  if (depth > DEPTH_MAX + 1) return { ...layer, config: { layers: [] } };
  const config = Array.isArray(layer.config) ? { name: layer.name ?? 'sequential', layers: layer.config as unknown[] } : layer.config;
  const layers = Array.isArray(config['layers']) ? config['layers'] : [];
  return { ...layer, config: { ...config, layers: layers.filter(isLayer).map((inner) => normalise(inner, depth + 1)) } };
}

/**
 * Throws EIS_MODEL_FILE about a topology that Keras 3 wrote: its layers refer to each other by `keras_history`, and its
 * inputs say `batch_shape`. TF.js cannot build it, and converted to a graph model it needs no layers to be known.
 */
export function refuseKeras3(model: LayerJson, file: string): void {
  const isKeras3 = ({ layer }: PlacedLayer): boolean => {
    const uses = Array.isArray(layer.inbound_nodes) ? (layer.inbound_nodes as unknown[]) : [];
    return uses.some((use) => typeof use === 'object' && use !== null && 'args' in use) || (layer.class_name === 'InputLayer' && layer.config['batch_input_shape'] === undefined && layer.config['batch_shape'] !== undefined);
  };
  const found = listLayers(model).find(isKeras3);
  if (found) failModel(file, `its layer ${JSON.stringify(found.path.join('/'))} is written as Keras 3 writes layers, which TF.js cannot build. Save the model with model.export("saved_model") and convert that to a graph model: tensorflowjs_converter --input_format=tf_saved_model saved_model OUTPUT_FOLDER; then set "model_url" to OUTPUT_FOLDER.`);
}

export function layersOf(container: LayerJson): readonly LayerJson[] {
  return container.config['layers'] as readonly LayerJson[];
}

export function layerName(layer: LayerJson): string {
  return layer.name ?? String(layer.config['name']);
}

export function findLayer(container: LayerJson, name: string): LayerJson | undefined {
  return layersOf(container).find((layer) => layerName(layer) === name);
}

/** Every layer that is no model itself, nested ones included, in the order of the file. */
export function listLayers(container: LayerJson, path: readonly string[] = []): PlacedLayer[] {
  return layersOf(container).flatMap((layer) => {
    const placed = [...path, layerName(layer)];
    return isContainer(layer) ? [{ path: placed, layer }, ...listLayers(layer, placed)] : [{ path: placed, layer }];
  });
}

/** The uses of a layer: each the tensors it is applied to. More than one: the layer is shared. */
export function inboundNodes(layer: LayerJson): TensorRef[][] {
  return Array.isArray(layer.inbound_nodes) ? (layer.inbound_nodes as unknown[]).map(toRefs) : [];
}

/** References as Keras 2 writes them: `["layer", 0, 0, {}]`, one or a list of them. */
export function toRefs(value: unknown): TensorRef[] {
  if (!Array.isArray(value)) return [];
  if (typeof value[0] === 'string') return [[value[0], Number(value[1]), Number(value[2])]];
  return (value as unknown[]).flatMap(toRefs);
}

/** The layers that feed a layer of a container, by name. */
export function feedersOf(container: LayerJson, layer: LayerJson): readonly string[] {
  if (container.class_name !== 'Sequential') return [...new Set(inboundNodes(layer).flat().map(([name]) => name))];
  const layers = layersOf(container);
  const before = layers[layers.indexOf(layer) - 1];
  return before ? [layerName(before)] : [];
}

/** The outputs that feed no other layer of the model: of a model that also hands out inner layers, the real ones. */
export function finalOutputs(container: LayerJson): readonly LayerJson[] {
  const layers = layersOf(container);
  if (container.class_name === 'Sequential') return layers.slice(-1);
  const names = [...new Set(toRefs(container.config['output_layers']).map(([name]) => name))];
  const outputs = names.flatMap((name) => findLayer(container, name) ?? []);
  const consumed = new Set(layers.flatMap((layer) => feedersOf(container, layer)));
  return outputs.filter((layer) => !consumed.has(layerName(layer)));
}

/**
 * The chain of layers that ends in the model's output, from the output downwards, through nested models, until layers
 * branch or the input is met. The head of a classifier is such a chain.
 */
export function outputChain(model: LayerJson): PlacedLayer[] {
  const chain: PlacedLayer[] = [];
  descend(model, [], chain);
  return chain;
}

/** True when it came down to the container's input, so that the chain goes on below the container. */
function descend(container: LayerJson, path: readonly string[], chain: PlacedLayer[]): boolean {
  const outputs = finalOutputs(container);
  let layer = outputs.length === 1 ? outputs[0] : undefined;
  while (layer) {
    const placed = [...path, layerName(layer)];
    if (isContainer(layer)) {
      if (!descend(layer, placed, chain)) return false;
    } else {
      if (layer.class_name === 'InputLayer') return true;
      chain.push({ path: placed, layer });
    }
    const feeders = feedersOf(container, layer);
    if (feeders.length > 1 || inboundNodes(layer).length > 1) return false;
    if (feeders.length === 0) return container.class_name === 'Sequential';
    layer = findLayer(container, feeders[0] as string);
  }
  return false;
}
