/** Infers the shapes of a network's tensors, and refuses what does not fit together before an engine meets it. */
import { isSameShape, sizeOf, type MatMulNode, type Network, type NetworkNode, type Pair, type ReshapeNode, type Shape, type Sides } from './network.js';

/** What is wrong with a node, in words that end a sentence beginning with its name: `… its kernel takes 5 channels and …`. */
export class ShapeError extends Error {}

/** Of one tensor: 2 GB. A file that asks for more is damaged or hostile. */
const SIZE_MAX = 2 ** 29;
const RANK_MAX = 8;

/**
 * The shapes of all nodes and weights.
 *
 * @param batch images side by side; a network that is not batchable fails, or gives no more than for one
 * @throws ShapeError
 */
export function inferShapes(network: Network, batch = 1): Map<string, Shape> {
  const shapes = new Map<string, Shape>([...network.weights].map(([name, { shape }]) => [name, shape]));
  for (const node of network.nodes) {
    const inputs = node.inputs.map((name) => shapes.get(name) ?? fail(`its input ${JSON.stringify(name)} is not there`));
    shapes.set(node.name, node.op === 'input' ? [batch, ...node.shape.slice(1)] : inferShape(node, inputs));
  }
  return shapes;
}

/** Whether several images can be computed side by side: every tensor that depends on the image has the batch as its first size. */
export function isBatchable(network: Network): boolean {
  try {
    const one = inferShapes(network, 1);
    const many = BATCHES_TRIED.map((batch) => [batch, inferShapes(network, batch)] as const);
    const isSideBySide = (name: string): boolean => {
      const single = one.get(name) as Shape;
      return single[0] === 1 && many.every(([batch, shapes]) => isSameShape(shapes.get(name) as Shape, [batch, ...single.slice(1)]));
    };
    const dependent = dependents(network);
    return dependent.includes(network.output) && dependent.every(isSideBySide) && network.nodes.every((node) => !mixesBatch(node));
  } catch (error) {
    if (error instanceof ShapeError) return false;
    throw error;
  }
}

/** Two, so that no axis of the network happens to have as many entries as both. */
const BATCHES_TRIED = [2, 3];

/** The names of the nodes that are computed from the image. */
export function dependents({ nodes }: Network): string[] {
  const found = new Set<string>();
  for (const { name, op, inputs } of nodes) if (op === 'input' || inputs.some((input) => found.has(input))) found.add(name);
  return [...found];
}

/** Whether images side by side would have a part in each other's result though shapes do not show it. */
function mixesBatch(node: NetworkNode): boolean {
  if (node.op === 'softmax' || node.op === 'concat' || node.op === 'gather') return node.axis === 0;
  if (node.op === 'slice') return (node.step[0] ?? 1) !== 1 || (node.begin[0] ?? 0) !== 0;
  return node.op === 'transpose' && node.order[0] !== 0;
}

/**
 * The shape of a node's result.
 *
 * @param inputs the shapes of what it takes, in the order of `node.inputs`
 * @throws ShapeError
 */
export function inferShape(node: NetworkNode, inputs: readonly Shape[]): Shape {
  const shape = inferListShape(node, inputs);
  return shape.includes(0) ? refuseSizes(shape) : shape;
}

/**
 * As `inferShape`, for what is computed while a model is loaded: a list may be empty there (the axes of no reduction).
 *
 * @throws ShapeError
 */
export function inferListShape(node: NetworkNode, inputs: readonly Shape[]): Shape {
  const shape = shapeOf(node, inputs);
  if (shape.length > RANK_MAX) fail(`it gives a tensor of ${shape.length} axes; at most ${RANK_MAX} are computed`);
  if (shape.some((size) => !Number.isInteger(size) || size < 0)) refuseSizes(shape);
  if (sizeOf(shape) > SIZE_MAX) fail(`it gives a tensor of the shape ${JSON.stringify(shape)}, more than 2 GB`);
  return shape;
}

function refuseSizes(shape: Shape): never {
  return fail(`it gives a tensor of the shape ${JSON.stringify(shape)}: its input is too small for it, or its attributes are wrong`);
}

function shapeOf(node: NetworkNode, inputs: readonly Shape[]): Shape {
  const [x = [], second = []] = inputs;
  switch (node.op) {
    case 'input': return node.shape;
    case 'conv': return convolved(x, second, { ...node, bias: inputs[2] });
    case 'depthwise': return depthwise(x, second, { ...node, bias: inputs[2] });
    case 'convTranspose': return enlarged(x, second, { ...node, bias: inputs[2] });
    case 'matmul': return multiplied(node, inputs);
    case 'batchNorm': return normalised(inputs);
    case 'elementwise': case 'lrn': return x;
    case 'binary': return broadcast(x, second);
    case 'select': return broadcast(x, broadcast(second, inputs[2] ?? []));
    case 'prelu': return sizeOf(broadcast(x, second)) === sizeOf(x) ? x : fail(`its slopes are of the shape ${JSON.stringify(second)} and its input of ${JSON.stringify(x)}`);
    case 'pool': return pooled(x, node);
    case 'reduce': return reduced(x, node);
    case 'softmax': return node.axis in x ? x : fail(`it has no axis ${node.axis} of ${JSON.stringify(x)}`);
    case 'reshape': return reshaped(x, node);
    case 'transpose': return permuted(x, node.order);
    case 'concat': return concatenated(inputs, node.axis);
    case 'pad': return requireRank(x, node.before.length).map((size, i) => size + (node.before[i] as number) + (node.after[i] as number));
    case 'slice': return sliced(x, node);
    case 'gather': return gathered(x, node);
    case 'tile': return requireRank(x, node.repeats.length).map((size, i) => size * (node.repeats[i] as number));
    case 'resize': return [requireRank(x, 4)[0] as number, ...node.size, x[3] as number];
  }
}

interface Window {
  readonly strides: Pair;
  readonly dilations?: Pair;
  readonly padding: Sides;
}

/** Rows and columns after a window has gone over them. */
function slide(x: Shape, size: Pair, { strides, dilations = [1, 1], padding }: Window): Pair {
  const along = (axis: 0 | 1): number => {
    const padded = (x[axis + 1] as number) + (padding[2 * axis] as number) + (padding[2 * axis + 1] as number);
    return Math.floor((padded - ((size[axis] - 1) * dilations[axis] + 1)) / strides[axis]) + 1;
  };
  if ([...strides, ...dilations, ...size].some((each) => !Number.isInteger(each) || each < 1) || padding.some((each) => !Number.isInteger(each) || each < 0)) fail('its strides, dilations, sizes or padding are none');
  return [along(0), along(1)];
}

type Kernelled = Window & { readonly bias: Shape | undefined };

function convolved(x: Shape, kernel: Shape, node: Kernelled & { readonly groups: number }): Shape {
  const [rows, columns, taken, given] = requireKernel(x, kernel);
  const { groups } = node;
  if (taken * groups !== x[3] || given % groups !== 0) fail(`its kernel takes ${taken * groups} channels and its input has ${x[3]}${groups > 1 ? ` (${groups} groups, ${given} channels given)` : ''}`);
  requireBias(node.bias, given);
  return [x[0] as number, ...slide(x, [rows, columns], node), given];
}

function depthwise(x: Shape, kernel: Shape, node: Kernelled): Shape {
  const [rows, columns, channels, multiplier] = requireKernel(x, kernel);
  if (channels !== x[3]) fail(`its kernel takes ${channels} channels and its input has ${x[3]}`);
  requireBias(node.bias, channels * multiplier);
  return [x[0] as number, ...slide(x, [rows, columns], node), channels * multiplier];
}

function enlarged(x: Shape, kernel: Shape, { strides, padding, extra, bias }: { readonly strides: Pair; readonly padding: Sides; readonly extra: Pair; readonly bias: Shape | undefined }): Shape {
  const [rows, columns, given, taken] = requireKernel(x, kernel);
  if (taken !== x[3]) fail(`its kernel takes ${taken} channels and its input has ${x[3]}`);
  requireBias(bias, given);
  const along = (axis: 0 | 1, size: number): number => ((x[axis + 1] as number) - 1) * strides[axis] + size - (padding[2 * axis] as number) - (padding[2 * axis + 1] as number) + extra[axis];
  return [x[0] as number, along(0, rows), along(1, columns), given];
}

function requireKernel(x: Shape, kernel: Shape): readonly [number, number, number, number] {
  if (kernel.length !== 4 || x.length !== 4) fail(`its kernel is of the shape ${JSON.stringify(kernel)} and its input of ${JSON.stringify(x)}; both have four sizes`);
  return kernel as readonly [number, number, number, number];
}

function requireBias(bias: Shape | undefined, channels: number): void {
  if (bias && (bias.length !== 1 || bias[0] !== channels)) fail(`its bias is of the shape ${JSON.stringify(bias)} where it gives ${channels} channels`);
}

function multiplied({ transposeA, transposeB }: MatMulNode, [a = [], b = [], bias]: readonly Shape[]): Shape {
  if (a.length < 2 || b.length < 2) fail(`it multiplies the shapes ${JSON.stringify(a)} and ${JSON.stringify(b)}; both are matrices`);
  const [m, k] = transposeA ? [a.at(-1), a.at(-2)] : [a.at(-2), a.at(-1)];
  const [inner, n] = transposeB ? [b.at(-1), b.at(-2)] : [b.at(-2), b.at(-1)];
  if (k !== inner) fail(`its weights take ${inner} numbers and its input has ${k}`);
  requireBias(bias, n as number);
  return [...broadcast(a.slice(0, -2), b.slice(0, -2)), m as number, n as number];
}

function normalised([x = [], ...parts]: readonly Shape[]): Shape {
  const channels = x.at(-1) as number;
  const wrong = parts.find((part) => part.length !== 1 || part[0] !== channels);
  return wrong ? fail(`a weight of it is of the shape ${JSON.stringify(wrong)} and its input has ${channels} channels`) : x;
}

/** @throws ShapeError when sizes differ and neither is 1 */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const at = (shape: Shape, i: number): number => shape[i - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, i) => {
    const [left, right] = [at(a, i), at(b, i)];
    if (left !== right && left !== 1 && right !== 1) fail(`it combines the shapes ${JSON.stringify(a)} and ${JSON.stringify(b)}, which do not fit`);
    return left === 1 ? right : left;
  });
}

function pooled(x: Shape, node: Window & { readonly size: Pair }): Shape {
  requireRank(x, 4);
  return [x[0] as number, ...slide(x, node.size, node), x[3] as number];
}

function reduced(x: Shape, { axes, keepDims }: { readonly axes: readonly number[]; readonly keepDims: boolean }): Shape {
  if (axes.some((axis) => !(axis in x))) fail(`it reduces the axes ${JSON.stringify(axes)} of ${JSON.stringify(x)}`);
  return keepDims ? x.map((size, i) => (axes.includes(i) ? 1 : size)) : x.filter((_, i) => !axes.includes(i));
}

function reshaped(x: Shape, { shape }: ReshapeNode): Shape {
  const wanted = shape.map((size, i) => (size === 0 && i === 0 ? (x[0] as number) : size));
  const known = sizeOf(wanted.filter((size) => size !== -1));
  const filled = wanted.map((size) => (size === -1 ? sizeOf(x) / known : size));
  return wanted.filter((size) => size === -1).length <= 1 && sizeOf(filled) === sizeOf(x) ? filled : fail(`it gives ${JSON.stringify(x)} the shape ${JSON.stringify(shape)}, which has another number of numbers`);
}

function permuted(x: Shape, order: readonly number[]): Shape {
  const isOrder = order.length === x.length && [...order].sort((a, b) => a - b).every((axis, i) => axis === i);
  return isOrder ? order.map((axis) => x[axis] as number) : fail(`it puts the axes of ${JSON.stringify(x)} in the order ${JSON.stringify(order)}`);
}

function concatenated(inputs: readonly Shape[], axis: number): Shape {
  const [first = []] = inputs;
  const fits = axis in first && inputs.every((shape) => shape.length === first.length && shape.every((size, i) => i === axis || size === first[i]));
  if (!fits) fail(`it puts the shapes ${inputs.map((shape) => JSON.stringify(shape)).join(', ')} together along axis ${axis}, which do not fit`);
  return first.map((size, i) => (i === axis ? inputs.reduce((sum, shape) => sum + (shape[axis] as number), 0) : size));
}

function sliced(x: Shape, { begin, count, step }: { readonly begin: readonly number[]; readonly count: readonly number[]; readonly step: readonly number[] }): Shape {
  requireRank(x, begin.length);
  return x.map((size, i) => {
    const [from, n, by] = [begin[i] as number, count[i] === -1 ? size - (begin[i] as number) : (count[i] as number), step[i] as number];
    const last = from + (n - 1) * by;
    if (n === 0) return 0;
    return n >= 1 && by !== 0 && from >= 0 && from < size && last >= 0 && last < size ? n : fail(`it takes ${n} of ${JSON.stringify(x)} from ${from} on along axis ${i}`);
  });
}

function gathered(x: Shape, { axis, indices }: { readonly axis: number; readonly indices: readonly number[] }): Shape {
  const size = x[axis] ?? fail(`it has no axis ${axis} of ${JSON.stringify(x)}`);
  if (indices.some((index) => !(Number.isInteger(index) && index >= 0 && index < size))) fail(`it picks entries that are not there of ${JSON.stringify(x)} along axis ${axis}`);
  return x.map((each, i) => (i === axis ? indices.length : each));
}

function requireRank(x: Shape, rank: number): Shape {
  return x.length === rank ? x : fail(`its input is of the shape ${JSON.stringify(x)}; it takes one of ${rank} sizes`);
}

function fail(detail: string): never {
  throw new ShapeError(detail);
}
