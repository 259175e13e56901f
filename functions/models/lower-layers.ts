/** From a model of layers, as Keras and TF.js write it down, and its weights to the one description of networks that engines take. */
import { NetworkBuilder } from '../network/network-builder.js';
import { sizeOf, type Network } from '../network/network.js';
import { ShapeError } from '../network/shapes.js';
import { isPoolingWrapper } from './cut.js';
import { dependencies, readCalls, type Argument, type Calls, type LayerCall, type Source } from './layer-calls.js';
import { loweringOf } from './layer-lowerings.js';
import { LayerUse, type Operand, type Site } from './layer-use.js';
import { LayerWeights } from './layer-weights.js';
import { failModel, type InputShape, type LayerJson, type NamedWeight } from './model.js';
import { isContainer, layerName, listLayers } from './topology.js';

export interface LowerOptions {
  readonly input: InputShape;
  /** To be named in errors. */
  readonly file: string;
  /** Whether TF.js wrote the file: it interpolates in UpSampling2D otherwise than Keras, and does not dilate in DepthwiseConv2D. Default: Keras wrote it. */
  readonly isFromTfjs?: boolean;
}

/** Layers are counted by how often they are used, and by what flows into them: shared models within shared models are many. */
const USES_MAX = 100_000;

const ADVICE = 'Set "layer" to a layer below it, or export the model with model.export("saved_model") and convert that to a graph model: tensorflowjs_converter --input_format=tf_saved_model saved_model OUTPUT_FOLDER; then set "model_url" to OUTPUT_FOLDER.';

/**
 * The network of a model of layers. Its result is a vector for each image, of any number of images.
 *
 * @param topology as `loadLayersModel` has it, cut at its embedding: layers that the output does not need are not looked at
 * @param weights those of its layers, by TF.js's or Keras's names (`layer-weights.ts`)
 * @throws EisError EIS_MODEL_FILE naming the layer that cannot be computed, or whose configuration or weights are not right
 */
export function lowerLayers(topology: LayerJson, weights: readonly NamedWeight[], { input, file, isFromTfjs = false }: LowerOptions): Network {
  const names = listLayers(topology).flatMap(({ path, layer }) => [layerName(layer), path.join('/')]);
  const site: Site = { network: new NetworkBuilder(input), weights: new LayerWeights(weights, new Set(names)), file, isFromTfjs, made: new Map(), constants: new Map(), names: new Map() };
  const model = new ModelUse({ site, calls: new Map(), counts: new Map(), left: USES_MAX }, topology, { path: [], inputs: [site.network.input] });
  return site.network.build(asVector(site, model.output(0)));
}

/** One vector an image, whatever the shape of what is its embedding. */
function asVector({ network, file }: Site, name: string): string {
  const shape = network.shape(name);
  if (network.isWeight(name) || shape.length < 2) failModel(file, `its embedding is of the shape ${JSON.stringify(shape)}; right is a vector an image. Set "layer" to another.`);
  return shape.length === 2 ? name : network.add(`${name}/vector`, { op: 'reshape', shape: [0, sizeOf(shape.slice(1))], inputs: [name] });
}

/** What is known while a network is written. */
interface Progress {
  readonly site: Site;
  readonly calls: Map<LayerJson, Calls>;
  /** How many times the layer of a path was used. */
  readonly counts: Map<string, number>;
  /** Of `USES_MAX`. */
  left: number;
}

/** One use of a model: its layers are computed as they are asked for, each use once. */
class ModelUse {
  readonly #calls: Calls;
  readonly #results = new Map<string, readonly string[] | ModelUse>();
  readonly #path: readonly string[];
  readonly #inputs: readonly string[];

  constructor(private readonly progress: Progress, private readonly model: LayerJson, { path, inputs }: { readonly path: readonly string[]; readonly inputs: readonly string[] }) {
    this.#path = path;
    this.#inputs = inputs;
    this.#calls = progress.calls.get(model) ?? readCalls(model, progress.site.file);
    progress.calls.set(model, this.#calls);
  }

  /** The name, in the network, of one of the model's outputs. */
  output(index: number): string {
    const source = this.#calls.outputs[index] ?? this.#fail(`has no output ${index}`);
    if (source.kind === 'layer') this.#compute(source);
    return this.#value(source);
  }

  /** Computes a use of a layer after all that it needs, without recursion: chains of layers are long. */
  #compute(wanted: Extract<Source, { kind: 'layer' }>): void {
    const open = [wanted];
    const begun = new Set<string>();
    for (let next = open.at(-1); next; next = open.at(-1)) {
      const key = `${next.use}:${next.layer}`;
      const call = this.#callOf(next);
      const missing = this.#results.has(key) ? [] : dependencies(call).filter(({ use, layer }) => !this.#results.has(`${use}:${layer}`));
      if (missing.length > 0) {
        if (begun.has(key)) this.#fail(`computes its layer ${JSON.stringify(next.layer)} from itself`);
        begun.add(key);
        for (const each of missing.reverse()) open.push(each);
        continue;
      }
      if (!this.#results.has(key)) this.#results.set(key, this.#apply(next.layer, call));
      open.pop();
    }
  }

  #callOf({ layer, use }: { readonly layer: string; readonly use: number }): LayerCall {
    return this.#calls.layers.get(layer)?.uses[use] ?? this.#fail(`takes the result of use ${use + 1} of its layer ${JSON.stringify(layer)}, which is not there`);
  }

  /** The results of a layer whose inputs are computed. */
  #apply(name: string, call: LayerCall): readonly string[] | ModelUse {
    const { progress, progress: { site } } = this;
    progress.left -= 1 + call.inputs.length;
    if (progress.left < 0) failModel(site.file, `its layers are used more than ${USES_MAX} times.`);
    const { layer } = this.#calls.layers.get(name) as { readonly layer: LayerJson };
    const path = [...this.#path, name];
    const inputs = (): readonly string[] => call.inputs.map((source) => this.#value(source, path));
    if (layer.class_name === 'InputLayer') return inputs();
    if (isContainer(layer)) return new ModelUse(progress, layer, { path: isPoolingWrapper(this.model) ? [] : path, inputs: inputs() });
    const shown = JSON.stringify(path.join('/'));
    const lowering = loweringOf(layer.class_name) ?? failModel(site.file, `its layer ${shown} is of the class ${layer.class_name}, which cannot be computed here. ${layer.class_name === 'Lambda' ? 'A Lambda is Python code. ' : ''}${ADVICE}`);
    const count = progress.counts.get(shown) ?? 0;
    progress.counts.set(shown, count + 1);
    try {
      const use = new LayerUse(site, layer, path, { inputs: inputs(), named: new Map([...call.named].map(([key, argument]) => [key, this.#operand(argument)])), count });
      const result = lowering(use);
      return typeof result === 'string' ? [result] : result;
    } catch (error) {
      if (error instanceof ShapeError) return failModel(site.file, `its layer ${shown} (${layer.class_name}): ${error.message}. The file is damaged, or its input is of another size than it was made for.`, error);
      throw error;
    }
  }

  #value(source: Source, path: readonly string[] = this.#path): string {
    if (source.kind === 'input') return this.#inputs[source.index] ?? this.#fail(`is given ${this.#inputs.length} inputs and takes more`);
    if (source.kind === 'constant') return new LayerUse(this.progress.site, { class_name: 'constant', config: {} }, path, { inputs: [], named: new Map(), count: 0 }).constant(source.value);
    const results = this.#results.get(`${source.use}:${source.layer}`) as readonly string[] | ModelUse;
    if (results instanceof ModelUse) return results.output(source.tensor);
    return results[source.tensor] ?? this.#fail(`takes result ${source.tensor} of its layer ${JSON.stringify(source.layer)}, which gives ${results.length}`);
  }

  #operand(argument: Argument): Operand {
    if (argument.kind === 'list') return { items: argument.items.map((item) => this.#operand(item)) };
    return argument.kind === 'constant' ? { value: argument.value } : { tensor: this.#value(argument) };
  }

  #fail(detail: string): never {
    return failModel(this.progress.site.file, `its model ${JSON.stringify(this.#path.join('/') || layerName(this.model))} ${detail}.`);
  }
}
