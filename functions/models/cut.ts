/**
 * Cuts a model at its embedding layer, in its description, so that no engine computes the classifier or loads its
 * weights; makes a vector of what is still a feature map; and fixes the size of the input where the model leaves it open.
 */
import { failModel, type LayerJson } from './model.js';
import { feedersOf, finalOutputs, findLayer, inboundNodes, isContainer, layerName, layersOf, toRefs, type TensorRef } from './topology.js';

/** The layer that a feature map is averaged with; its name stands in the version, so it stays. */
const POOLING: LayerJson = { class_name: 'GlobalAveragePooling2D', config: { name: 'eis_pooled', trainable: false, data_format: 'channels_last' } };

/** The model around what is averaged so; its name stands in the version too. */
const WRAPPER = 'eis_embedding';

/**
 * The model that ends at the layer of `path` (names of the models around it, then its own).
 *
 * @throws EisError EIS_MODEL_FILE when the layer, or a model around it, is applied more than once
 */
export function cutAt(model: LayerJson, path: readonly string[], file: string): LayerJson {
  const [name, ...rest] = path as [string, ...string[]];
  const target = findLayer(model, name) as LayerJson;
  if (inboundNodes(target).length > 1) failModel(file, `its layer ${JSON.stringify(name)} is applied more than once, so its output is not one embedding. Set "layer" to another.`);
  const replacement = rest.length > 0 ? cutAt(target, rest, file) : target;
  const layers = layersOf(model).map((layer) => (layer === target ? replacement : layer));
  if (model.class_name === 'Sequential') return withConfig(model, { layers: layers.slice(0, layers.indexOf(replacement) + 1) });
  const kept = ancestors(model, name);
  return withConfig(model, {
    layers: layers.filter((layer) => kept.has(layerName(layer))),
    input_layers: toRefs(model.config['input_layers']).filter(([input]) => kept.has(input)),
    output_layers: [outputRef(model, name)],
  });
}

function withConfig(model: LayerJson, changes: Record<string, unknown>): LayerJson {
  return { ...model, config: { ...model.config, ...changes } };
}

/** The names of a layer and of everything that it is computed from. */
function ancestors(model: LayerJson, name: string): Set<string> {
  const found = new Set<string>();
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const layer = findLayer(model, next);
    if (found.has(next) || !layer) continue;
    found.add(next);
    open.push(...feedersOf(model, layer));
  }
  return found;
}

/** How the file refers to a layer's output (a nested model's counts from 1: Keras gives it a use of its own). */
function outputRef(model: LayerJson, name: string): TensorRef {
  const refs = [...layersOf(model).flatMap((layer) => inboundNodes(layer).flat()), ...toRefs(model.config['output_layers'])];
  const [, node, tensor] = refs.find(([layer]) => layer === name) ?? [name, 0, 0];
  return [name, node, tensor];
}

/** The model, averaged over positions when its output is a feature map (rows × columns × channels). */
export function poolFeatureMap(model: LayerJson): LayerJson {
  const output = finalOutputs(model)[0];
  if (!output || !hasPositions(model, output, () => true)) return model;
  return { class_name: 'Sequential', config: { name: WRAPPER, layers: [model, POOLING] } };
}

/** Whether a model is one that `poolFeatureMap` put around another: it is no part of what somebody wrote. */
export function isPoolingWrapper(model: LayerJson): boolean {
  return model.config['name'] === WRAPPER && layersOf(model).at(-1)?.config['name'] === POOLING.config['name'];
}

/** Whether a layer's output has rows and columns, judged by it or else by what feeds it; `below` judges the container's input. */
function hasPositions(container: LayerJson, layer: LayerJson, below: () => boolean): boolean {
  const feeder = findLayer(container, feedersOf(container, layer)[0] ?? '');
  const input = (): boolean => (feeder ? hasPositions(container, feeder, below) : below());
  if (isContainer(layer)) {
    const inner = finalOutputs(layer)[0];
    return inner ? hasPositions(layer, inner, input) : input();
  }
  if (layer.class_name.startsWith('Global')) return layer.config['keepdims'] === true;
  if (layer.class_name === 'Flatten') return false;
  if (layer.class_name === 'Reshape') return (layer.config['target_shape'] as unknown[]).length === 3;
  return layer.class_name.endsWith('2D') || input();
}

// ── Input ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The layers of a container that take its input. */
function inputLayers(container: LayerJson): readonly LayerJson[] {
  if (container.class_name === 'Sequential') return layersOf(container).slice(0, 1);
  return toRefs(container.config['input_layers']).flatMap(([name]) => findLayer(container, name) ?? []);
}

/**
 * The model's input as the file has it, batch first: `[null, 224, 224, 3]`; null where it is left open. Rows × columns of
 * a model that first gives them a shape of its own are a grey image: its one channel makes no difference there.
 *
 * @throws EisError EIS_MODEL_FILE when the model has several inputs, or does not say
 */
export function inputShape(model: LayerJson, file: string): readonly (number | null)[] {
  const inputs = inputLayers(model);
  if (inputs.length !== 1) failModel(file, `it has ${inputs.length} inputs; a model that embeds images has one.`);
  const layer = inputs[0] as LayerJson;
  const shape = layer.config['batch_input_shape'] ?? layer.config['batch_shape'];
  if (Array.isArray(shape)) return shape.length === 3 && beginsWith(model, SHAPING) ? [...(shape as (number | null)[]), 1] : (shape as (number | null)[]);
  if (isContainer(layer)) return inputShape(layer, file);
  return failModel(file, `its first layer ${JSON.stringify(layerName(layer))} does not say the shape of its input. Save the model with one.`);
}

/** The model with the open sizes of its input filled in, in the models nested at its input too. */
export function withInputShape(model: LayerJson, shape: readonly (number | null)[]): LayerJson {
  const inputs = inputLayers(model);
  const takesInput = (layer: LayerJson): boolean => inputs.includes(layer) || feedersOf(model, layer).some((name) => inputs.some((input) => layerName(input) === name && input.class_name === 'InputLayer'));
  const layers = layersOf(model).map((layer) => {
    const filled = Array.isArray(layer.config['batch_input_shape']) && inputs.includes(layer) ? withConfig(layer, { batch_input_shape: shape }) : layer;
    return isContainer(layer) && takesInput(layer) ? withInputShape(filled, shape) : filled;
  });
  return withConfig(model, { layers });
}

/** Whether the first layer is Keras's `Rescaling` (MobileNetV3, EfficientNet): such a model takes pixels as they are, 0 to 255. */
export function rescalesItsInput(model: LayerJson): boolean {
  return beginsWith(model, ['Rescaling']);
}

/** What takes numbers in their order, whatever the shape they come in. */
const SHAPING = ['Reshape', 'Flatten'];

/** Whether all layers that the input goes into are of these classes. */
function beginsWith(model: LayerJson, classes: readonly string[]): boolean {
  const inputs = inputLayers(model).filter(({ class_name }) => class_name === 'InputLayer').map(layerName);
  const first = inputs.length === 0 ? inputLayers(model) : layersOf(model).filter((layer) => feedersOf(model, layer).some((name) => inputs.includes(name)));
  return first.length > 0 && first.every((layer) => (isContainer(layer) ? beginsWith(layer, classes) : classes.includes(layer.class_name)));
}
