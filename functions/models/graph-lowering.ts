/** A graph on its way into a typed network: what its nodes gave so far, and where more is added. */
import { Evaluator, type Constant, type NumberType, type Numbers } from '../network/evaluate.js';
import { NetworkBuilder, type Operation } from '../network/network-builder.js';
import { isSameShape, sizeOf, toSharedFloats, unusedName, type Network, type Shape } from '../network/network.js';
import { prune } from '../network/rewrite.js';
import { ShapeError } from '../network/shapes.js';
import type { GraphNetwork, InputShape } from './model.js';

/** Numbers that are known when a model is loaded; as a weight they bear the name of the node that they are of. */
export interface Known extends Constant {
  readonly kind: 'known';
  readonly name: string;
}

/** A tensor of the network. Whole numbers and truths are reals there: `dtype` says what a graph takes them for. */
export interface Computed {
  readonly kind: 'computed';
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: NumberType;
}

/** What a node gives. */
export type Value = Known | Computed;

export interface AddOptions {
  readonly name: string;
  readonly dtype: NumberType;
}

export class GraphLowering {
  readonly #builder: NetworkBuilder;
  readonly #evaluator: Evaluator;
  readonly #reserved: ReadonlySet<string>;
  readonly #weights = new Map<Known, string>();
  /** What reshaped tensors were before. */
  readonly #origins = new Map<string, Computed>();
  /** The image. */
  readonly image: Computed;

  /** @param weightNumbers of all weights together: constants may be combined to some more */
  constructor({ nodes, inputName }: GraphNetwork, { input, weightNumbers }: { readonly input: InputShape; readonly weightNumbers: number }) {
    this.#builder = new NetworkBuilder(input, inputName);
    this.#evaluator = new Evaluator(weightNumbers);
    this.#reserved = new Set(nodes.map(({ name }) => name));
    this.image = { kind: 'computed', name: inputName, shape: this.#builder.shape(inputName), dtype: 'float32' };
  }

  /** A name for what a node of the graph is computed by way of; no other node of the graph bears it. */
  nameBeside(node: string, part: string): string {
    return unusedName(`${node}/eis_${part}`, (name) => this.#reserved.has(name));
  }

  /**
   * The result of an operation: numbers where all that it takes are known and it is computed here, else a node.
   *
   * @throws ShapeError when it does not fit what it takes
   */
  add(operation: Operation, inputs: readonly Value[], { name, dtype }: AddOptions): Value {
    const known = inputs.filter((input) => input.kind === 'known');
    const evaluated = known.length === inputs.length ? this.#evaluator.evaluate(operation, known, dtype) : undefined;
    if (evaluated) return { kind: 'known', name, ...evaluated };
    const added = this.#builder.add(name, { ...operation, inputs: inputs.map((input) => this.#tensor(input)) });
    return { kind: 'computed', name: added, shape: this.#builder.shape(added), dtype };
  }

  /**
   * The same numbers in another shape. One that begins with a size of 1, as what is reshaped does, is taken for that of
   * one image, and its first size for the batch. What was reshaped before is reshaped from what it was.
   *
   * @param shape without open sizes
   * @throws ShapeError when it has another number of numbers
   */
  reshape(value: Value, shape: Shape, name: string): Value {
    if (isSameShape(value.shape, shape)) return value;
    const from = this.originOf(value);
    if (isSameShape(from.shape, shape)) return { ...from, dtype: value.dtype };
    const isOfOneImage = from.kind === 'computed' && from.shape[0] === 1 && shape[0] === 1;
    const reshaped = this.add({ op: 'reshape', shape: isOfOneImage ? [0, ...shape.slice(1)] : shape }, [from], { name, dtype: value.dtype });
    if (reshaped.kind === 'computed' && from.kind === 'computed') this.#origins.set(reshaped.name, from);
    return reshaped;
  }

  /** What a tensor was before it was reshaped. */
  originOf(value: Value): Value {
    return this.#origins.get(value.name) ?? value;
  }

  /**
   * Counts numbers that are read from a constant.
   *
   * @throws ShapeError when a graph has too many read
   */
  count(numbers: number): void {
    this.#evaluator.charge(numbers);
  }

  /** Numbers of our own. */
  known(name: string, shape: Shape, { dtype, fill }: { readonly dtype: NumberType; readonly fill: (values: Numbers) => void }): Known {
    const values = this.#evaluator.make(dtype, sizeOf(shape));
    fill(values);
    return { kind: 'known', name, shape, dtype, values };
  }

  /** The network that gives `output`, without what it does not need. */
  build(output: Computed): Network {
    return prune(this.#builder.build(output.name));
  }

  #tensor(value: Value): string {
    if (value.kind === 'computed') return value.name;
    if (value.shape.includes(0)) throw new ShapeError('a constant that it takes has no numbers');
    const name = this.#weights.get(value) ?? this.#builder.addWeight(value.name, value.shape, realNumbers(value));
    this.#weights.set(value, name);
    return name;
  }
}

function realNumbers({ values }: Known): Float32Array {
  if (values instanceof Float32Array && values.buffer instanceof SharedArrayBuffer) return values;
  return toSharedFloats(values);
}
