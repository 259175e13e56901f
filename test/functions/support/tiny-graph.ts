/** Small TF.js graph models, written by hand with seeded weights, and real ones filled with such. */
import { seededRandom, type ModelJson, type WeightJson } from './tiny-model.js';

type Attributes = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface NodeJson {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Attributes;
  /** Of a constant: what the file of weights says about it. Without values: seeded ones. */
  readonly weight?: { readonly shape: readonly number[]; readonly dtype: 'float32' | 'int32' | 'bool'; readonly values?: readonly number[] };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
export const ints = (...values: readonly number[]): { list: { i: string[] } } => ({ list: { i: values.map(String) } });
export const text = (value: string): { s: string } => ({ s: base64(value) });
export const texts = (...values: readonly string[]): { list: { s: string[] } } => ({ list: { s: values.map(base64) } });
export const flag = (b: boolean): { b: boolean } => ({ b });
export const FLOAT = { type: 'DT_FLOAT' };

export function node(op: string, name: string, input: readonly string[] = [], attr: Attributes = {}): NodeJson {
  return { op, name, input, attr: { T: FLOAT, ...attr } };
}

export function constant(name: string, shape: readonly number[], values?: readonly number[], dtype: 'float32' | 'int32' | 'bool' = 'float32'): NodeJson {
  return { name, op: 'Const', input: ['^image'], attr: { dtype: { type: dtype === 'int32' ? 'DT_INT32' : 'DT_FLOAT' }, value: { tensor: { dtype: 'DT_FLOAT', tensorShape: {} } } }, weight: { shape, dtype, ...(values && { values }) } };
}

export const integers = (name: string, ...values: readonly number[]): NodeJson => constant(name, [values.length], values, 'int32');

export function image(shape: readonly number[] = [-1, 16, 16, 3], type = 'DT_FLOAT', name = 'image'): NodeJson {
  return { name, op: 'Placeholder', attr: { dtype: { type }, shape: { shape: { dim: shape.map((size) => ({ size: String(size) })) } } } };
}

/** A 3×3 convolution with stride 2, its kernel `name/kernel`, its bias `name/bias`. */
export function conv(name: string, from: string, channels: readonly [number, number] = [3, 4], attr: Attributes = {}): NodeJson[] {
  return [constant(`${name}/kernel`, [3, 3, ...channels]), constant(`${name}/bias`, [channels[1]]), node('_FusedConv2D', name, [from, `${name}/kernel`, `${name}/bias`], { strides: ints(1, 2, 2, 1), padding: text('SAME'), data_format: text('NHWC'), dilations: ints(1, 1, 1, 1), num_args: { i: '1' }, epsilon: { f: 0 }, fused_ops: texts('BiasAdd', 'Relu'), ...attr })];
}

export function mean(name: string, from: string, keepDims = false, axes = `${name}/axes`): NodeJson[] {
  return [integers(axes, 1, 2), node('Mean', name, [from, axes], { keep_dims: flag(keepDims) })];
}

export function matMul(name: string, from: string, sizes: readonly [number, number], ...fused: readonly string[]): NodeJson[] {
  return [constant(`${name}/kernel`, sizes), constant(`${name}/bias`, [sizes[1]]), node('_FusedMatMul', name, [from, `${name}/kernel`, `${name}/bias`], { transpose_a: flag(false), transpose_b: flag(false), num_args: { i: '1' }, fused_ops: texts('BiasAdd', ...fused) })];
}

/** 16×16×3 → convolution → pooled (4) → softmax over 3 classes. */
export function tinyGraph(size = 16): NodeJson[] {
  return [image([-1, size, size, 3]), ...conv('conv', 'image'), ...mean('pooled', 'conv', false, 'conv/axes'), ...matMul('classes', 'pooled', [4, 3]), node('Softmax', 'probabilities', ['classes']), node('Identity', 'Identity', ['probabilities'])];
}

/** The model.json of nodes; its signature names `outputs`, if given. */
export function graphModel(nodes: readonly NodeJson[], outputs?: readonly string[]): ModelJson {
  const weights = nodes.flatMap(({ name, weight }): WeightJson[] => (weight ? [{ name, shape: weight.shape, dtype: weight.dtype }] : []));
  const signature = { inputs: { images: { name: 'image:0', dtype: 'DT_FLOAT' } }, outputs: Object.fromEntries((outputs ?? []).map((name) => [name, { name: `${name}:0`, dtype: 'DT_FLOAT' }])) };
  return { format: 'graph-model', modelTopology: { node: nodes.map(({ name, op, input, attr }) => ({ name, op, input, attr })), versions: { producer: 175 } }, ...(outputs && { userDefinedMetadata: { signature } }), weightsManifest: [{ paths: ['shard1.bin', 'more/shard2.bin'], weights }] };
}

/** The numbers of every constant, seeded where the node has none: small enough for deep networks to stay finite. */
export function graphValues(nodes: readonly NodeJson[], seed = 1): Map<string, Float32Array | Int32Array> {
  const random = seededRandom(seed);
  return new Map(nodes.flatMap(({ name, weight }) => {
    if (!weight) return [];
    const count = weight.shape.reduce((a, b) => a * b, 1);
    const reach = Math.sqrt(3 / Math.max(1, weight.shape.slice(0, -1).reduce((a, b) => a * b, 1)));
    const values = weight.values ?? Array.from({ length: count }, () => (random() * 2 - 1) * reach);
    return [[name, weight.dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values)] as const];
  }));
}

export function graphBytes(nodes: readonly NodeJson[], seed = 1): Buffer {
  return Buffer.concat([...graphValues(nodes, seed).values()].map(({ buffer }) => Buffer.from(buffer)));
}

/** float32 numbers as the converter quantises them, one scale a weight: `value ≈ byte × scale + min`, zero staying zero. */
export function quantise(values: Float32Array, dtype: 'uint8' | 'uint16'): { readonly bytes: Buffer; readonly quantization: { readonly dtype: string; readonly scale: number; readonly min: number } } {
  const levels = dtype === 'uint8' ? 255 : 65_535;
  const [lowest, highest] = values.reduce<readonly [number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const scale = highest > lowest ? (highest - lowest) / levels : 1;
  const min = lowest <= 0 && highest >= 0 ? Math.round(lowest / scale) * scale : lowest;
  const steps = Array.from(values, (value) => Math.max(0, Math.min(levels, Math.round((value - min) / scale))));
  const bytes = dtype === 'uint8' ? Buffer.from(Uint8Array.from(steps)) : Buffer.from(Uint16Array.from(steps).buffer);
  return { bytes, quantization: { dtype, scale, min } };
}

/**
 * Bytes for the weights of a real file whose scale and minimum stay: those that come nearest to small seeded numbers.
 * Bytes at random would be weights of the size of the largest ones, after which every ReLU6 gives 6 for any image.
 */
export function seededQuantised(model: ModelJson, seed = 1): Buffer {
  const random = seededRandom(seed);
  return Buffer.concat(model.weightsManifest.flatMap(({ weights }) => weights).map(({ name, shape, quantization }) => {
    const { scale, min } = quantization as { scale: number; min: number };
    const isDepthwise = /depthwise_weights$/.test(name);
    const fanIn = isDepthwise ? 9 : shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const reach = /bias|offset/.test(name) ? 0.1 : Math.sqrt(6 / fanIn);
    const count = shape.reduce((a, b) => a * b, 1);
    if (shape.length === 0) return Buffer.of(0);
    return Buffer.from(Uint8Array.from({ length: count }, () => Math.max(0, Math.min(255, Math.round(((random() * 2 - 1) * reach - min) / scale)))));
  }));
}
