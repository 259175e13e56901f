/** One use of a layer while a network is written: what it takes, what the file says of it, and how it adds nodes and weights. */
import type { NetworkBuilder, NodeSpec } from '../network/network-builder.js';
import { isSameShape, sizeOf, toSharedFloats, type Shape } from '../network/network.js';
import { LayerConfig, show } from './layer-config.js';
import type { LayerWeights } from './layer-weights.js';
import { failModel, type LayerJson, type NamedWeight } from './model.js';

/** An argument of a call beside what flows into the layer: a tensor of the network, a list, or a value as the file has it. */
export type Operand = { readonly tensor: string } | { readonly items: readonly Operand[] } | { readonly value: unknown };

/** What all uses of all layers of a network share. */
export interface Site {
  readonly network: NetworkBuilder;
  readonly weights: LayerWeights;
  readonly file: string;
  readonly isFromTfjs: boolean;
  /** By what they were made from: names of weights that stand in the network already. */
  readonly made: Map<string, string>;
  /** By the list in the file that they come from. */
  readonly constants: Map<unknown, string>;
  /** How often each name was wanted: the next one gets a number. */
  readonly names: Map<string, number>;
}

export interface Call {
  readonly inputs: readonly string[];
  readonly named: ReadonlyMap<string, Operand>;
}

const ADVICE = 'Either the file is damaged, then convert the model again; or that is not computed here, then set "layer" to a layer below it.';

export class LayerUse {
  readonly config: LayerConfig;
  readonly className: string;
  /** Names of nodes or weights of the network. */
  readonly inputs: readonly string[];
  readonly named: ReadonlyMap<string, Operand>;
  #base: string;
  #isNamed = false;
  #position = 0;

  /**
   * @param path names of the models around the layer, then its own
   * @param count how many times it was used before
   */
  constructor(readonly site: Site, layer: LayerJson, readonly path: readonly string[], { inputs, named, count }: Call & { readonly count: number }) {
    this.config = new LayerConfig(layer.config, (detail) => this.fail(detail));
    this.className = layer.class_name;
    this.inputs = inputs;
    this.named = named;
    this.#base = count === 0 ? path.join('/') : `${path.join('/')}:${count}`;
  }

  /** What it takes, of a layer that takes one tensor. */
  get input(): string {
    return this.inputs.length === 1 ? (this.inputs[0] as string) : this.fail(`it takes ${this.inputs.length} tensors; right is one.`);
  }

  /** Throws EIS_MODEL_FILE that names the layer. */
  fail(detail: string, advice = ADVICE): never {
    return failModel(this.site.file, `its layer ${JSON.stringify(this.path.join('/'))} (${this.className}): ${detail} ${advice}`);
  }

  /** The shape of a node or weight, for a batch of one image. */
  shape(name: string): Shape {
    return this.site.network.shape(name);
  }

  /** The shape, which has so many sizes. */
  ranked(name: string, ...ranks: readonly number[]): Shape {
    const shape = this.shape(name);
    return ranks.includes(shape.length) ? shape : this.fail(`it takes tensors of ${ranks.join(' or ')} sizes, the batch among them, and is given ${show(shape)}.`);
  }

  /**
   * Adds a node. The first bears the name of the layer, unless it is a `part` of it, which is named behind it.
   *
   * @throws ShapeError when it does not fit what it takes
   */
  add(spec: NodeSpec, part?: string): string {
    const name = part === undefined && !this.#isNamed ? this.#base : this.#numbered(`${this.#base}/${part ?? spec.op}`);
    if (part === undefined) this.#isNamed = true;
    return this.site.network.add(name, spec);
  }

  /**
   * A weight of the layer, which was learnt. Layers that have several ask for them in Keras's order.
   *
   * @param names the usual one, and others that it may have
   * @param as the same numbers in another shape
   * @returns its name in the network
   */
  weight(names: string | readonly string[], shape: Shape, as: Shape = shape): string {
    const all = typeof names === 'string' ? [names] : names;
    const key = JSON.stringify([this.path, all[0], as]);
    const position = this.#position++;
    return this.#once(key, () => this.site.network.addWeight(`${this.path.join('/')}/${all[0]}`, as, toFloats(this.#find(all, position, shape))));
  }

  /** What the next weight is of by the file; undefined: it is not there. */
  shapeInFile(names: readonly string[]): Shape | undefined {
    const found = this.site.weights.find(this.path, names, this.#position);
    return found !== undefined && 'name' in found ? found.shape : undefined;
  }

  /** The numbers of a weight, which the network does not hold as they are; undefined: there is none. */
  numbers(name: string, shape: Shape): Float32Array | undefined {
    const position = this.#position++;
    return this.site.weights.find(this.path, [name], position) === undefined ? undefined : toFloats(this.#find([name], position, shape));
  }

  #find(names: readonly string[], position: number, shape: Shape): NamedWeight {
    const found = this.site.weights.find(this.path, names, position);
    const shown = JSON.stringify(`${this.path.at(-1)}/${names[0]}`);
    if (found === undefined) return this.fail(`its weight ${shown} is not there.`);
    if (!('name' in found)) return this.fail(`its weight ${shown} may be any of ${found.slice(0, 4).map(({ name }) => JSON.stringify(name)).join(', ')}.`, 'Give the layers of the model names that differ, and save it again.');
    const isRight = isSameShape(found.shape, shape) && found.values.length === sizeOf(shape);
    return isRight ? found : this.fail(`its weight ${JSON.stringify(found.name)} is of the shape ${show(found.shape)}; right is ${show(shape)}.`);
  }

  /** So many times the same number, as a weight. */
  filled(value: number, count: number): string {
    return this.#once(`${count} times ${value}`, () => this.site.network.addWeight(`${this.path.join('/')}/${value}`, [count], Array.from<number>({ length: count }).fill(value)));
  }

  /** Numbers that are computed from those of the file, as a weight: once for all uses of the layer. */
  derived(part: string, shape: Shape, compute: () => readonly number[]): string {
    return this.#once(JSON.stringify([this.path, part, shape]), () => this.site.network.addWeight(`${this.path.join('/')}/${part}`, shape, compute()));
  }

  /** A number, or numbers in lists, that stand in the file beside the layer, as a weight. */
  constant(value: unknown, part = 'constant'): string {
    if (typeof value === 'number' && Number.isFinite(value)) return this.filled(value, 1);
    const known = this.site.constants.get(value);
    if (known !== undefined) return known;
    const { shape, numbers } = this.#flatten(value);
    const name = this.site.network.addWeight(this.#numbered(`${this.path.join('/')}/${part}`), shape, numbers);
    this.site.constants.set(value, name);
    return name;
  }

  #flatten(value: unknown): { readonly shape: Shape; readonly numbers: readonly number[] } {
    const refuse = (): never => this.fail(`it takes ${show(value)}, which is neither a number nor numbers in lists of one length.`);
    const shape: number[] = [];
    for (let first = value; Array.isArray(first); first = first[0] as unknown) {
      if (first.length === 0 || shape.push(first.length) > 8) return refuse();
    }
    const flatten = (inner: unknown, depth: number): readonly number[] => {
      if (depth === shape.length) return typeof inner === 'number' && Number.isFinite(inner) ? [inner] : refuse();
      return Array.isArray(inner) && inner.length === shape[depth] ? inner.flatMap((each) => flatten(each, depth + 1)) : refuse();
    };
    return { shape, numbers: shape.length === 0 ? refuse() : flatten(value, 0) };
  }

  /** The name; where it was wanted before, with a number. */
  #numbered(name: string): string {
    const count = this.site.names.get(name) ?? 0;
    this.site.names.set(name, count + 1);
    return count === 0 ? name : `${name}:${count}`;
  }

  #once(key: string, make: () => string): string {
    const known = this.site.made.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.site.made.set(key, name);
    return name;
  }
}

/** float32 in memory that threads can share, whatever the file has. */
function toFloats({ values }: NamedWeight): Float32Array {
  return values instanceof Float32Array ? values : toSharedFloats(values);
}
