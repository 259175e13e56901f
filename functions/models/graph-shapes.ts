/**
 * The shapes of what the nodes of a graph give, as far as the operations of image networks go: enough to tell a vector
 * from a feature map, and a pooling over all positions from one over a few. Engines do not use them: they compute.
 */
import type { GraphNode, InputShape } from './model.js';
import { numbersOf, textOf } from './graph-attributes.js';
import { nodeOf } from './graph-file.js';
import { ARITHMETIC, CLASSIFYING, CONVOLVING, ELEMENTWISE, MULTIPLYING, NORMALISING } from './graph-ops.js';

/** Sizes, the batch (1) first; −1 where it cannot be told. */
export type Shape = readonly number[];
/** Undefined: not even how many sizes there are can be told. */
export type Shapes = ReadonlyMap<string, Shape | undefined>;

/** A `Const`: the shape of its weight, and its numbers where they are few. */
export interface Constant {
  readonly shape: Shape;
  readonly values: readonly number[] | undefined;
}

interface Situation {
  readonly constants: ReadonlyMap<string, Constant>;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  /** The shapes of a node's inputs. */
  readonly inputs: readonly (Shape | undefined)[];
}

/** Shapes of more sizes are followed no further: TF.js has none. */
const RANK_MAX = 6;
const DEPTHWISE = new Set(['DepthwiseConv2dNative', 'FusedDepthwiseConv2dNative']);
const POOLING = new Set(['AvgPool', 'MaxPool']);
export const REDUCING = new Set(['Mean', 'Max', 'Sum', 'Min', 'Prod']);

/**
 * The shapes of nodes in the order of computing.
 *
 * @param known.inputName the node that takes the image
 */
export function inferShapes(ordered: readonly GraphNode[], known: { readonly inputName: string; readonly input: InputShape; readonly constants: ReadonlyMap<string, Constant> }): Shapes {
  const { constants, input } = known;
  const nodes = new Map(ordered.map((node) => [node.name, node]));
  const shapes = new Map<string, Shape | undefined>();
  for (const node of ordered) {
    const shape = node.name === known.inputName ? [1, input.height, input.width, input.channels] : node.op === 'Const' ? constants.get(node.name)?.shape : shapeOf(node, { constants, nodes, inputs: node.inputs.map((each) => (each.includes(':') ? undefined : shapes.get(each))) });
    shapes.set(node.name, shape && shape.length <= RANK_MAX ? shape : undefined);
  }
  return shapes;
}

function shapeOf(node: GraphNode, situation: Situation): Shape | undefined {
  const { op } = node;
  const [first, second] = situation.inputs;
  if (ELEMENTWISE.has(op) || CLASSIFYING.has(op) || NORMALISING.has(op)) return first;
  if (ARITHMETIC.has(op)) return broadcast(first, second);
  if (CONVOLVING.has(op) || DEPTHWISE.has(op)) return second?.length === 4 ? convolved(node, first, { rows: second[0] as number, columns: second[1] as number, channels: DEPTHWISE.has(op) ? (second[2] as number) * (second[3] as number) : (second[3] as number) }) : undefined;
  if (POOLING.has(op)) return pooled(node, first);
  if (MULTIPLYING.has(op)) return multiplied(node, first, second);
  if (op === 'Squeeze' && first) return squeezed(node, first);
  const argument = argumentOf(node, situation);
  if (REDUCING.has(op) && first && argument) return reduced(first, argument, node.attr['keep_dims']?.['b'] === true);
  if (op === 'Reshape' && argument) return reshaped(first, argument);
  if (op === 'ExpandDims' && first && argument) return argument.reduce<number[]>((shape, axis) => shape.toSpliced(axis < 0 ? axis + shape.length + 1 : axis, 0, 1), [...first]);
  if (op === 'Pad' || op === 'PadV2' || op === 'MirrorPad') return first?.map((size, i) => (size < 0 || !argument ? -1 : size + (argument[2 * i] ?? NaN) + (argument[2 * i + 1] ?? NaN)));
  if (op === 'Transpose' && first && argument) return argument.map((axis) => first[axis] ?? -1);
  if (op === 'ConcatV2') return concatenated(situation.inputs.slice(0, -1), lastValue(node, situation));
  if (op === 'ResizeBilinear' || op === 'ResizeNearestNeighbor') return first?.length === 4 ? [first[0] as number, argument?.[0] ?? -1, argument?.[1] ?? -1, first[3] as number] : undefined;
  return undefined;
}

/** The numbers of a node's second input: axes, a shape, paddings. Those of a `Pack` that are computed count as −1. */
function argumentOf(node: GraphNode, { constants, nodes }: Situation): readonly number[] | undefined {
  const argument = nodes.get(nodeOf(node.inputs[1] ?? ''));
  if (argument?.op !== 'Pack') return constants.get(argument?.name ?? '')?.values;
  return argument.inputs.map((each) => constants.get(each)?.values?.[0] ?? -1);
}

function lastValue(node: GraphNode, { constants }: Situation): number | undefined {
  return constants.get(node.inputs.at(-1) ?? '')?.values?.[0];
}

function broadcast(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b) return undefined;
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  const offset = long.length - short.length;
  return long.map((size, i) => (i < offset ? size : size === 1 ? (short[i - offset] as number) : size));
}

/** Rows and columns after a window has gone over them, by TensorFlow's rules for `SAME`, `VALID` and `EXPLICIT`. */
function convolved(node: GraphNode, shape: Shape | undefined, window: { readonly rows: number; readonly columns: number; readonly channels: number }): Shape | undefined {
  if (shape?.length !== 4) return undefined;
  const strides = numbersOf(node, 'strides') ?? [1, 1, 1, 1];
  const dilations = numbersOf(node, 'dilations') ?? [1, 1, 1, 1];
  const paddings = numbersOf(node, 'explicit_paddings') ?? [];
  const padding = textOf(node, 'padding');
  const along = (axis: 1 | 2, kernel: number): number => {
    const size = shape[axis] as number;
    const stride = strides[axis] ?? 1;
    if (size < 0 || stride < 1) return -1;
    if (padding === 'SAME') return Math.ceil(size / stride);
    const padded = size + (padding === 'EXPLICIT' ? (paddings[2 * axis] ?? 0) + (paddings[2 * axis + 1] ?? 0) : 0);
    return Math.floor((padded - ((kernel - 1) * (dilations[axis] ?? 1) + 1)) / stride) + 1;
  };
  return [shape[0] as number, along(1, window.rows), along(2, window.columns), window.channels];
}

function pooled(node: GraphNode, shape: Shape | undefined): Shape | undefined {
  const [, rows = NaN, columns = NaN] = numbersOf(node, 'ksize') ?? [];
  return convolved(node, shape, { rows, columns, channels: shape?.[3] ?? -1 });
}

function multiplied(node: GraphNode, a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length < 2 || b.length < 2) return undefined;
  const isTransposed = (side: 'a' | 'b', other: 'x' | 'y'): boolean => node.attr[`transpose_${side}`]?.['b'] === true || node.attr[`adj_${other}`]?.['b'] === true;
  return [...a.slice(0, -2), a.at(isTransposed('a', 'x') ? -1 : -2) as number, b.at(isTransposed('b', 'y') ? -2 : -1) as number];
}

function squeezed(node: GraphNode, shape: Shape): Shape | undefined {
  const listed = numbersOf(node, 'squeeze_dims') ?? numbersOf(node, 'axis') ?? [];
  if (listed.length === 0) return shape.includes(-1) ? undefined : shape.filter((size) => size !== 1);
  const axes = new Set(listed.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  return shape.filter((_, i) => !axes.has(i));
}

function reduced(shape: Shape, axes: readonly number[], keep: boolean): Shape {
  const gone = new Set(axes.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  return keep ? shape.map((size, i) => (gone.has(i) ? 1 : size)) : shape.filter((_, i) => !gone.has(i));
}

/** One open size is what the others leave. The batch, where it is computed, is 1. */
function reshaped(from: Shape | undefined, wanted: readonly number[]): Shape {
  const sizes = wanted.length > 1 && wanted[0] === -1 && wanted.slice(1).includes(-1) ? [1, ...wanted.slice(1)] : wanted;
  const product = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);
  if (!from || from.includes(-1)) return sizes.map((size, i) => (size === -1 && i === 0 ? 1 : size));
  const rest = product(from) / product(sizes.filter((size) => size !== -1));
  return sizes.map((size) => (size === -1 ? rest : size));
}

function concatenated(shapes: readonly (Shape | undefined)[], axis: number | undefined): Shape | undefined {
  const first = shapes[0];
  if (!first || axis === undefined) return undefined;
  const at = axis < 0 ? axis + first.length : axis;
  return first.map((size, i) => (i !== at ? size : shapes.some((shape) => (shape?.[at] ?? -1) < 0) ? -1 : shapes.reduce((sum, shape) => sum + (shape?.[at] as number), 0)));
}
