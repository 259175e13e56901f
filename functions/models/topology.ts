/** Reads the topology of Keras and TF.js layers models: which layers there are and what feeds what, nested or not. */
import { isKeras3, toKeras2 } from './keras3-topology.js';
import type { LayerJson } from './model.js';

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
 * The model inside a `modelTopology`, in one form, whichever Keras wrote it: `{class_name, config}`, where a Sequential's
 * config is an object too (it was a bare list in old Keras), and layers refer to each other as Keras 2 has it.
 *
 * @returns undefined when it is none
 */
export function parseTopology(value: unknown): LayerJson | undefined {
  const outer = value as { model_config?: unknown } | null | undefined;
  const model = (outer?.model_config ?? outer) as Partial<LayerJson> | null | undefined;
  if (!isLayer(model) || !isContainer(model)) return undefined;
  const normalised = normalise(model, 1);
  return listLayers(normalised).some(({ layer }) => isKeras3(layer)) ? toKeras2(normalised) : normalised;
}

/** Whether TF.js wrote a `modelTopology`, and not Keras: some layers of the same name are not the same (`lower-layers.ts`). */
export function isFromTfjs(modelTopology: unknown): boolean {
  const { keras_version: version } = (modelTopology ?? {}) as { keras_version?: unknown };
  return typeof version === 'string' && version.startsWith('tfjs-layers');
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

/** Where Keras 2 would name a layer, and a value stands instead: `["_CONSTANT_VALUE", -1, 3, {}]`. */
export const CONSTANT_REF = '_CONSTANT_VALUE';

/** Of lists in lists among the arguments of a use. */
const ARGUMENTS_DEPTH_MAX = 6;

/** References as Keras 2 writes them: `["layer", 0, 0, {}]`, one or a list of them, with those among the arguments at their end. */
export function toRefs(value: unknown): TensorRef[] {
  return writtenRefs(value).flatMap(({ layer, node, tensor, named }) => {
    const among = Object.values(named).flatMap((each) => refsAmong(each, 1));
    return layer === CONSTANT_REF ? among : [[layer, toIndex(node), toIndex(tensor)] as const, ...among];
  });
}

/** A reference as it stands in the file: of a constant, `tensor` is its value. */
export interface WrittenRef {
  readonly layer: string;
  readonly node: unknown;
  readonly tensor: unknown;
  /** Further arguments of the call. */
  readonly named: Readonly<Record<string, unknown>>;
}

export function writtenRefs(value: unknown, depth = 0): readonly WrittenRef[] {
  if (!Array.isArray(value) || depth > ARGUMENTS_DEPTH_MAX) return [];
  const [layer, node, tensor, named] = value as unknown[];
  if (typeof layer !== 'string') return (value as unknown[]).flatMap((each) => writtenRefs(each, depth + 1));
  return [{ layer, node, tensor, named: typeof named === 'object' && named !== null && !Array.isArray(named) ? (named as Record<string, unknown>) : {} }];
}

/** NaN where the file has anything else than a number, so that it refers to nothing. */
export function toIndex(value: unknown): number {
  return typeof value === 'number' ? value : NaN;
}

function refsAmong(value: unknown, depth: number): TensorRef[] {
  if (!Array.isArray(value) || depth > ARGUMENTS_DEPTH_MAX) return [];
  return isRef(value) ? [value] : (value as unknown[]).flatMap((each) => refsAmong(each, depth + 1));
}

/** Whether a list among the arguments of a use is a reference, and no value: `["layer", 0, 0]`. */
export function isRef(value: readonly unknown[]): value is TensorRef {
  return value.length === 3 && typeof value[0] === 'string' && Number.isInteger(value[1]) && Number.isInteger(value[2]);
}

/**
 * Tells which use of a layer of a container a reference means, from 0. Keras counts the uses of a nested model from 1,
 * because a model has one of its own; where a file has a use 0 of it, it was not counted so.
 */
export function useNumbering(container: LayerJson): (ref: TensorRef) => number {
  const layers = layersOf(container);
  const counts = new Map(layers.map((layer) => [layerName(layer), inboundNodes(layer).length]));
  const refs = [...layers.flatMap((layer) => inboundNodes(layer).flat()), ...toRefs(container.config['output_layers'])];
  const fromZero = new Set(refs.filter(([, node]) => node === 0).map(([name]) => name));
  const fromOne = new Set(layers.filter((layer) => isContainer(layer) && !fromZero.has(layerName(layer))).map(layerName));
  return ([name, node]) => ((counts.get(name) ?? 0) <= 1 ? 0 : fromOne.has(name) ? node - 1 : node);
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
