/** Layers that convolve, and Dense. */
import { NO_PADDING, samePadding, type Pair, type Shape, type Sides } from '../network/network.js';
import { fusedActivation, unfusedActivation } from './layer-activations.js';
import type { LayerUse } from './layer-use.js';
import { asRow, channelsLast } from './lower-axes.js';

const UNITS_MAX = 2 ** 24;

interface Sliding {
  readonly size: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
}

export function lowerConv2d(use: LayerUse): string {
  return channelsLast(use, use.input, (x) => {
    const sliding = slidingOf(use);
    return convolve(use, x, { sliding, padding: paddingOf(use, x, sliding) });
  });
}

export function lowerConv1d(use: LayerUse): string {
  const { config } = use;
  const row = (key: string, fallback?: number): Pair => [1, config.single(key, { fallback })];
  const sliding = { size: row('kernel_size'), strides: row('strides', 1), dilations: row('dilation_rate', 1) };
  return channelsLast(use, use.input, (x) => asRow(use, x, (image) => {
    const isCausal = config.raw('padding') === 'causal';
    const padding: Sides = isCausal ? [0, 0, (sliding.size[1] - 1) * sliding.dilations[1], 0] : paddingOf(use, image, sliding);
    return convolve(use, image, { sliding, padding, isRow: true });
  }));
}

export function lowerDepthwise(use: LayerUse): string {
  return channelsLast(use, use.input, (x) => {
    const { kernel, given, sliding } = depthwiseKernel(use, x);
    const bias = biasOf(use, given);
    return finish(use, use.add({ op: 'depthwise', strides: sliding.strides, dilations: sliding.dilations, padding: paddingOf(use, x, sliding), ...fusedActivation(use), inputs: [x, kernel, ...bias] }));
  });
}

/** A depthwise convolution, then one of single pixels. */
export function lowerSeparable(use: LayerUse): string {
  return channelsLast(use, use.input, (x) => {
    const { kernel, given, sliding } = depthwiseKernel(use, x);
    const filters = use.config.integer('filters', { max: UNITS_MAX });
    const pointwise = use.weight('pointwise_kernel', [1, 1, given, filters]);
    const bias = biasOf(use, filters);
    const depthwise = use.add({ op: 'depthwise', strides: sliding.strides, dilations: sliding.dilations, padding: paddingOf(use, x, sliding), inputs: [x, kernel] }, 'depthwise');
    return finish(use, use.add({ op: 'conv', strides: [1, 1], dilations: [1, 1], padding: NO_PADDING, groups: 1, ...fusedActivation(use), inputs: [depthwise, pointwise, ...bias] }));
  });
}

/** As TensorFlow's gradient of a convolution has it: what the result has less than the whole is cut off, at the beginning the smaller half. */
export function lowerConvTranspose(use: LayerUse): string {
  return channelsLast(use, use.input, (x) => {
    const { size, strides, dilations } = slidingOf(use);
    if (dilations.some((each) => each !== 1)) use.fail('it enlarges with dilation, which is not computed here.', 'Set "layer" to a layer below it.');
    const [, rows, columns, taken] = use.ranked(x, 4) as [number, number, number, number];
    const filters = use.config.integer('filters', { max: UNITS_MAX });
    const kernel = use.weight('kernel', [...size, filters, taken]);
    const bias = biasOf(use, filters);
    const missing = ([[0, rows], [1, columns]] as const).map(([axis, length]) => (length - 1) * strides[axis] + size[axis] - enlargedLength(use, axis, { length, size: size[axis], stride: strides[axis] })) as [number, number];
    const padding = missing.flatMap((cut) => [Math.max(0, cut) >> 1, Math.max(0, cut) - (Math.max(0, cut) >> 1)]) as unknown as Sides;
    const extra = missing.map((cut) => Math.max(0, -cut)) as unknown as Pair;
    const enlarged = use.add({ op: 'convTranspose', strides, padding, extra, inputs: [x, kernel, ...bias] });
    const { activation } = fusedActivation(use);
    return finish(use, activation ? use.add({ op: 'elementwise', apply: activation, inputs: [enlarged] }, 'activation') : enlarged);
  });
}

/** Rows or columns of the result (`deconv_output_length` in Keras's `conv_utils.py`). */
function enlargedLength(use: LayerUse, axis: 0 | 1, { length, size, stride }: { readonly length: number; readonly size: number; readonly stride: number }): number {
  const isSame = use.config.choice('padding', ['valid', 'same'], 'valid') === 'same';
  if (use.config.raw('output_padding') === undefined) return length * stride + (isSame ? 0 : Math.max(size - stride, 0));
  return (length - 1) * stride + size - (isSame ? 2 * (size >> 1) : 0) + use.config.pair('output_padding', { min: 0 })[axis];
}

export function lowerDense(use: LayerUse): string {
  const x = use.input;
  const units = use.config.integer('units', { max: UNITS_MAX });
  const taken = use.ranked(x, 2, 3, 4, 5).at(-1) as number;
  const kernel = use.weight('kernel', [taken, units]);
  const bias = biasOf(use, units);
  return finish(use, use.add({ op: 'matmul', transposeA: false, transposeB: false, ...fusedActivation(use), inputs: [x, kernel, ...bias] }));
}

function slidingOf(use: LayerUse): Sliding {
  const { config } = use;
  return { size: config.pair('kernel_size'), strides: config.pair('strides', { fallback: 1 }), dilations: config.pair('dilation_rate', { fallback: 1 }) };
}

function paddingOf(use: LayerUse, x: string, sliding: Sliding): Sides {
  const [, rows, columns] = use.ranked(x, 4) as [number, number, number];
  return use.config.choice('padding', ['valid', 'same'], 'valid') === 'same' ? samePadding([rows, columns], sliding) : NO_PADDING;
}

function convolve(use: LayerUse, x: string, { sliding, padding, isRow = false }: { readonly sliding: Sliding; readonly padding: Sides; readonly isRow?: boolean }): string {
  const taken = use.ranked(x, 4)[3] as number;
  const [filters, groups] = [use.config.integer('filters', { max: UNITS_MAX }), use.config.integer('groups', { fallback: 1, max: UNITS_MAX })];
  if (taken % groups !== 0 || filters % groups !== 0) use.fail(`its ${groups} groups do not divide the ${taken} channels that it takes and the ${filters} that it gives.`);
  const shape: Shape = [...sliding.size, taken / groups, filters];
  const kernel = use.weight('kernel', isRow ? shape.slice(1) : shape, shape);
  const bias = biasOf(use, filters);
  return finish(use, use.add({ op: 'conv', strides: sliding.strides, dilations: sliding.dilations, padding, groups, ...fusedActivation(use), inputs: [x, kernel, ...bias] }));
}

/** Keras 3 names it `kernel`. TF.js does not write down the multiplier of a SeparableConv2D, and does not dilate a DepthwiseConv2D. */
function depthwiseKernel(use: LayerUse, x: string): { readonly kernel: string; readonly given: number; readonly sliding: Sliding } {
  const names = ['depthwise_kernel', 'kernel'];
  const sliding = slidingOf(use);
  const taken = use.ranked(x, 4)[3] as number;
  const multiplier = use.config.integer('depth_multiplier', { fallback: use.shapeInFile(names)?.[3] ?? 1 });
  const kernel = use.weight(names, [...sliding.size, taken, multiplier]);
  const isUndilated = use.site.isFromTfjs && use.className === 'DepthwiseConv2D';
  return { kernel, given: taken * multiplier, sliding: isUndilated ? { ...sliding, dilations: [1, 1] } : sliding };
}

function biasOf(use: LayerUse, channels: number): readonly string[] {
  return use.config.flag('use_bias', true) ? [use.weight('bias', [channels])] : [];
}

function finish(use: LayerUse, x: string): string {
  return unfusedActivation(use, x);
}
