/**
 * Folds per-channel scaling and shifting (batch normalisation, multiplications and additions of constants, the scaling
 * of pixels) into the weights of the convolution or matrix product before it, or behind it. Both are linear, so that
 * w·(a·x + b) + c is (w·a)·x + (w·b + c); a pad of zeros between them is one of −b/a before (Jacob et al. 2018, 3.2).
 */
import { isSameShape, type ConvNode, type ConvTransposeNode, type DepthwiseNode, type MatMulNode, type Network, type NetworkNode, type PadNode, type Weight } from './network.js';
import { perChannel, Rewrite } from './rewrite.js';

/** Scalings in a row that are folded as one; networks have two or three. */
const CHAIN_MAX = 32;

type Linear = ConvNode | DepthwiseNode | ConvTransposeNode | MatMulNode;

/** scale · x + shift, per channel of the last axis. */
interface Affine {
  readonly x: string;
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** Into what stands before: conv → batch norm. */
export function foldAffineIntoProducers(network: Network): Network {
  const rewrite = new Rewrite(network);
  for (const node of network.nodes) {
    const affine = readAffine(rewrite, node);
    const producer = affine && rewrite.node(affine.x);
    const folded = affine && producer && isLinear(producer) && rewrite.uses(producer.name) === 1 ? scaleResult(rewrite, producer, affine) : undefined;
    if (!folded) {
      rewrite.keep(node);
      continue;
    }
    rewrite.keep(folded);
    rewrite.replace(node, folded.name);
  }
  return rewrite.finish();
}

/** Into what stands behind: the scaling of pixels → conv. */
export function foldAffineIntoConsumers(network: Network): Network {
  const rewrite = new Rewrite(network);
  for (const node of network.nodes) {
    const before = node.op === 'conv' || node.op === 'depthwise' || node.op === 'matmul' ? rewrite.node(node.inputs[0]) : undefined;
    const affine = before && readChain(rewrite, before);
    rewrite.keep((affine && isLinear(node) ? takeScaled(rewrite, node, affine) : undefined) ?? node);
  }
  return rewrite.finish();
}

function isLinear(node: NetworkNode): node is Linear {
  return (node.op === 'conv' || node.op === 'depthwise' || node.op === 'convTranspose' || node.op === 'matmul');
}

/** A node as what it does to each channel; undefined: it is nothing of the kind. */
function readAffine(rewrite: Rewrite, node: NetworkNode): Affine | undefined {
  if (node.op === 'batchNorm') return readBatchNorm(rewrite, node.inputs, node.epsilon);
  if (node.op !== 'binary' || !['add', 'sub', 'mul', 'div'].includes(node.fn)) return undefined;
  const [left, right] = node.inputs as [string, string];
  const [x, constant, isReversed] = rewrite.weight(right) ? [left, right, false] : [right, left, true];
  const weight = rewrite.weight(constant);
  const shape = rewrite.shape(node.name);
  const channels = shape.at(-1) ?? 0;
  const isWhole = weight !== undefined && !rewrite.weight(x) && isSameShape(rewrite.shape(x), shape);
  const values = isWhole ? perChannel(weight, channels) : undefined;
  if (!values) return undefined;
  const fill = (value: number): Float64Array => new Float64Array(channels).fill(value);
  switch (node.fn) {
    case 'add': return { x, scale: fill(1), shift: Float64Array.from(values) };
    case 'sub': return isReversed ? { x, scale: fill(-1), shift: Float64Array.from(values) } : { x, scale: fill(1), shift: Float64Array.from(values, (value) => -value) };
    case 'mul': return { x, scale: Float64Array.from(values), shift: fill(0) };
    default: return isReversed ? undefined : { x, scale: Float64Array.from(values, (value) => 1 / value), shift: fill(0) };
  }
}

/** Nodes in a row that scale and shift as one; only those that nothing else takes. */
function readChain(rewrite: Rewrite, last: NetworkNode): Affine | undefined {
  const read = (node: NetworkNode | undefined): Affine | undefined => (node && rewrite.uses(node.name) === 1 ? readAffine(rewrite, node) : undefined);
  let chain = read(last);
  for (let links = 1; chain && links < CHAIN_MAX; links++) {
    const outer: Affine = chain;
    const inner = read(rewrite.node(outer.x));
    if (!inner || inner.scale.length !== outer.scale.length) break;
    chain = { x: inner.x, scale: inner.scale.map((factor, i) => factor * (outer.scale[i] as number)), shift: inner.shift.map((shift, i) => shift * (outer.scale[i] as number) + (outer.shift[i] as number)) };
  }
  return chain;
}

function readBatchNorm(rewrite: Rewrite, inputs: readonly string[], epsilon: number): Affine | undefined {
  const parts = inputs.slice(1).map((name) => rewrite.weight(name)?.values);
  if (parts.includes(undefined)) return undefined;
  const [gamma, beta, mean, variance] = parts as [Float32Array, Float32Array, Float32Array, Float32Array];
  const scale = Float64Array.from(gamma, (value, i) => value / Math.sqrt((variance[i] as number) + epsilon));
  return { x: inputs[0] as string, scale, shift: Float64Array.from(beta, (value, i) => value - (mean[i] as number) * (scale[i] as number)) };
}

// ── Before ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function scaleResult(rewrite: Rewrite, node: Linear, { scale, shift }: Affine): Linear | undefined {
  const [x, kernelName, biasName] = node.inputs as [string, string, string | undefined];
  const kernel = rewrite.weight(kernelName);
  const bias = rewrite.weight(biasName);
  const isPlain = kernel !== undefined && (biasName === undefined || bias !== undefined) && !('activation' in node && node.activation);
  if (!isPlain || (node.op === 'matmul' && kernel.shape.length !== 2) || !isFinite(scale) || !isFinite(shift)) return undefined;
  const scaled = scaleChannels(kernel.values, resultLayout(node, kernel), scale);
  const shifted = Float32Array.from(shift, (value, i) => (bias?.values[i] ?? 0) * (scale[i] as number) + value);
  return { ...node, inputs: [x, rewrite.addWeight(`${kernelName}/folded`, kernel.shape, scaled), rewrite.addWeight(`${node.name}/bias/folded`, [shift.length], shifted)] };
}

/** Where channels lie in a kernel: index = (outer · channels + channel) · inner + rest. */
interface ChannelLayout {
  readonly channels: number;
  readonly inner: number;
}

/** Of the channels of the result. */
function resultLayout(node: Linear, { shape }: Weight): ChannelLayout {
  const [beforeLast, last] = shape.slice(-2) as [number, number];
  if (node.op === 'depthwise') return { channels: beforeLast * last, inner: 1 };
  return node.op === 'convTranspose' || (node.op === 'matmul' && node.transposeB) ? { channels: beforeLast, inner: last } : { channels: last, inner: 1 };
}

/** Of the channels of what is taken. */
function inputLayout(node: Linear, { shape }: Weight): ChannelLayout {
  const [beforeLast, last] = shape.slice(-2) as [number, number];
  return node.op === 'matmul' && node.transposeB ? { channels: last, inner: 1 } : { channels: beforeLast, inner: last };
}

function scaleChannels(values: Float32Array, { channels, inner }: ChannelLayout, scale: Float64Array): Float32Array {
  const scaled = new Float32Array(values.length);
  if (inner === 1) {
    for (let i = 0; i < values.length; ) for (let channel = 0; channel < channels; channel++, i++) scaled[i] = (values[i] as number) * (scale[channel] as number);
    return scaled;
  }
  for (let i = 0; i < values.length; ) {
    for (let channel = 0; channel < channels; channel++) {
      const factor = scale[channel] as number;
      for (const end = i + inner; i < end; i++) scaled[i] = (values[i] as number) * factor;
    }
  }
  return scaled;
}

function isFinite(values: Float64Array): boolean {
  return values.every((value) => Number.isFinite(value));
}

// ── Behind ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function takeScaled(rewrite: Rewrite, node: Linear, { x, scale, shift }: Affine): Linear | undefined {
  const [, kernelName, biasName] = node.inputs as [string, string, string | undefined];
  const kernel = rewrite.weight(kernelName);
  const bias = rewrite.weight(biasName);
  if (!kernel || (biasName !== undefined && !bias) || node.op === 'convTranspose' || (node.op === 'conv' && node.groups > 1) || (node.op === 'matmul' && (kernel.shape.length !== 2 || node.transposeA)) || !isFinite(scale) || !isFinite(shift)) return undefined;
  const edge = zeroBefore(node, { scale, shift });
  if (edge === undefined) return undefined;
  const taken = inputLayout(node, kernel);
  const sums = sumChannels(scaleChannels(kernel.values, taken, shift), resultLayout(node, kernel));
  const inputs = [
    edge === 0 || node.op === 'matmul' ? x : padded(rewrite, { node, x, value: edge }),
    rewrite.addWeight(`${kernelName}/folded`, kernel.shape, scaleChannels(kernel.values, taken, scale)),
    rewrite.addWeight(`${node.name}/bias/folded`, [sums.length], Float32Array.from(sums, (sum, i) => sum + (bias?.values[i] ?? 0))),
  ];
  return edge === 0 || node.op === 'matmul' ? { ...node, inputs } : { ...node, inputs, padding: [0, 0, 0, 0] };
}

function sumChannels(values: Float32Array, { channels, inner }: ChannelLayout): Float64Array {
  const sums = new Float64Array(channels);
  for (let i = 0; i < values.length; ) {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (const end = i + inner; i < end; i++) sum += values[i] as number;
      (sums[channel] as number) += sum;
    }
  }
  return sums;
}

/** What becomes 0 by scaling and shifting, the same for all channels: what to pad with before it. 0 also where nothing is padded; undefined: it differs. */
function zeroBefore(node: Linear, { scale, shift }: Pick<Affine, 'scale' | 'shift'>): number | undefined {
  if (node.op === 'matmul' || node.op === 'convTranspose' || node.padding.every((side) => side === 0) || shift.every((value) => value === 0)) return 0;
  const zeros = Array.from(scale, (factor, i) => -(shift[i] as number) / factor);
  const [first = NaN] = zeros;
  return Number.isFinite(first) && zeros.every((zero) => Math.abs(zero - first) <= 1e-6 * Math.abs(first)) ? Math.fround(first) : undefined;
}

function padded(rewrite: Rewrite, { node, x, value }: { readonly node: ConvNode | DepthwiseNode; readonly x: string; readonly value: number }): string {
  const [top, bottom, left, right] = node.padding;
  const [batch, rows, columns, channels] = rewrite.shape(x) as [number, number, number, number];
  const pad: PadNode = { op: 'pad', name: `${node.name}/padded`, inputs: [x], mode: 'constant', before: [0, top, left, 0], after: [0, bottom, right, 0], value };
  return rewrite.insert(pad, [batch, rows + top + bottom, columns + left + right, channels]);
}
