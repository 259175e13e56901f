/**
 * The one description of a network, whatever file it came from: a graph of typed operations over named tensors, in the
 * order of computing. Loaders write it (`functions/models/`), passes rewrite it (`functions/network/`), engines run it
 * (`functions/engines/`). Plain data: it can be handed to another thread.
 *
 * Tensors are as TensorFlow has them: float32, row by row, images as batch × rows × columns × channels (NHWC). A node has
 * one result, which bears its name; `inputs` are names of nodes before it or of weights. Sizes are written down for a
 * batch of one image; a network that `isBatchable` computes any number of them side by side.
 */
export type Shape = readonly number[];

/** Numbers that were learnt, or written into the file. Their memory may be shared between threads: it is read only. */
export interface Weight {
  readonly shape: Shape;
  readonly values: Float32Array;
}

/** Rows above and below, columns to the left and to the right. */
export type Sides = readonly [top: number, bottom: number, left: number, right: number];
/** Rows, then columns. */
export type Pair = readonly [rows: number, columns: number];

/** A function of one number, applied to each. */
export type Elementwise =
  | { readonly fn: PlainFunction }
  /** min and max may be infinite; ReLU6 is 0 to 6. */
  | { readonly fn: 'clip'; readonly min: number; readonly max: number }
  /** x < 0 ? alpha·x : x */
  | { readonly fn: 'leakyRelu'; readonly alpha: number }
  /** x < 0 ? alpha·(eˣ − 1) : x */
  | { readonly fn: 'elu'; readonly alpha: number }
  /** alpha·x + beta, clipped to 0 to 1 */
  | { readonly fn: 'hardSigmoid'; readonly alpha: number; readonly beta: number }
  /** x > theta ? x : 0 */
  | { readonly fn: 'thresholdedRelu'; readonly theta: number };

/** `round` is to the nearest even; `swish` x·sigmoid(x); `hardSwish` x·clip(x + 3, 0, 6)/6; `gelu` exact, `geluTanh` approximated. */
export const PLAIN_FUNCTIONS = [
  'abs', 'ceil', 'erf', 'exp', 'expm1', 'floor', 'gelu', 'geluTanh', 'hardSwish', 'log', 'log1p', 'mish', 'neg', 'reciprocal', 'relu', 'round', 'rsqrt', 'selu', 'sigmoid', 'sign', 'softplus', 'softsign', 'sqrt',
  'square', 'swish', 'tanh',
] as const;
export type PlainFunction = (typeof PLAIN_FUNCTIONS)[number];

/** Of two tensors, number by number, the smaller stretched as NumPy does. */
export const BINARY_FUNCTIONS = ['add', 'sub', 'mul', 'div', 'floorDiv', 'max', 'min', 'pow', 'squaredDifference'] as const;
export type BinaryFunction = (typeof BINARY_FUNCTIONS)[number];

interface Base {
  readonly name: string;
  readonly inputs: readonly string[];
}

/** The image: its shape is `[1, rows, columns, channels]`. */
export interface InputNode extends Base {
  readonly op: 'input';
  readonly shape: Shape;
}

/** inputs: x, kernel `[rows, columns, channels of x / groups, channels]`, bias `[channels]` or none. */
export interface ConvNode extends Base {
  readonly op: 'conv';
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly padding: Sides;
  readonly groups: number;
  readonly activation?: Elementwise;
}

/** inputs: x, kernel `[rows, columns, channels of x, multiplier]`, bias `[channels × multiplier]` or none. */
export interface DepthwiseNode extends Base {
  readonly op: 'depthwise';
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly padding: Sides;
  readonly activation?: Elementwise;
}

/**
 * The gradient of a convolution, which enlarges. inputs: x, kernel `[rows, columns, channels, channels of x]`, bias or
 * none. `padding` is cut off the result, `extra` added to it below and at the right.
 */
export interface ConvTransposeNode extends Base {
  readonly op: 'convTranspose';
  readonly strides: Pair;
  readonly padding: Sides;
  readonly extra: Pair;
}

/** inputs: a `[…, m, k]`, b `[…, k, n]` (or transposed), bias `[n]` or none. Leading sizes are stretched as NumPy does. */
export interface MatMulNode extends Base {
  readonly op: 'matmul';
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation?: Elementwise;
}

/** (x − mean) / √(variance + epsilon) · gamma + beta over the last axis. inputs: x, gamma, beta, mean, variance. */
export interface BatchNormNode extends Base {
  readonly op: 'batchNorm';
  readonly epsilon: number;
}

export interface ElementwiseNode extends Base {
  readonly op: 'elementwise';
  readonly apply: Elementwise;
}

export interface BinaryNode extends Base {
  readonly op: 'binary';
  readonly fn: BinaryFunction;
}

/** condition ≠ 0 ? a : b, all stretched as NumPy does. inputs: condition, a, b. */
export interface SelectNode extends Base {
  readonly op: 'select';
}

/** x < 0 ? alpha·x : x. inputs: x, alpha (stretched as NumPy does). */
export interface PreluNode extends Base {
  readonly op: 'prelu';
}

/** The average leaves padding out of its count, as TensorFlow does. */
export interface PoolNode extends Base {
  readonly op: 'pool';
  readonly kind: 'max' | 'average';
  readonly size: Pair;
  readonly strides: Pair;
  readonly padding: Sides;
}

export interface ReduceNode extends Base {
  readonly op: 'reduce';
  readonly kind: 'mean' | 'sum' | 'max' | 'min' | 'prod';
  /** From 0, ascending. */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

export interface SoftmaxNode extends Base {
  readonly op: 'softmax';
  readonly axis: number;
  readonly log: boolean;
}

/** The same numbers in another shape. A leading 0 is the batch; one −1 is what the others leave. */
export interface ReshapeNode extends Base {
  readonly op: 'reshape';
  readonly shape: Shape;
}

export interface TransposeNode extends Base {
  readonly op: 'transpose';
  readonly order: readonly number[];
}

export interface ConcatNode extends Base {
  readonly op: 'concat';
  readonly axis: number;
}

/** `reflect` does not repeat the edge, `symmetric` does. */
export interface PadNode extends Base {
  readonly op: 'pad';
  readonly mode: 'constant' | 'reflect' | 'symmetric';
  /** Per axis. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Of `constant`. */
  readonly value: number;
}

/** Per axis: the first, how many, every how manieth (negative: backwards). A count of the batch axis of −1 is all of it. */
export interface SliceNode extends Base {
  readonly op: 'slice';
  readonly begin: readonly number[];
  readonly count: readonly number[];
  readonly step: readonly number[];
}

/** Picks entries of an axis. */
export interface GatherNode extends Base {
  readonly op: 'gather';
  readonly axis: number;
  readonly indices: readonly number[];
}

export interface TileNode extends Base {
  readonly op: 'tile';
  readonly repeats: readonly number[];
}

/** Rows and columns, as `tf.image.resize` does. At most one of the two flags is set. */
export interface ResizeNode extends Base {
  readonly op: 'resize';
  readonly method: 'bilinear' | 'nearest';
  readonly size: Pair;
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

/** x / (bias + alpha · Σ x² over `radius` channels to both sides) ^ beta (Krizhevsky 2012; as TensorFlow counts). */
export interface LrnNode extends Base {
  readonly op: 'lrn';
  readonly radius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
}

export type NetworkNode =
  | InputNode | ConvNode | DepthwiseNode | ConvTransposeNode | MatMulNode | BatchNormNode | ElementwiseNode | BinaryNode | SelectNode | PreluNode | PoolNode | ReduceNode | SoftmaxNode | ReshapeNode | TransposeNode | ConcatNode | PadNode
  | SliceNode | GatherNode | TileNode | ResizeNode | LrnNode;

export interface Network {
  /** Each after what it takes; the first is the `input`. */
  readonly nodes: readonly NetworkNode[];
  /** By name; no node bears the name of a weight. */
  readonly weights: ReadonlyMap<string, Weight>;
  /** The node whose result is the embedding. */
  readonly output: string;
}

/** The `input` of a network. */
export function inputOf(network: Network): InputNode {
  return network.nodes.find((node) => node.op === 'input') as InputNode;
}

/** Numbers of a tensor. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function isSameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** The name that is wanted; where it is taken, with `_` behind it. */
export function unusedName(wanted: string, isTaken: (name: string) => boolean): string {
  let name = wanted;
  while (isTaken(name)) name += '_';
  return name;
}

/** Numbers as float32, copied into memory that threads can share. */
export function toSharedFloats(values: ArrayLike<number>): Float32Array {
  const shared = new Float32Array(new SharedArrayBuffer(4 * values.length));
  shared.set(values);
  return shared;
}

/** Padding as TensorFlow's `SAME` has it: the result has ⌈size / stride⌉ rows; what is odd goes below and to the right. */
export function samePadding(sizes: Pair, window: { readonly size: Pair; readonly strides: Pair; readonly dilations?: Pair }): Sides {
  const along = (axis: 0 | 1): readonly [number, number] => {
    const reach = (window.size[axis] - 1) * (window.dilations?.[axis] ?? 1) + 1;
    const total = Math.max(0, (Math.ceil(sizes[axis] / window.strides[axis]) - 1) * window.strides[axis] + reach - sizes[axis]);
    return [total >> 1, total - (total >> 1)];
  };
  return [...along(0), ...along(1)];
}

export const NO_PADDING: Sides = [0, 0, 0, 0];
