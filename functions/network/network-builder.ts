/** Writes a network node by node, each checked as it is added: what a loader lowers its file into. */
import type { InputShape } from '../models/model.js';
import { toSharedFloats, unusedName, type Network, type NetworkNode, type Shape, type Weight } from './network.js';
import { inferShape } from './shapes.js';

type Without<T, Key extends string> = T extends NetworkNode ? Omit<T, Key> : never;
type AddedNode = Exclude<NetworkNode, { readonly op: 'input' }>;
/** A node without its name. */
export type NodeSpec = Without<AddedNode, 'name'>;
/** What a node does, whatever it takes. */
export type Operation = Without<AddedNode, 'name' | 'inputs'>;

export class NetworkBuilder {
  readonly #nodes: NetworkNode[] = [];
  readonly #weights = new Map<string, Weight>();
  readonly #shapes = new Map<string, Shape>();
  /** The name of the image. */
  readonly input: string;

  constructor({ height, width, channels }: InputShape, inputName = 'image') {
    const shape = [1, height, width, channels];
    this.#nodes.push({ op: 'input', name: inputName, inputs: [], shape });
    this.#shapes.set(inputName, shape);
    this.input = inputName;
  }

  /** The shape of a node or weight that was added, for a batch of one image. */
  shape(name: string): Shape {
    const shape = this.#shapes.get(name);
    if (!shape) throw new Error(`There is no tensor ${JSON.stringify(name)}.`);
    return shape;
  }

  isWeight(name: string): boolean {
    return this.#weights.has(name);
  }

  /** The weight of that name; undefined: it is a node's, or there is none. */
  weight(name: string): Weight | undefined {
    return this.#weights.get(name);
  }

  /**
   * Adds a node.
   *
   * @param name wanted: where it is taken, `_` is put behind it
   * @returns the name that it got
   * @throws ShapeError when it does not fit what it takes
   */
  add(name: string, spec: NodeSpec): string {
    const node = { ...spec, name: this.#unused(name) } as NetworkNode;
    this.#shapes.set(node.name, inferShape(node, node.inputs.map((input) => this.shape(input))));
    this.#nodes.push(node);
    return node.name;
  }

  /**
   * Adds a weight, or numbers that the network needs beside those of its file.
   *
   * @returns the name that it got, as for `add`
   */
  addWeight(name: string, shape: Shape, values: Float32Array | readonly number[]): string {
    const given = this.#unused(name);
    this.#shapes.set(given, shape);
    this.#weights.set(given, { shape, values: values instanceof Float32Array ? values : toSharedFloats(values) });
    return given;
  }

  /** The network whose result is that of `output`. */
  build(output: string): Network {
    return { nodes: this.#nodes, weights: this.#weights, output };
  }

  #unused(wanted: string): string {
    return unusedName(wanted, (name) => this.#shapes.has(name));
  }
}
