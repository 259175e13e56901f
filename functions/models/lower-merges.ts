/** Layers that put several tensors together. */
import type { BinaryFunction } from '../network/network.js';
import { show } from './layer-config.js';
import type { LayerUse } from './layer-use.js';
import { reshapeTo } from './lower-axes.js';
import { normaliseLength } from './lower-normalisations.js';

/** Add, Multiply, Maximum, Minimum, Average: one after the other. */
export function lowerMerge(use: LayerUse, fn: BinaryFunction): string {
  return fold(use, aligned(use), fn);
}

export function lowerSubtract(use: LayerUse): string {
  if (use.inputs.length !== 2) use.fail(`it subtracts one tensor from another and is given ${use.inputs.length}.`);
  return fold(use, aligned(use), 'sub');
}

export function lowerAverage(use: LayerUse): string {
  const sum = fold(use, aligned(use), 'add');
  return use.inputs.length === 1 ? sum : use.add({ op: 'binary', fn: 'mul', inputs: [sum, use.constant(1 / use.inputs.length)] }, 'average');
}

function fold(use: LayerUse, [first, ...rest]: readonly string[], fn: BinaryFunction): string {
  if (first === undefined) return use.fail('it is given no tensors.');
  return rest.reduce((value, next) => use.add({ op: 'binary', fn, inputs: [value, next] }), first);
}

/** What it takes, as tensors of one rank: Keras stretches those of fewer sizes behind the batch, NumPy would before it. */
function aligned(use: LayerUse): readonly string[] {
  const rank = use.inputs.reduce((most, input) => Math.max(most, use.shape(input).length), 0);
  return use.inputs.map((input) => {
    const shape = use.shape(input);
    if (shape.length === rank || use.site.network.isWeight(input)) return input;
    return use.add({ op: 'reshape', shape: [0, ...Array.from({ length: rank - shape.length }, () => 1), ...shape.slice(1)], inputs: [input] }, 'stretched');
  });
}

export function lowerConcatenate(use: LayerUse): string {
  const [first] = use.inputs;
  if (first === undefined) return use.fail('it is given no tensors.');
  const axis = use.config.axis('axis', use.shape(first).length, -1);
  return use.inputs.length === 1 ? first : use.add({ op: 'concat', axis, inputs: use.inputs });
}

/** Products of vectors of two tensors of two or three sizes, along an axis of each. */
export function lowerDot(use: LayerUse): string {
  const [a, b] = use.inputs;
  if (use.inputs.length !== 2 || a === undefined || b === undefined) return use.fail(`it multiplies two tensors and is given ${use.inputs.length}.`);
  const written = use.config.raw('axes');
  const axes = (Array.isArray(written) ? written : [written, written]) as readonly unknown[];
  const [left, right] = [a, b].map((input, i) => {
    const { length: rank } = use.ranked(input, 2, 3);
    const axis = axes[i];
    const counted = typeof axis === 'number' && axis < 0 ? axis + rank : axis;
    if (axes.length !== 2 || !Number.isInteger(counted) || (counted as number) < 1 || (counted as number) >= rank) return use.fail(`its "axes" are ${show(written)}; right is an axis of each tensor that it takes.`);
    return vectorsOf(use, input, counted as number);
  }) as [string, string];
  const product = use.add({ op: 'matmul', transposeA: false, transposeB: true, inputs: [left, right] });
  const kept = [use.shape(a), use.shape(b)].flatMap((shape, i) => (shape.length === 3 ? [use.shape([left, right][i] as string)[1] as number] : []));
  return reshapeTo(use, product, kept.length === 0 ? [1] : kept);
}

/** As a matrix for each image, whose rows are the vectors. */
function vectorsOf(use: LayerUse, x: string, axis: number): string {
  const shape = use.shape(x);
  const rows = shape.length === 2 ? use.add({ op: 'reshape', shape: [0, 1, shape[1] as number], inputs: [x] }, 'row') : axis === 2 ? x : use.add({ op: 'transpose', order: [0, 2, 1], inputs: [x] }, 'transposed');
  return use.config.flag('normalize', false) ? normaliseLength(use, rows, { axes: [2], leastSquare: 1e-12 }) : rows;
}

/** LayerScale of ConvNeXt: each channel by a number that was learnt. */
export function lowerLayerScale(use: LayerUse): string {
  return use.add({ op: 'binary', fn: 'mul', inputs: [use.input, use.weight('gamma', use.shape(use.input).slice(-1))] });
}
