/** What passes share: a network being rewritten node by node, with names that lead on to what replaced them. */
import { sizeOf, unusedName, type Network, type NetworkNode, type Shape, type Weight } from './network.js';
import { inferShapes } from './shapes.js';

/** A pass: the same function of images in fewer or cheaper nodes. */
export type Pass = (network: Network) => Network;

/**
 * A network in the hands of a pass, which looks at its nodes one after the other and keeps, changes or drops each.
 * Nodes that were looked at already can be replaced: what is folded goes into what stands before.
 */
export class Rewrite {
  readonly #nodes = new Map<string, NetworkNode>();
  readonly #weights: Map<string, Weight>;
  readonly #renamed = new Map<string, string>();
  readonly #uses = new Map<string, number>();
  readonly #shapes: Map<string, Shape>;
  readonly #output: string;

  constructor(network: Network) {
    this.#weights = new Map(network.weights);
    this.#shapes = inferShapes(network);
    this.#output = network.output;
    for (const name of [...network.nodes.flatMap(({ inputs }) => inputs), network.output]) this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1);
  }

  /** How many nodes of the network as it was take a tensor; the output is a use too. */
  uses(name: string): number {
    return this.#uses.get(name) ?? 0;
  }

  shape(name: string): Shape {
    return this.#shapes.get(name) as Shape;
  }

  weight(name: string | undefined): Weight | undefined {
    return name === undefined ? undefined : this.#weights.get(name);
  }

  /** A node that was kept, as it is now. */
  node(name: string | undefined): NetworkNode | undefined {
    return name === undefined ? undefined : this.#nodes.get(this.resolve(name));
  }

  /** What a tensor of the network as it was is called now. */
  resolve(name: string): string {
    let end = name;
    for (let next = this.#renamed.get(end); next !== undefined; next = this.#renamed.get(end)) end = next;
    if (end !== name) this.#renamed.set(name, end); // the way is short from now on
    return end;
  }

  /** Keeps a node, or another of its name in its place, its inputs resolved. */
  keep(node: NetworkNode): void {
    const kept = { ...node, inputs: node.inputs.map((input) => this.resolve(input)) };
    this.#nodes.set(node.name, kept);
    if (!this.#shapes.has(node.name)) throw new Error(`${node.name} has no shape`);
  }

  /** Keeps a node that the network did not have, of a shape like that of nothing else. */
  insert(node: NetworkNode, shape: Shape): string {
    const name = this.#unused(node.name);
    this.#shapes.set(name, shape);
    this.keep({ ...node, name });
    return name;
  }

  /** Drops a node: whoever takes its result takes `instead`. */
  replace(node: NetworkNode, instead: string): void {
    const target = this.resolve(instead);
    this.#uses.set(target, this.uses(target) - 1 + this.uses(node.name));
    this.#renamed.set(node.name, target);
  }

  addWeight(wanted: string, shape: Shape, values: Float32Array): string {
    const name = this.#unused(wanted);
    this.#weights.set(name, { shape, values });
    this.#shapes.set(name, shape);
    return name;
  }

  /** The rewritten network, without what its output no longer needs. */
  finish(): Network {
    return prune({ nodes: [...this.#nodes.values()], weights: this.#weights, output: this.resolve(this.#output) });
  }

  #unused(wanted: string): string {
    return unusedName(wanted, (name) => this.#shapes.has(name));
  }
}

/** The part of a network that its output is computed from: what else there is, heads and training's leftovers, is dropped with its weights. Given another `output`, it cuts there. */
export function prune({ nodes, weights, output }: Network): Network {
  const needed = new Set([output]);
  const kept = nodes.toReversed().filter((node) => {
    if (!needed.has(node.name) && node.op !== 'input') return false;
    for (const input of node.inputs) needed.add(input);
    return true;
  });
  return { nodes: kept.toReversed(), weights: new Map([...weights].filter(([name]) => needed.has(name))), output };
}

/** The numbers of a weight by channel (of the last axis), where it has one for each or one for all; undefined: it has others. */
export function perChannel({ shape, values }: Weight, channels: number): Float32Array | undefined {
  if (sizeOf(shape) === 1) return new Float32Array(channels).fill(values[0] as number);
  return shape.at(-1) === channels && sizeOf(shape) === channels ? values : undefined;
}
