/** Layers that normalise: by what was learnt about all images, or by the numbers of the one at hand. */
import { sizeOf, type BinaryFunction, type Shape } from '../network/network.js';
import { show } from './layer-config.js';
import type { LayerUse } from './layer-use.js';
import { axisLast } from './lower-axes.js';

const EPSILON = 1e-3;
/** Keras's `epsilon()`, under which Normalization lets no deviation fall, and the least square of a length (`l2_normalize`). */
const [DEVIATION_MIN, SQUARES_MIN] = [1e-7, 1e-12];

export function lowerBatchNorm(use: LayerUse): string {
  const { config } = use;
  const axis = config.axis('axis', use.shape(use.input).length, -1);
  return axisLast(use, use.input, { axis, compute: (x) => {
    const channels = use.shape(x).at(-1) as number;
    const learnt = (name: string, flag: string): string | undefined => (config.flag(flag, true) ? use.weight(name, [channels]) : undefined);
    const [gamma, beta] = [learnt('gamma', 'scale'), learnt('beta', 'center')];
    const [mean, variance] = [use.weight('moving_mean', [channels]), use.weight('moving_variance', [channels])];
    return use.add({ op: 'batchNorm', epsilon: config.number('epsilon', EPSILON), inputs: [x, gamma ?? use.filled(1, channels), beta ?? use.filled(0, channels), mean, variance] });
  } });
}

export function lowerLayerNorm(use: LayerUse): string {
  const { config } = use;
  const shape = use.shape(use.input);
  if (config.flag('rms_scaling', false)) use.fail('it scales by the root of the mean square, which is not computed here.', 'Set "layer" to a layer below it.');
  const axes = config.axes('axis', shape.length, -1);
  const stretched = shape.map((size, i) => (axes.includes(i) ? size : 1)).slice(axes[0]);
  return scaleAndShift(use, standardise(use, use.input, axes), { shape: axes.map((axis) => shape[axis] as number), as: stretched });
}

/** Channels in groups, each group normalised over its channels and all positions. */
export function lowerGroupNorm(use: LayerUse): string {
  const axis = use.config.axis('axis', use.shape(use.input).length, -1);
  return axisLast(use, use.input, { axis, compute: (x) => {
    const perImage = use.shape(x).slice(1);
    const channels = perImage.at(-1) as number;
    const wanted = use.config.integer('groups', { fallback: 32, min: -1 });
    const groups = wanted === -1 ? channels : wanted;
    if (groups === 0 || channels % groups !== 0) use.fail(`its ${groups} groups do not divide its ${channels} channels.`);
    const grouped = use.add({ op: 'reshape', shape: [0, sizeOf(perImage) / channels, groups, channels / groups], inputs: [x] }, 'groups');
    const whole = use.add({ op: 'reshape', shape: [0, ...perImage], inputs: [standardise(use, grouped, [1, 3])] }, 'whole');
    return scaleAndShift(use, whole, { shape: [channels], as: [channels] });
  } });
}

/** (x − mean) / √(variance + epsilon), both over the axes. */
function standardise(use: LayerUse, x: string, axes: readonly number[]): string {
  const mean = use.add({ op: 'reduce', kind: 'mean', axes, keepDims: true, inputs: [x] }, 'mean');
  const squares = binary(use, 'squaredDifference', [x, mean], 'squares');
  const variance = use.add({ op: 'reduce', kind: 'mean', axes, keepDims: true, inputs: [squares] }, 'variance');
  const raised = binary(use, 'add', [variance, use.constant(use.config.number('epsilon', EPSILON))], 'raised');
  const factor = use.add({ op: 'elementwise', apply: { fn: 'rsqrt' }, inputs: [raised] }, 'factor');
  return binary(use, 'mul', [binary(use, 'sub', [x, mean], 'centred'), factor], 'standardised');
}

function scaleAndShift(use: LayerUse, x: string, { shape, as }: { readonly shape: Shape; readonly as: Shape }): string {
  const gamma = use.config.flag('scale', true) ? use.weight('gamma', shape, as) : undefined;
  const beta = use.config.flag('center', true) ? use.weight('beta', shape, as) : undefined;
  const scaled = gamma === undefined ? x : binary(use, 'mul', [x, gamma], beta && 'scaled');
  return beta === undefined ? scaled : binary(use, 'add', [scaled, beta]);
}

/** Of length 1 along the axes. */
export function lowerUnitNorm(use: LayerUse): string {
  return normaliseLength(use, use.input, { axes: use.config.axes('axis', use.shape(use.input).length, -1), leastSquare: SQUARES_MIN });
}

/** x / √max(Σx², least square) over the axes. */
export function normaliseLength(use: LayerUse, x: string, { axes, leastSquare }: { readonly axes: readonly number[]; readonly leastSquare: number }): string {
  const squares = use.add({ op: 'elementwise', apply: { fn: 'square' }, inputs: [x] }, 'squares');
  const sum = use.add({ op: 'reduce', kind: 'sum', axes, keepDims: true, inputs: [squares] }, 'sum');
  const factor = use.add({ op: 'elementwise', apply: { fn: 'rsqrt' }, inputs: [binary(use, 'max', [sum, use.constant(leastSquare)], 'bounded')] }, 'factor');
  return use.add({ op: 'binary', fn: 'mul', inputs: [x, factor] });
}

/** (x − mean) / √variance, which stand in the configuration or were learnt; `invert` goes the other way. */
export function lowerNormalization(use: LayerUse): string {
  const x = use.input;
  const shape = use.shape(x);
  const isOfAll = use.config.says('axis') && use.config.raw('axis') === undefined;
  const axes = isOfAll ? [] : use.config.axes('axis', shape.length, -1);
  const [means, variances] = [statistic(use, 'mean', axes), statistic(use, 'variance', axes)];
  const stretched = shape.map((size, i) => (axes.includes(i) ? size : 1)).slice(axes[0]);
  const asWeight = (name: string, numbers: readonly number[]): string => use.derived(name, numbers.length === 1 ? [1] : stretched, () => numbers);
  const mean = asWeight('mean', means);
  const deviation = asWeight('deviation', variances.map((variance) => Math.max(Math.sqrt(variance), DEVIATION_MIN)));
  if (use.config.flag('invert', false)) return binary(use, 'add', [binary(use, 'mul', [x, deviation], 'scaled'), mean]);
  return binary(use, 'div', [binary(use, 'sub', [x, mean], 'centred'), deviation]);
}

/** A number for each entry of the axes, or one for all. */
function statistic(use: LayerUse, name: 'mean' | 'variance', axes: readonly number[]): readonly number[] {
  const kept = axes.map((axis) => use.shape(use.input)[axis] as number);
  const written = use.config.raw(name);
  if (written === undefined) return [...(use.numbers(name, kept) ?? use.fail(`its ${name} stands neither in its configuration nor among the weights.`))];
  const numbers = (Array.isArray(written) ? (written as unknown[]).flat(7) : [written]) as readonly unknown[];
  const isRight = (numbers.length === 1 || numbers.length === sizeOf(kept)) && numbers.every((each) => typeof each === 'number' && Number.isFinite(each));
  return isRight ? (numbers as readonly number[]) : use.fail(`its "${name}" is ${show(written)}; right is one number, or ${sizeOf(kept)} in a list.`);
}

function binary(use: LayerUse, fn: BinaryFunction, inputs: readonly [string, string], part?: string): string {
  return use.add({ op: 'binary', fn, inputs }, part);
}
