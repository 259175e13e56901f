/** What the operations of a network are in TF.js (`tfjs-core`): one node at a time. */
import type * as core from '@tensorflow/tfjs-core';
import { NO_PADDING, samePadding, type BinaryFunction, type ConvNode, type ConvTransposeNode, type DepthwiseNode, type Elementwise, type MatMulNode, type NetworkNode, type Pair, type PoolNode, type ReduceNode, type ResizeNode, type Sides, type SliceNode } from '../network/network.js';

export type Tfjs = typeof core;
type Tensor = core.Tensor;
type Image = core.Tensor4D;

/** Stands for −∞ at the edge of a maximum, as a number that every backend pads with. */
const LOWEST = -3.4e38;

/**
 * The result of a node. Called inside `tidy`: whatever lies between is left to it.
 *
 * @param inputs of the node, weights among them
 */
export function computeNode(tf: Tfjs, node: Exclude<NetworkNode, { readonly op: 'input' }>, inputs: readonly Tensor[]): Tensor {
  const [x, second] = inputs as readonly [Tensor, Tensor];
  switch (node.op) {
    case 'conv': return convolve(tf, node, inputs);
    case 'depthwise': return convolveDepthwise(tf, node, inputs);
    case 'convTranspose': return enlarge(tf, node, inputs);
    case 'matmul': return multiply(tf, node, inputs);
    case 'batchNorm': return tf.batchNorm(x, inputs[3] as core.Tensor1D, inputs[4] as core.Tensor1D, inputs[2], inputs[1], node.epsilon);
    case 'elementwise': return applyElementwise(tf, node.apply, x);
    case 'binary': return combine(tf, node.fn, x, second);
    case 'select': return tf.where(tf.notEqual(x, 0), second, inputs[2] as Tensor);
    case 'prelu': return tf.prelu(x, second);
    case 'pool': return pool(tf, node, x as Image);
    case 'reduce': return reduce(tf, node, x);
    case 'softmax': return softmax(tf, node, x);
    case 'reshape': return tf.reshape(x, node.shape.map((size, i) => (size === 0 && i === 0 ? (x.shape[0]) : size)));
    case 'transpose': return tf.transpose(x, [...node.order]);
    case 'concat': return tf.concat([...inputs], node.axis);
    case 'pad': return node.mode === 'constant' ? tf.pad(x, pairs(node), node.value) : tf.mirrorPad(x, pairs(node), node.mode);
    case 'slice': return slice(tf, node, x);
    case 'gather': return tf.gather(x, tf.tensor1d([...node.indices], 'int32'), node.axis);
    case 'tile': return tf.tile(x, [...node.repeats]);
    case 'resize': return resize(tf, node, x as Image);
    case 'lrn': return tf.localResponseNormalization(x as Image, node.radius, node.bias, node.alpha, node.beta);
  }
}

function convolve(tf: Tfjs, node: ConvNode, [x, kernel, bias]: readonly Tensor[]): Tensor {
  const { groups } = node;
  if (groups === 1) return convolveOnce(tf, node, { x: x as Image, kernel: kernel as Image, bias });
  const images = tf.split<Image>(x as Tensor, groups, 3);
  const kernels = tf.split<Image>(kernel as Tensor, groups, 3);
  const whole = tf.concat(images.map((image, i) => convolveOnce(tf, { ...node, activation: undefined }, { x: image, kernel: kernels[i] as Image, bias: undefined })), 3);
  return finish(tf, whole, bias, node.activation);
}

interface Operands {
  readonly x: Image;
  readonly kernel: Image;
  readonly bias: Tensor | undefined;
}

type Sliding = Pick<ConvNode, 'strides' | 'dilations' | 'padding'> & { readonly activation?: Elementwise | undefined };

function convolveOnce(tf: Tfjs, node: Sliding, { x, kernel, bias }: Operands): Tensor {
  const { image, pad } = padded(tf, node, { x, size: [kernel.shape[0], kernel.shape[1]], value: 0 });
  const activation = fusedName(node.activation);
  if (activation === undefined) return finish(tf, tf.conv2d(image, kernel, [...node.strides], pad, 'NHWC', [...node.dilations]), bias, node.activation);
  return tf.fused.conv2d({ x: image, filter: kernel, strides: [...node.strides], pad, dilations: [...node.dilations], ...(bias && { bias: bias }), activation });
}

function convolveDepthwise(tf: Tfjs, node: DepthwiseNode, [x, kernel, bias]: readonly Tensor[]): Tensor {
  const [rows, columns] = (kernel as Image).shape;
  const { image, pad } = padded(tf, node, { x: x as Image, size: [rows, columns], value: 0 });
  const activation = fusedName(node.activation);
  if (activation === undefined) return finish(tf, tf.depthwiseConv2d(image, kernel as Image, [...node.strides], pad, 'NHWC', [...node.dilations]), bias, node.activation);
  return tf.fused.depthwiseConv2d({ x: image, filter: kernel as Image, strides: [...node.strides], pad, dilations: [...node.dilations], ...(bias && { bias: bias }), activation });
}

/** What TF.js computes along with a convolution, on every backend alike. */
function fusedName(activation: Elementwise | undefined): 'linear' | 'relu' | 'relu6' | undefined {
  if (activation === undefined) return 'linear';
  if (activation.fn === 'relu') return 'relu';
  return activation.fn === 'clip' && activation.min === 0 && activation.max === 6 ? 'relu6' : undefined;
}

function finish(tf: Tfjs, value: Tensor, bias: Tensor | undefined, activation: Elementwise | undefined): Tensor {
  const biased = bias ? tf.add(value, bias) : value;
  return activation ? applyElementwise(tf, activation, biased) : biased;
}

/** The image as a sliding window takes it: TF.js's own padding where it is that of a node, else padded beforehand. */
function padded(tf: Tfjs, { strides, dilations = [1, 1], padding }: { readonly strides: Pair; readonly dilations?: Pair; readonly padding: Sides }, { x, size, value }: { readonly x: Image; readonly size: Pair; readonly value: number }): { readonly image: Image; readonly pad: 'valid' | 'same' } {
  if (equals(padding, NO_PADDING)) return { image: x, pad: 'valid' };
  if (equals(padding, samePadding([x.shape[1], x.shape[2]], { size, strides, dilations }))) return { image: x, pad: 'same' };
  return { image: tf.pad(x, sidePairs(padding), value), pad: 'valid' };
}

function equals(a: readonly number[], b: readonly number[]): boolean {
  return a.every((each, i) => each === b[i]);
}

function sidePairs([top, bottom, left, right]: Sides): [number, number][] {
  return [[0, 0], [top, bottom], [left, right], [0, 0]];
}

function pairs({ before, after }: { readonly before: readonly number[]; readonly after: readonly number[] }): [number, number][] {
  return before.map((each, i) => [each, after[i] as number]);
}

function enlarge(tf: Tfjs, { strides, padding, extra }: ConvTransposeNode, [x, kernel, bias]: readonly Tensor[]): Tensor {
  const image = x as Image;
  const [rows, columns, channels] = (kernel as Image).shape;
  const whole = [(image.shape[1] - 1) * strides[0] + rows, (image.shape[2] - 1) * strides[1] + columns] as const;
  const full = tf.conv2dTranspose(image, kernel as Image, [image.shape[0], ...whole, channels], [...strides], 'valid');
  const [top, bottom, left, right] = padding;
  const longer = tf.pad(full, [[0, 0], [0, extra[0]], [0, extra[1]], [0, 0]]);
  return finish(tf, tf.slice(longer, [0, top, left, 0], [image.shape[0], whole[0] + extra[0] - top - bottom, whole[1] + extra[1] - left - right, channels]), bias, undefined);
}

function multiply(tf: Tfjs, { transposeA, transposeB, activation }: MatMulNode, [a, b, bias]: readonly Tensor[]): Tensor {
  return finish(tf, tf.matMul(a as Tensor, b as Tensor, transposeA, transposeB), bias, activation);
}

function combine(tf: Tfjs, fn: BinaryFunction, a: Tensor, b: Tensor): Tensor {
  switch (fn) {
    case 'add': return tf.add(a, b);
    case 'sub': return tf.sub(a, b);
    case 'mul': return tf.mul(a, b);
    case 'div': return tf.div(a, b);
    case 'floorDiv': return tf.floor(tf.div(a, b));
    case 'max': return tf.maximum(a, b);
    case 'min': return tf.minimum(a, b);
    case 'pow': return tf.pow(a, b);
    case 'squaredDifference': return tf.squaredDifference(a, b);
  }
}

function applyElementwise(tf: Tfjs, apply: Elementwise, x: Tensor): Tensor {
  switch (apply.fn) {
    case 'clip': return clip(tf, apply, x);
    case 'leakyRelu': return tf.leakyRelu(x, apply.alpha);
    case 'elu': return apply.alpha === 1 ? tf.elu(x) : tf.where(tf.greater(x, 0), x, tf.mul(tf.sub(tf.exp(tf.minimum(x, 0)), 1), apply.alpha));
    case 'hardSigmoid': return tf.clipByValue(tf.add(tf.mul(x, apply.alpha), apply.beta), 0, 1);
    case 'thresholdedRelu': return tf.mul(x, tf.cast(tf.greater(x, apply.theta), 'float32'));
    case 'hardSwish': return tf.mul(x, tf.div(tf.clipByValue(tf.add(x, 3), 0, 6), 6));
    case 'swish': return tf.mul(x, tf.sigmoid(x));
    case 'gelu': return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
    case 'geluTanh': return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(tf.add(x, tf.mul(tf.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI))), 1));
    case 'mish': return tf.mul(x, tf.tanh(tf.softplus(x)));
    case 'softsign': return tf.div(x, tf.add(tf.abs(x), 1));
    case 'expm1': return tf.sub(tf.exp(x), 1);
    case 'log1p': return tf.log(tf.add(x, 1));
    case 'sign': return tf.sub(tf.cast(tf.greater(x, 0), 'float32'), tf.cast(tf.less(x, 0), 'float32'));
    default: return tf[apply.fn](x);
  }
}

function clip(tf: Tfjs, { min, max }: { readonly min: number; readonly max: number }, x: Tensor): Tensor {
  if (min === 0 && max === 6) return tf.relu6(x);
  const low = min === -Infinity ? x : tf.maximum(x, min);
  return max === Infinity ? low : tf.minimum(low, max);
}

function pool(tf: Tfjs, node: PoolNode, x: Image): Tensor {
  const [size, strides] = [[...node.size], [...node.strides]] as [[number, number], [number, number]];
  const { image, pad } = padded(tf, node, { x, size: node.size, value: node.kind === 'max' ? LOWEST : 0 });
  if (node.kind === 'max') return tf.maxPool(image, size, strides, pad);
  const average = tf.avgPool(image, size, strides, pad);
  if (image === x) return average;
  const counted = tf.avgPool(tf.pad<Image>(tf.ones([1, x.shape[1], x.shape[2], 1]), sidePairs(node.padding)), size, strides, 'valid');
  return tf.div(average, counted);
}

function reduce(tf: Tfjs, { kind, axes, keepDims }: ReduceNode, x: Tensor): Tensor {
  return tf[kind](x, [...axes], keepDims);
}

function softmax(tf: Tfjs, { axis, log }: { readonly axis: number; readonly log: boolean }, x: Tensor): Tensor {
  const last = x.rank - 1;
  const normalised = (value: Tensor): Tensor => (log ? tf.logSoftmax(value) : tf.softmax(value));
  if (axis === last) return normalised(x);
  const order = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
  return tf.transpose(normalised(tf.transpose(x, order)), order);
}

function slice(tf: Tfjs, { begin, count, step }: SliceNode, x: Tensor): Tensor {
  const counts = count.map((n, i) => (n === -1 ? (x.shape[i] as number) - (begin[i] as number) : n));
  if (step.every((by) => by === 1)) return tf.slice(x, [...begin], counts);
  return x.shape.reduce<Tensor>((value, _, axis) => {
    const [from, n, by] = [begin[axis] as number, counts[axis] as number, step[axis] as number];
    return tf.gather(value, tf.tensor1d(Array.from({ length: n }, (_each, i) => from + i * by), 'int32'), axis);
  }, x);
}

function resize(tf: Tfjs, { method, size, alignCorners, halfPixelCenters }: ResizeNode, x: Image): Tensor {
  return method === 'bilinear' ? tf.image.resizeBilinear(x, [...size], alignCorners, halfPixelCenters) : tf.image.resizeNearestNeighbor(x, [...size], alignCorners, halfPixelCenters);
}
