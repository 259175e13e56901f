/**
 * An ONNX graph being written. Convolutions of ONNX take images channels first (NCHW), networks have channels last
 * (NHWC): a tensor of four sizes may stand here in either layout, is turned over only where a node needs the other, and
 * once. Shapes are always those of the network: channels last.
 */
import { stridesOf, walk } from '../network/constant-views.js';
import { sizeOf, unusedName, type Shape, type Weight } from '../network/network.js';
import { encodeModel, type OnnxAttribute, type OnnxNode, type OnnxTensor, type OnnxValue } from './onnx-encoding.js';

export type Layout = 'channelsLast' | 'channelsFirst';

/** Where an axis of a tensor of four sizes stands when its channels are first. */
export const FIRST_AXES = [0, 2, 3, 1] as const;
const TO_FIRST = [0, 3, 1, 2];
const TO_LAST = [0, 2, 3, 1];

export class OnnxWriter {
  readonly #nodes: OnnxNode[] = [];
  readonly #tensors = new Map<string, OnnxTensor>();
  readonly #places = new Map<string, Partial<Record<Layout, string>>>();
  readonly #taken = new Set<string>();

  /** @param reserved names of the graph's inputs and outputs, which nothing else gets */
  constructor(private readonly shapes: ReadonlyMap<string, Shape>, private readonly weights: ReadonlyMap<string, Weight>, reserved: readonly string[]) {
    for (const name of reserved) this.#taken.add(name);
  }

  shape(name: string): Shape {
    return this.shapes.get(name) as Shape;
  }

  weight(name: string | undefined): Weight | undefined {
    return name === undefined ? undefined : this.weights.get(name);
  }

  /** The layout in which a tensor of the network stands already, channels first if in both. Weights stand in none. */
  layoutOf(name: string): Layout | undefined {
    const place = this.#places.get(name);
    return place?.channelsFirst !== undefined ? 'channelsFirst' : place && 'channelsLast';
  }

  /** The ONNX name of a tensor of the network in a layout, turned over if need be. */
  take(name: string, layout: Layout): string {
    const weight = this.weights.get(name);
    if (weight) return this.constant(`${name}/${layout}`, () => arrange(weight, layout));
    const place = this.#places.get(name) as Partial<Record<Layout, string>>;
    const shape = this.shape(name);
    const here = place[layout] ?? (shape.length === 4 ? undefined : (place.channelsLast ?? place.channelsFirst));
    return here ?? (place[layout] = this.#turn(name, shape, layout));
  }

  #turn(name: string, [, rows, columns, channels]: Shape, layout: Layout): string {
    const other = this.#places.get(name)?.[layout === 'channelsFirst' ? 'channelsLast' : 'channelsFirst'] as string;
    const isSame = rows === 1 && columns === 1;
    if (isSame) return this.emit('Reshape', [other, this.integers(layout === 'channelsFirst' ? [0, channels as number, 1, 1] : [0, 1, 1, channels as number])], {}, `${name}/${layout}`);
    return this.emit('Transpose', [other], { perm: layout === 'channelsFirst' ? TO_FIRST : TO_LAST }, `${name}/${layout}`);
  }

  /** Says under which ONNX name, in which layout, a tensor of the network stands. */
  place(name: string, layout: Layout, onnxName: string): void {
    this.#places.set(name, { [this.shape(name).length === 4 ? layout : 'channelsLast']: onnxName });
  }

  /** Adds a node with one result; returns the result's name. */
  emit(op: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>>, wanted: string): string {
    const name = this.#unused(wanted);
    this.#nodes.push({ op, name, inputs, outputs: [name], attributes });
    return name;
  }

  /** Adds the node whose result is an output of the graph, by that name. */
  emitOutput(op: string, inputs: readonly string[], output: string): void {
    this.#nodes.push({ op, name: output, inputs, outputs: [output], attributes: {} });
  }

  /** A tensor of constants, made once. */
  constant(name: string, make: () => Omit<OnnxTensor, 'name'>): string {
    if (!this.#tensors.has(name)) this.#tensors.set(name, { name: this.#unused(`constant:${name}`), ...make() });
    return (this.#tensors.get(name) as OnnxTensor).name;
  }

  scalar(value: number): string {
    return this.constant(`scalar:${value}`, () => ({ shape: [], values: Float32Array.of(value) }));
  }

  integers(values: readonly number[]): string {
    return this.constant(`integers:${values.join(',')}`, () => ({ shape: [values.length], values: BigInt64Array.from(values, BigInt) }));
  }

  finish(inputs: readonly OnnxValue[], outputs: readonly OnnxValue[]): Uint8Array {
    return encodeModel({ nodes: this.#nodes, tensors: [...this.#tensors.values()], inputs, outputs });
  }

  #unused(wanted: string): string {
    const name = unusedName(wanted, (each) => this.#taken.has(each));
    this.#taken.add(name);
    return name;
  }
}

/** A weight that is stretched over an image, as it lies in a layout. */
function arrange({ shape, values }: Weight, layout: Layout): Omit<OnnxTensor, 'name'> {
  if (layout === 'channelsLast' || shape.length === 0 || sizeOf(shape) === 1) return { shape, values };
  const whole = [...Array<number>(Math.max(0, 4 - shape.length)).fill(1), ...shape];
  return { shape: TO_FIRST.map((axis) => whole[axis] as number), values: permute(values, whole, TO_FIRST) };
}

/** Numbers in another order of axes. */
export function permute(values: Float32Array, shape: Shape, order: readonly number[]): Float32Array {
  const strides = stridesOf(shape);
  const permuted = new Float32Array(values.length);
  walk({ shape: order.map((axis) => shape[axis] as number), strides: order.map((axis) => strides[axis] as number), offset: 0 }, (to, from) => void (permuted[to] = values[from] as number));
  return permuted;
}
