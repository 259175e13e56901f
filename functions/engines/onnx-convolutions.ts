/** What sliding windows are in ONNX: convolutions, poolings, resizing. All take and give channels first. */
import type { ConvNode, ConvTransposeNode, DepthwiseNode, PoolNode, ResizeNode, Sides, Weight } from '../network/network.js';
import { emitElementwise } from './onnx-elementwise.js';
import type { OnnxTensor } from './onnx-encoding.js';
import { permute, type OnnxWriter } from './onnx-writer.js';

/** ONNX names the beginnings of both axes, then their ends. */
function pads([top, bottom, left, right]: Sides): number[] {
  return [top, left, bottom, right];
}

export function emitConv(writer: OnnxWriter, node: ConvNode): string {
  const kernel = emitKernel(writer, node.inputs[1] as string, { as: 'oihw', order: [3, 2, 0, 1] });
  const { strides, dilations, groups, padding } = node;
  const inputs = [writer.take(node.inputs[0] as string, 'channelsFirst'), kernel, ...emitBias(writer, node.inputs[2])];
  const result = writer.emit('Conv', inputs, { strides: [...strides], dilations: [...dilations], group: groups, pads: pads(padding) }, node.name);
  return node.activation ? emitElementwise(writer, node.activation, result, node.name) : result;
}

/** A convolution of as many groups as channels; its results lie in the order channel, multiplier, in both. */
export function emitDepthwise(writer: OnnxWriter, node: DepthwiseNode): string {
  const [rows, columns, channels, multiplier] = writer.shape(node.inputs[1] as string) as [number, number, number, number];
  const reshape = ({ values }: OnnxTensor | Omit<OnnxTensor, 'name'>): Omit<OnnxTensor, 'name'> => ({ shape: [channels * multiplier, 1, rows, columns], values });
  const kernel = emitKernel(writer, node.inputs[1] as string, { as: 'depthwise', order: [2, 3, 0, 1], reshape });
  const inputs = [writer.take(node.inputs[0] as string, 'channelsFirst'), kernel, ...emitBias(writer, node.inputs[2])];
  const result = writer.emit('Conv', inputs, { strides: [...node.strides], dilations: [...node.dilations], group: channels, pads: pads(node.padding) }, node.name);
  return node.activation ? emitElementwise(writer, node.activation, result, node.name) : result;
}

export function emitConvTranspose(writer: OnnxWriter, node: ConvTransposeNode): string {
  const kernel = emitKernel(writer, node.inputs[1] as string, { as: 'iohw', order: [3, 2, 0, 1] });
  const inputs = [writer.take(node.inputs[0] as string, 'channelsFirst'), kernel, ...emitBias(writer, node.inputs[2])];
  return writer.emit('ConvTranspose', inputs, { strides: [...node.strides], pads: pads(node.padding), output_padding: [...node.extra] }, node.name);
}

interface Arrangement {
  readonly as: string;
  /** Axes of the network's kernel in the order of ONNX's. */
  readonly order: readonly number[];
  readonly reshape?: (tensor: Omit<OnnxTensor, 'name'>) => Omit<OnnxTensor, 'name'>;
}

/** A kernel in ONNX's order. One that is computed (and not learnt) is turned over by a node. */
function emitKernel(writer: OnnxWriter, name: string, { as, order, reshape = (tensor) => tensor }: Arrangement): string {
  const weight = writer.weight(name);
  if (!weight) throw new Error(`the kernel ${name} is computed and not learnt, which is not compiled`);
  return writer.constant(`${name}/${as}`, () => reshape(arrangeKernel(weight, order)));
}

function arrangeKernel({ shape, values }: Weight, order: readonly number[]): Omit<OnnxTensor, 'name'> {
  const arranged = order[0] === 3 ? turnKernel(values, shape as readonly [number, number, number, number]) : permute(values, shape, order);
  return { shape: order.map((axis) => shape[axis] as number), values: arranged };
}

/** Numbers of a line of the CPU's cache, and rows of a block that stays in it. */
const LINE = 16;
const ROWS = 32;

/** `permute` with the order [3, 2, 0, 1], by blocks that the cache holds: kernels have millions of numbers. */
function turnKernel(values: Float32Array, [rows, columns, taken, given]: readonly [number, number, number, number]): Float32Array {
  const turned = new Float32Array(values.length);
  const places = rows * columns;
  const plane = taken * given;
  for (let fromGiven = 0; fromGiven < given; fromGiven += LINE) {
    const toGiven = Math.min(given, fromGiven + LINE);
    for (let fromTaken = 0; fromTaken < taken; fromTaken += ROWS) {
      const toTaken = Math.min(taken, fromTaken + ROWS);
      for (let o = fromGiven; o < toGiven; o++) {
        let to = (o * taken + fromTaken) * places;
        for (let i = fromTaken; i < toTaken; i++) for (let from = i * given + o, place = 0; place < places; place++, from += plane) turned[to++] = values[from] as number;
      }
    }
  }
  return turned;
}

function emitBias(writer: OnnxWriter, name: string | undefined): string[] {
  return name === undefined ? [] : [writer.take(name, 'channelsLast')];
}

export function emitPool(writer: OnnxWriter, node: PoolNode): string {
  const x = writer.take(node.inputs[0] as string, 'channelsFirst');
  const [, rows, columns] = writer.shape(node.inputs[0] as string);
  const isGlobal = node.size[0] === rows && node.size[1] === columns && node.padding.every((side) => side === 0);
  if (isGlobal) return writer.emit(node.kind === 'max' ? 'GlobalMaxPool' : 'GlobalAveragePool', [x], {}, node.name);
  const window = { kernel_shape: [...node.size], strides: [...node.strides], pads: pads(node.padding) };
  return node.kind === 'max' ? writer.emit('MaxPool', [x], window, node.name) : writer.emit('AveragePool', [x], { ...window, count_include_pad: 0 }, node.name);
}

/**
 * Nearest: TensorFlow takes the pixel that a coordinate falls into, or with corners aligned the one that it rounds to.
 * All four sizes are given, and not two with `axes`: onnxruntime 1.30 cannot move a transposition past the latter.
 */
export function emitResize(writer: OnnxWriter, { name, inputs, method, size, alignCorners, halfPixelCenters }: ResizeNode): string {
  const coordinates = alignCorners ? 'align_corners' : halfPixelCenters ? 'half_pixel' : 'asymmetric';
  const x = writer.take(inputs[0] as string, 'channelsFirst');
  const sizes = writer.emit('Concat', [writer.emit('Shape', [x], { start: 0, end: 2 }, `${name}/sizes`), writer.integers(size)], { axis: 0 }, `${name}/sizes`);
  const attributes = { coordinate_transformation_mode: coordinates, mode: method === 'bilinear' ? 'linear' : 'nearest', nearest_mode: coordinates === 'asymmetric' ? 'floor' : 'round_prefer_ceil' };
  return writer.emit('Resize', [x, '', '', sizes], attributes, name);
}
