/** What the layers of a model are applied to: each use of each layer with what flows into it, and which results are the model's. */
import { failModel, type LayerJson } from './model.js';
import { CONSTANT_REF, isRef, layerName, layersOf, toIndex, toRefs, useNumbering, writtenRefs, type TensorRef } from './topology.js';

/** What flows into a layer: an input of the model, a result of a layer, or a value that stands in the file. */
export type Source =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'layer'; readonly layer: string; readonly use: number; readonly tensor: number }
  | { readonly kind: 'constant'; readonly value: unknown };

/** An argument: a source, or a list of arguments. */
export type Argument = Source | { readonly kind: 'list'; readonly items: readonly Argument[] };

export interface LayerCall {
  readonly inputs: readonly Source[];
  readonly named: ReadonlyMap<string, Argument>;
}

/** A model as it is computed. */
export interface Calls {
  /** By name: a layer and its uses, of which an `InputLayer` has one, that takes an input of the model. */
  readonly layers: ReadonlyMap<string, { readonly layer: LayerJson; readonly uses: readonly LayerCall[] }>;
  readonly outputs: readonly Source[];
}

/** Of lists in lists among arguments: slices and paddings have two. */
const DEPTH_MAX = 6;

/** @throws EisError EIS_MODEL_FILE when the model has no output, or takes one that is not there */
export function readCalls(container: LayerJson, file: string): Calls {
  return container.class_name === 'Sequential' ? readChain(container, file) : readGraph(container, file);
}

function readChain(container: LayerJson, file: string): Calls {
  const layers = layersOf(container);
  const names = layers.map(layerName);
  const before = (i: number): Source => (i === 0 ? { kind: 'input', index: 0 } : { kind: 'layer', layer: names[i - 1] as string, use: 0, tensor: 0 });
  if (layers.length === 0) failModel(file, `its model ${JSON.stringify(layerName(container))} has no layers.`);
  return { layers: new Map(layers.map((layer, i) => [names[i] as string, { layer, uses: [{ inputs: [before(i)], named: new Map() }] }])), outputs: [before(layers.length)] };
}

function readGraph(container: LayerJson, file: string): Calls {
  const inputs = toRefs(container.config['input_layers']).map(([name]) => name);
  const useOf = useNumbering(container);
  const toSource: ToSource = (ref) => ({ kind: 'layer', layer: ref[0], use: useOf(ref), tensor: ref[2] });
  const names = new Set(layersOf(container).map(layerName));
  const layers = layersOf(container).map((layer) => {
    const name = layerName(layer);
    const uses = Array.isArray(layer.inbound_nodes) ? (layer.inbound_nodes as unknown[]).map((use) => readUse(use, names, toSource)) : [];
    const index = inputs.indexOf(name);
    const isInput = index !== -1 && uses.length === 0;
    return [name, { layer, uses: isInput ? [{ inputs: [{ kind: 'input' as const, index }], named: new Map<string, Argument>() }] : uses }] as const;
  });
  const outputs = toRefs(container.config['output_layers']).map(toSource);
  if (outputs.length === 0) failModel(file, `its model ${JSON.stringify(layerName(container))} does not say its outputs.`);
  return { layers: new Map(layers), outputs };
}

type ToSource = (ref: TensorRef) => Source;

/** The first argument of a use, and the others, which Keras 2 repeats with each of its tensors. */
function readUse(use: unknown, names: ReadonlySet<string>, toSource: ToSource): LayerCall {
  const refs = writtenRefs(use);
  const inputs = refs.map(({ layer, node, tensor }): Source => (layer === CONSTANT_REF ? { kind: 'constant', value: tensor } : toSource([layer, toIndex(node), toIndex(tensor)])));
  const read = (value: unknown, depth: number): Argument => {
    if (!Array.isArray(value) || depth > DEPTH_MAX) return { kind: 'constant', value };
    if (isRef(value) && names.has(value[0])) return toSource(value);
    if (!value.some((each) => typeof each === 'object' || typeof each === 'string')) return { kind: 'constant', value };
    const items = (value as unknown[]).map((each) => read(each, depth + 1));
    return items.every(({ kind }) => kind === 'constant') ? { kind: 'constant', value } : { kind: 'list', items };
  };
  return { inputs, named: new Map(Object.entries(refs[0]?.named ?? {}).map(([name, value]) => [name, read(value, 0)])) };
}

/** What must be computed before a use can be. */
export function dependencies({ inputs, named }: LayerCall): readonly Extract<Source, { kind: 'layer' }>[] {
  const found: Extract<Source, { kind: 'layer' }>[] = [];
  const collect = (argument: Argument): void => {
    if (argument.kind === 'list') argument.items.forEach(collect);
    else if (argument.kind === 'layer') found.push(argument);
  };
  [...inputs, ...named.values()].forEach(collect);
  return found;
}
