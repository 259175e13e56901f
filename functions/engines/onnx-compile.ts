/** Compiles a network to an ONNX model that takes pixels. */
import { inputOf, type BatchNormNode, type BinaryNode, type GatherNode, type MatMulNode, type Network, type NetworkNode, type PadNode, type PreluNode, type ReduceNode, type SelectNode, type SliceNode } from '../network/network.js';
import { inferShapes } from '../network/shapes.js';
import { emitConv, emitConvTranspose, emitDepthwise, emitPool, emitResize } from './onnx-convolutions.js';
import { emitBinary, emitElementwise } from './onnx-elementwise.js';
import { FIRST_AXES, OnnxWriter, permute, type Layout } from './onnx-writer.js';

export interface CompileOptions {
  /** Whether any number of images can be computed side by side; else one. */
  readonly isBatching: boolean;
}

/** ONNX's numbers for types. */
const [FLOAT, BOOL] = [1, 9];

export const INPUT = 'pixels';
export const OUTPUT = 'embedding';

/**
 * The bytes of an ONNX model with the input `pixels` (uint8, images × rows × columns × 3) and the output `embedding`
 * (float32, images × numbers).
 *
 * @param network takes pixels and gives a vector for each image
 */
export function compileOnnx(network: Network, { isBatching }: CompileOptions): Uint8Array {
  const shapes = inferShapes(network);
  const writer = new OnnxWriter(shapes, network.weights, [INPUT, OUTPUT]);
  const input = inputOf(network);
  const batch = isBatching ? 'images' : 1;
  const first = writer.emit('Transpose', [INPUT], { perm: [0, 3, 1, 2] }, `${INPUT}/first`);
  writer.place(input.name, 'channelsFirst', writer.emit('Cast', [first], { to: FLOAT }, `${INPUT}/real`));
  const pooled = new Set(network.nodes.filter(({ op }) => op === 'pool').map(({ inputs }) => inputs[0]));
  for (const node of network.nodes) if (node.op !== 'input') emitNode(writer, node.op === 'pad' && node.value === 0 && pooled.has(node.name) ? { ...node, value: ALMOST_ZERO } : node);
  const [, ...sizes] = writer.shape(network.output);
  const dim = sizes.reduce((product, size) => product * size, 1);
  writer.emitOutput('Reshape', [writer.take(network.output, 'channelsLast'), writer.integers([0, dim])], OUTPUT);
  return writer.finish([{ name: INPUT, type: 'uint8', shape: [batch, ...input.shape.slice(1)] }], [{ name: OUTPUT, type: 'float32', shape: [batch, dim] }]);
}

function emitNode(writer: OnnxWriter, node: Exclude<NetworkNode, { readonly op: 'input' }>): void {
  const { name } = node;
  const [x] = node.inputs as [string];
  const first = (onnxName: string): void => writer.place(name, 'channelsFirst', onnxName);
  const last = (onnxName: string): void => writer.place(name, 'channelsLast', onnxName);
  const layout = commonLayout(writer, node.inputs);
  const kept = (onnxName: string): void => writer.place(name, layout, onnxName);
  const there = (axis: number): number => (layout === 'channelsFirst' ? (FIRST_AXES[axis] as number) : axis);
  switch (node.op) {
    case 'conv': return first(emitConv(writer, node));
    case 'depthwise': return first(emitDepthwise(writer, node));
    case 'convTranspose': return first(emitConvTranspose(writer, node));
    case 'pool': return first(emitPool(writer, node));
    case 'resize': return first(emitResize(writer, node));
    case 'lrn': return first(writer.emit('LRN', [writer.take(x, 'channelsFirst')], { size: 2 * node.radius + 1, alpha: { float: node.alpha * (2 * node.radius + 1) }, beta: { float: node.beta }, bias: { float: node.bias } }, name));
    case 'batchNorm': return emitBatchNorm(writer, node);
    case 'elementwise': return kept(emitElementwise(writer, node.apply, writer.take(x, layout), name));
    case 'binary': case 'prelu': case 'select': return emitStretched(writer, node);
    case 'reduce': return emitReduce(writer, node, layout);
    case 'softmax': return kept(writer.emit(node.log ? 'LogSoftmax' : 'Softmax', [writer.take(x, layout)], { axis: there(node.axis) }, name));
    case 'concat': return kept(writer.emit('Concat', node.inputs.map((each) => writer.take(each, layout)), { axis: there(node.axis) }, name));
    case 'gather': return kept(emitGather(writer, node, { x: writer.take(x, layout), axis: there(node.axis) }));
    case 'pad': return kept(emitPad(writer, node, { x: writer.take(x, layout), layout }));
    case 'slice': return kept(emitSlice(writer, node, { x: writer.take(x, layout), there }));
    case 'tile': return kept(writer.emit('Tile', [writer.take(x, layout), writer.integers(arranged(node.repeats, layout))], {}, name));
    case 'reshape': return last(writer.emit('Reshape', [writer.take(x, 'channelsLast'), writer.integers(node.shape)], {}, name));
    case 'transpose': return last(writer.emit('Transpose', [writer.take(x, 'channelsLast')], { perm: [...node.order] }, name));
    case 'matmul': return last(emitMatMul(writer, node));
  }
}

/** Channels first where any of the inputs stands so. */
function commonLayout(writer: OnnxWriter, inputs: readonly string[]): Layout {
  return inputs.some((name) => writer.layoutOf(name) === 'channelsFirst') ? 'channelsFirst' : 'channelsLast';
}

/** What is said for each axis of an image, in the order of a layout. */
function arranged(values: readonly number[], layout: Layout): number[] {
  return layout === 'channelsFirst' ? ([0, 3, 1, 2] as const).map((axis) => values[axis] as number) : [...values];
}

/** ONNX's batch normalisation has channels as the second of all axes. */
function emitBatchNorm(writer: OnnxWriter, { name, inputs, epsilon }: BatchNormNode): void {
  const [x, ...parts] = inputs as [string, string, string, string, string];
  const rank = writer.shape(x).length;
  const parameters = parts.map((part) => writer.take(part, 'channelsLast'));
  if (rank === 4) return writer.place(name, 'channelsFirst', writer.emit('BatchNormalization', [writer.take(x, 'channelsFirst'), ...parameters], { epsilon: { float: epsilon } }, name));
  const flat = rank === 2 ? writer.take(x, 'channelsLast') : writer.emit('Reshape', [writer.take(x, 'channelsLast'), writer.integers([-1, writer.shape(x).at(-1) as number])], {}, name);
  const normalised = writer.emit('BatchNormalization', [flat, ...parameters], { epsilon: { float: epsilon } }, name);
  writer.place(name, 'channelsLast', rank === 2 ? normalised : writer.emit('Reshape', [normalised, writer.integers([rank === 1 ? -1 : 0, ...writer.shape(x).slice(1)].map((size, i) => (i === 0 ? -1 : size)))], {}, name));
}

/** All inputs in one layout; in channels first only where the result is an image and none is a smaller tensor that is computed. */
function emitStretched(writer: OnnxWriter, node: BinaryNode | PreluNode | SelectNode): void {
  const computed = node.inputs.filter((name) => !writer.weight(name));
  const isImage = writer.shape(node.name).length === 4 && computed.every((name) => writer.shape(name).length === 4);
  const layout = isImage ? commonLayout(writer, node.inputs) : 'channelsLast';
  const inputs = node.inputs.map((name) => writer.take(name, layout)) as [string, string, string];
  writer.place(node.name, layout, node.op === 'prelu' ? writer.emit('PRelu', inputs, {}, node.name) : node.op === 'select' ? emitSelect(writer, inputs, node.name) : emitBinary(writer, node.fn, [inputs[0], inputs[1]], node.name));
}

function emitSelect(writer: OnnxWriter, [condition, a, b]: readonly [string, string, string], name: string): string {
  return writer.emit('Where', [writer.emit('Cast', [condition], { to: BOOL }, name), a, b], {}, name);
}

const REDUCTIONS = { mean: 'ReduceMean', sum: 'ReduceSum', max: 'ReduceMax', min: 'ReduceMin', prod: 'ReduceProd' } as const;

function emitReduce(writer: OnnxWriter, { name, inputs, kind, axes, keepDims }: ReduceNode, layout: Layout): void {
  const [x] = inputs as [string];
  const isPositions = axes.length === 2 && axes[0] === 1 && axes[1] === 2 && writer.shape(x).length === 4;
  if (isPositions && (kind === 'mean' || kind === 'max')) {
    const pooled = writer.emit(kind === 'mean' ? 'GlobalAveragePool' : 'GlobalMaxPool', [writer.take(x, 'channelsFirst')], {}, name);
    return keepDims ? writer.place(name, 'channelsFirst', pooled) : writer.place(name, 'channelsLast', writer.emit('Reshape', [pooled, writer.integers([0, writer.shape(x)[3] as number])], {}, name));
  }
  const keepsOrder = keepDims || axes.includes(3) || (axes.includes(1) && axes.includes(2));
  const taken: Layout = layout === 'channelsFirst' && keepsOrder ? 'channelsFirst' : 'channelsLast';
  const there = axes.map((axis) => (taken === 'channelsFirst' ? (FIRST_AXES[axis] as number) : axis)).sort((a, b) => a - b);
  writer.place(name, taken, writer.emit(REDUCTIONS[kind], [writer.take(x, taken), writer.integers(there)], { keepdims: keepDims ? 1 : 0 }, name));
}

function emitGather(writer: OnnxWriter, { name, indices }: Pick<GatherNode, 'name' | 'indices'>, { x, axis }: { readonly x: string; readonly axis: number }): string {
  return writer.emit('Gather', [x, writer.integers(indices)], { axis }, name);
}

/** The smallest number that is not denormal. It stands for 0 in padding before a pooling, into which onnxruntime 1.30 would wrongly merge it. */
const ALMOST_ZERO = 2 ** -126;

function emitPad(writer: OnnxWriter, { name, inputs, mode, before, after, value }: PadNode, { x, layout }: { readonly x: string; readonly layout: Layout }): string {
  if (mode !== 'symmetric') return writer.emit('Pad', [x, writer.integers([...arranged(before, layout), ...arranged(after, layout)]), ...(mode === 'constant' ? [writer.scalar(value)] : [])], { mode }, name);
  const shape = arranged(writer.shape(inputs[0] as string), layout);
  const ends = arranged(after, layout);
  return arranged(before, layout).reduce((padded, begin, axis) => {
    const [size, end] = [shape[axis] as number, ends[axis] as number];
    if (begin === 0 && end === 0) return padded;
    const indices = Array.from({ length: begin + size + end }, (_, i) => (i < begin ? begin - 1 - i : i < begin + size ? i - begin : 2 * size + begin - 1 - i));
    return emitGather(writer, { name, indices }, { x: padded, axis });
  }, x);
}

function emitSlice(writer: OnnxWriter, node: SliceNode, { x, there }: { readonly x: string; readonly there: (axis: number) => number }): string {
  const shape = writer.shape(node.inputs[0] as string);
  const cuts = shape.flatMap((size, axis) => {
    const [from, by] = [node.begin[axis] as number, node.step[axis] as number];
    const count = node.count[axis] === -1 ? size - from : (node.count[axis] as number);
    if (axis === 0 && from === 0 && by === 1 && count === size) return [];
    const end = from + count * by;
    return [{ axis: there(axis), from, end: end < 0 ? -size - 1 : end, by }];
  });
  const each = (of: (cut: (typeof cuts)[0]) => number): string => writer.integers(cuts.map(of));
  return writer.emit('Slice', [x, each(({ from }) => from), each(({ end }) => end), each(({ axis }) => axis), each(({ by }) => by)], {}, node.name);
}

function emitMatMul(writer: OnnxWriter, node: MatMulNode): string {
  const [a, b, bias] = node.inputs as [string, string, string | undefined];
  const [left, right] = [writer.take(a, 'channelsLast'), writer.take(b, 'channelsLast')];
  const added = bias === undefined ? [] : [writer.take(bias, 'channelsLast')];
  const isFlat = writer.shape(a).length === 2 && writer.shape(b).length === 2;
  const product = isFlat
    ? writer.emit('Gemm', [left, right, ...added], { transA: node.transposeA ? 1 : 0, transB: node.transposeB ? 1 : 0 }, node.name)
    : added.reduce((value, each) => writer.emit('Add', [value, each], {}, node.name), writer.emit('MatMul', [turned(writer, a, node.transposeA), turned(writer, b, node.transposeB)], {}, node.name));
  return node.activation ? emitElementwise(writer, node.activation, product, node.name) : product;
}

/** A tensor with its last two axes exchanged, where it is to be. */
function turned(writer: OnnxWriter, name: string, isTransposed: boolean): string {
  const shape = writer.shape(name);
  const order = shape.map((_, i) => (i < shape.length - 2 ? i : 2 * shape.length - 3 - i));
  if (!isTransposed) return writer.take(name, 'channelsLast');
  const weight = writer.weight(name);
  return weight ? writer.constant(`${name}/turned`, () => ({ shape: order.map((axis) => shape[axis] as number), values: permute(weight.values, shape, order) })) : writer.emit('Transpose', [writer.take(name, 'channelsLast')], { perm: order }, `${name}/turned`);
}
