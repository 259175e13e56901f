/** One node of a graph while it is lowered: what it takes and how it is set, each checked, and what is wrong with it in words. */
import type { Operation } from '../network/network-builder.js';
import type { NumberType } from '../network/evaluate.js';
import type { Pair, Shape } from '../network/network.js';
import { numbersOf, quote, textOf, textsOf } from './graph-attributes.js';
import type { Computed, GraphLowering, Value } from './graph-lowering.js';
import { failModel, type GraphNode } from './model.js';

/** Of a list that says something about each axis. */
const LIST_MAX = 64;
const OPERATION_SHOWN_MAX = 60;

/** A result of several; those that nothing takes are not computed. */
export interface Outputs {
  readonly count: number;
  readonly at: (i: number) => Value;
}

/** What nodes of an operation become. */
export type Lowering = (scope: NodeScope) => Value | Outputs;

/** Throws EIS_MODEL_FILE about a node that cannot be computed. */
export function refuseLowering({ name, op }: GraphNode, detail: string, file: string): never {
  const operation = op.length > OPERATION_SHOWN_MAX ? `${op.slice(0, OPERATION_SHOWN_MAX)}…` : op;
  return failModel(file, `its node ${quote(name)} is of the operation ${operation}, which cannot be computed here: ${detail}. Set "layer" to one below it, or convert the model without it.`);
}

export class NodeScope {
  constructor(
    readonly node: GraphNode,
    readonly inputs: readonly Value[],
    readonly lowering: GraphLowering,
    readonly file: string,
  ) {}

  refuse(detail: string): never {
    return refuseLowering(this.node, detail, this.file);
  }

  // ── What it takes ─────────────────────────────────────────────────────────────────────────────────────────────────

  input(i: number): Value {
    return this.inputs.at(i) ?? this.refuse(`it takes ${this.inputs.length} inputs, which are too few`);
  }

  /** An input that is images, or maps of features: batch × rows × columns × channels. */
  images(i: number): Value & { readonly shape: readonly [number, number, number, number] } {
    const value = this.input(i);
    if (value.shape.length !== 4) this.refuse(`it takes images with channels last (four sizes), and gets the shape ${JSON.stringify(value.shape)}`);
    return value as ReturnType<NodeScope['images']>;
  }

  /** The whole numbers of a constant input: axes, sizes, paddings, indices. */
  wholes(i: number, countMax = LIST_MAX): readonly number[] {
    const value = this.input(i);
    if (value.kind === 'computed') return this.refuse(`its input ${quote(value.name)} is to be a constant, and is computed from the image`);
    if (value.values.length > countMax) this.refuse(`its constant ${quote(value.name)} has ${value.values.length} numbers; at most ${countMax} say something here`);
    this.lowering.count(value.values.length);
    const numbers = Array.from(value.values);
    return numbers.every(Number.isInteger) ? numbers : this.refuse(`its constant ${quote(value.name)} is to be of whole numbers`);
  }

  whole(i: number): number {
    const numbers = this.wholes(i);
    return numbers.length === 1 ? (numbers[0] as number) : this.refuse(`its input ${i} is to be one number, and is ${numbers.length}`);
  }

  /** The number of a constant input; undefined: it is not one number, or computed. */
  real(i: number): number | undefined {
    const value = this.input(i);
    return value.kind === 'known' && value.values.length === 1 ? value.values[0] : undefined;
  }

  /** An axis counted from 0. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    return Number.isInteger(counted) && counted >= 0 && counted < rank ? counted : this.refuse(`it works along axis ${axis} of a tensor that has ${rank}`);
  }

  /** Axes counted from 0, ascending, each once. */
  axes(axes: readonly number[], rank: number): readonly number[] {
    return [...new Set(axes.map((axis) => this.axis(axis, rank)))].sort((a, b) => a - b);
  }

  // ── How it is set ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param otherwise what TensorFlow takes when it is not said; undefined: it has to be */
  int(attribute: string, otherwise?: number): number {
    const value = Number(this.node.attr[attribute]?.['i'] ?? otherwise);
    return Number.isSafeInteger(value) ? value : this.refuse(`its attribute ${attribute} is to be a whole number`);
  }

  float(attribute: string, otherwise: number): number {
    const value = Number(this.node.attr[attribute]?.['f'] ?? otherwise);
    return Number.isFinite(value) ? value : this.refuse(`its attribute ${attribute} is to be a number`);
  }

  flag(attribute: string): boolean {
    return this.node.attr[attribute]?.['b'] === true;
  }

  text(attribute: string): string | undefined {
    return textOf(this.node, attribute);
  }

  texts(attribute: string): readonly string[] {
    return textsOf(this.node, attribute);
  }

  ints(attribute: string): readonly number[] {
    return numbersOf(this.node, attribute) ?? [];
  }

  /** What an attribute says for rows and columns: `[1, 2, 2, 1]`. */
  pair(attribute: string, otherwise?: Pair): Pair {
    const [batch, rows, columns, channels] = numbersOf(this.node, attribute) ?? [1, ...(otherwise ?? []), 1];
    const isPair = [rows, columns].every((each) => Number.isSafeInteger(each) && (each as number) >= 1);
    if (!isPair || batch !== 1 || channels !== 1) this.refuse(`its attribute ${attribute} is to be [1, rows, columns, 1], and is ${JSON.stringify(this.ints(attribute))}`);
    return [rows, columns] as Pair;
  }

  // ── What it becomes ───────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The result of an operation.
   *
   * @param part what it is of the node; undefined: the whole, which bears the node's name
   */
  add(operation: Operation, inputs: readonly Value[], { part, dtype = inputs[0]?.dtype ?? 'float32', name }: { readonly part?: string; readonly dtype?: NumberType; readonly name?: string } = {}): Value {
    return this.lowering.add(operation, inputs, { name: name ?? this.#name(part), dtype });
  }

  reshape(value: Value, shape: Shape, part?: string): Value {
    return this.lowering.reshape(value, shape, this.#name(part));
  }

  /** A number beside those of the graph. */
  number(value: number, part: string, dtype: NumberType = 'float32'): Value {
    return this.lowering.known(this.#name(part), [], { dtype, fill: (values) => values.fill(value) });
  }

  /** A list of whole numbers that is known now: a shape. */
  list(values: readonly number[], shape: Shape = [values.length]): Value {
    return this.lowering.known(this.node.name, shape, { dtype: 'int32', fill: (numbers) => numbers.set(values) });
  }

  #name(part: string | undefined): string {
    return part === undefined ? this.node.name : this.lowering.nameBeside(this.node.name, part);
  }
}

/** The rows of matrices that a node flattened images to, as they were before: so that images stay apart. Undefined: it did not. */
export function unflattened({ lowering }: NodeScope, value: Value): Computed | undefined {
  const origin = lowering.originOf(value);
  const isFlattened = origin.kind === 'computed' && origin !== value && value.shape.length === 2 && origin.shape.length > 2 && origin.shape.at(-1) === value.shape[1];
  return isFlattened ? origin : undefined;
}
