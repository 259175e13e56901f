/**
 * Computes operations whose inputs are all known when a model is loaded: shapes that a graph puts together, weights that
 * it multiplies before it uses them. What it reads and writes is bounded, so that no file can ask for much more than it
 * brings.
 */
import { stretched, stridesOf, walk, type View } from './constant-views.js';
import type { Operation } from './network-builder.js';
import { sizeOf, type BinaryFunction, type Elementwise, type ReduceNode, type Shape } from './network.js';
import { inferListShape, ShapeError } from './shapes.js';

export type NumberType = 'float32' | 'int32' | 'bool';
export type Numbers = Float32Array | Int32Array | Uint8Array;

/** Numbers that are known when a model is loaded. They are read only. */
export interface Constant {
  readonly shape: Shape;
  readonly dtype: NumberType;
  readonly values: Numbers;
}

/** Numbers that may be read and written beyond those that a model's weights allow. */
const FREE_NUMBERS = 2 ** 22;
/** How often each number of the weights may be read or written. */
const PASSES = 8;

export class Evaluator {
  #left: number;

  /** @param weightNumbers of the model altogether */
  constructor(weightNumbers: number) {
    this.#left = FREE_NUMBERS + PASSES * weightNumbers;
  }

  /**
   * The result of an operation.
   *
   * @returns undefined when it is one that only engines compute
   * @throws ShapeError when it does not fit its inputs, or asks for more than is allowed
   */
  evaluate(operation: Operation, inputs: readonly Constant[], dtype: NumberType): Constant | undefined {
    const compute = computationOf(operation);
    if (!compute && operation.op !== 'reshape') return undefined;
    const shape = inferListShape({ ...operation, name: '', inputs: [] }, inputs.map((input) => input.shape));
    if (operation.op === 'reshape') return { ...(inputs[0] as Constant), shape };
    this.charge(inputs.reduce((sum, { values }) => sum + values.length, 0));
    const values = this.make(dtype, sizeOf(shape));
    compute?.(inputs as readonly [Constant, Constant, Constant], { shape, values });
    return { shape, dtype, values };
  }

  /**
   * Room for numbers.
   *
   * @throws ShapeError when they are more than is allowed
   */
  make(dtype: NumberType, count: number): Numbers {
    this.charge(count);
    return dtype === 'float32' ? new Float32Array(count) : dtype === 'int32' ? new Int32Array(count) : new Uint8Array(count);
  }

  /** @throws ShapeError when more numbers are read and written than is allowed */
  charge(numbers: number): void {
    this.#left -= numbers;
    if (!(this.#left >= 0)) throw new ShapeError('it combines constants to more numbers than a model of its size has');
  }
}

interface Result {
  readonly shape: Shape;
  readonly values: Numbers;
}

type Computation = (inputs: readonly [Constant, Constant, Constant], result: Result) => void;

function computationOf(operation: Operation): Computation | undefined {
  switch (operation.op) {
    case 'elementwise': return elementwise(operation.apply);
    case 'binary': return ([a, b], result) => combine(result, [a, b], BINARY[operation.fn]);
    case 'select': return (inputs, result) => combine(result, inputs, (condition, a, b) => (condition !== 0 ? a : b));
    case 'reduce': return ([x], result) => reduce(x, operation, result);
    case 'transpose': return ([x], result) => read(x, { shape: result.shape, strides: operation.order.map((axis) => stridesOf(x.shape)[axis] as number), offset: 0 }, result);
    case 'slice': return ([x], result) => read(x, sliceView(x.shape, operation, result.shape), result);
    case 'tile': return ([x], result) => read(x, tileView(x.shape, operation.repeats), result);
    case 'gather': return ([x], { values }) => gather(x, operation, values);
    case 'concat': return (inputs, result) => concat(inputs, operation.axis, result);
    case 'pad': return operation.mode === 'constant' ? ([x], result) => pad(x, operation, result) : undefined;
    default: return undefined;
  }
}

const FUNCTIONS: Readonly<Partial<Record<Elementwise['fn'], (x: number) => number>>> = {
  abs: Math.abs, ceil: Math.ceil, exp: Math.exp, expm1: Math.expm1, floor: Math.floor, log: Math.log, log1p: Math.log1p, sign: Math.sign, sqrt: Math.sqrt, tanh: Math.tanh,
  neg: (x) => -x, reciprocal: (x) => 1 / x, relu: (x) => Math.max(0, x), rsqrt: (x) => 1 / Math.sqrt(x), sigmoid: (x) => 1 / (1 + Math.exp(-x)), square: (x) => x * x,
  round: (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)),
};

function elementwise(apply: Elementwise): Computation | undefined {
  const fn = apply.fn === 'clip' ? (x: number): number => Math.min(apply.max, Math.max(apply.min, x)) : FUNCTIONS[apply.fn];
  return fn && (([{ values: from }], { values }) => from.forEach((x, i) => void (values[i] = fn(x))));
}

const BINARY: Readonly<Record<BinaryFunction, (a: number, b: number) => number>> = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b, div: (a, b) => a / b, floorDiv: (a, b) => Math.floor(a / b),
  max: (a, b) => Math.max(a, b), min: (a, b) => Math.min(a, b), pow: (a, b) => a ** b, squaredDifference: (a, b) => (a - b) ** 2,
};

function combine({ shape, values }: Result, inputs: readonly Constant[], fn: (a: number, b: number, c: number) => number): void {
  const places = inputs.map((input) => {
    const at = new Uint32Array(values.length);
    walk(stretched(input.shape, shape), (i, place) => void (at[i] = place));
    return { at, from: input.values };
  });
  const number = (operand: number, i: number): number => places[operand]?.from[places[operand].at[i] as number] ?? 0;
  for (let i = 0; i < values.length; i++) values[i] = fn(number(0, i), number(1, i), number(2, i));
}

const FOLDS: Readonly<Record<ReduceNode['kind'], readonly [start: number, fold: (sum: number, x: number) => number]>> = {
  sum: [0, BINARY.add], mean: [0, BINARY.add], prod: [1, BINARY.mul], max: [-Infinity, Math.max], min: [Infinity, Math.min],
};

function reduce(x: Constant, { kind, axes }: { readonly kind: ReduceNode['kind']; readonly axes: readonly number[] }, { values }: Result): void {
  const [start, fold] = FOLDS[kind];
  const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const totals = new Float64Array(values.length).fill(start);
  walk(stretched(kept, x.shape), (i, at) => void (totals[at] = fold(totals[at] as number, x.values[i] as number)));
  const divisor = kind === 'mean' ? x.values.length / values.length : 1;
  totals.forEach((total, i) => void (values[i] = total / divisor));
}

function read(x: Constant, view: View, { values }: Result): void {
  walk(view, (i, at) => void (values[i] = x.values[at] as number));
}

function sliceView(from: Shape, { begin, step }: { readonly begin: readonly number[]; readonly step: readonly number[] }, shape: Shape): View {
  const strides = stridesOf(from);
  return { shape, strides: strides.map((stride, axis) => stride * (step[axis] as number)), offset: strides.reduce((sum, stride, axis) => sum + stride * (begin[axis] as number), 0) };
}

function tileView(from: Shape, repeats: readonly number[]): View {
  return { shape: from.flatMap((size, axis) => [repeats[axis] as number, size]), strides: stridesOf(from).flatMap((stride) => [0, stride]), offset: 0 };
}

function gather(x: Constant, { axis, indices }: { readonly axis: number; readonly indices: readonly number[] }, values: Numbers): void {
  const inner = sizeOf(x.shape.slice(axis + 1));
  const size = x.shape[axis] as number;
  for (let outer = 0, to = 0; to < values.length; outer++) {
    for (const index of indices) {
      const from = (outer * size + index) * inner;
      values.set(x.values.subarray(from, from + inner), to);
      to += inner;
    }
  }
}

function concat(inputs: readonly Constant[], axis: number, { shape, values }: Result): void {
  const strides = stridesOf(shape);
  let before = 0;
  for (const input of inputs) {
    walk({ shape: input.shape, strides, offset: before * (strides[axis] as number) }, (i, at) => void (values[at] = input.values[i] as number));
    before += input.shape[axis] as number;
  }
}

function pad(x: Constant, { before, value }: { readonly before: readonly number[]; readonly value: number }, { shape, values }: Result): void {
  const strides = stridesOf(shape);
  values.fill(value);
  walk({ shape: x.shape, strides, offset: strides.reduce((sum, stride, axis) => sum + stride * (before[axis] as number), 0) }, (i, at) => void (values[at] = x.values[i] as number));
}
