/** TensorFlow functions, and operations of Keras 3, that give the same numbers in another shape, or pick some of them. */
import { sizeOf } from '../network/network.js';
import { show } from './layer-config.js';
import type { LayerUse } from './layer-use.js';
import { channelsLast, reshapeTo } from './lower-axes.js';
import { resize } from './lower-images.js';
import { axes, flag, integers, isKerasOperation, numeric, plain } from './operation-arguments.js';

/** Its shape has the batch, which is left open (−1) or 1; a shape that puts images together is refused. */
export function lowerOperationReshape(use: LayerUse): string {
  const target = integers(use, { names: ['shape', 'newshape'], place: 0 }) ?? [];
  const [batch, ...rest] = target;
  const size = sizeOf(use.shape(use.input).slice(1));
  const known = sizeOf(rest.filter((each) => each !== -1));
  const perImage = rest.map((each) => (each === -1 ? size / known : each));
  if ((batch !== -1 && batch !== 1) || sizeOf(perImage) !== size || perImage.some((each) => !Number.isInteger(each) || each < 1)) return use.fail(`it gives ${show(use.shape(use.input))} the shape ${show(target)}, which does not keep images apart.`);
  return reshapeTo(use, use.input, perImage);
}

export function lowerSqueeze(use: LayerUse): string {
  const shape = use.shape(use.input);
  const gone = axes(use, { names: ['axis', 'squeeze_dims'], place: 0 }, shape.length) ?? shape.flatMap((size, i) => (i > 0 && size === 1 ? [i] : []));
  if (gone.some((axis) => shape[axis] !== 1)) use.fail(`it takes the axes ${show(gone)} from ${show(shape)}, which are not of size 1.`);
  return reshapeTo(use, use.input, shape.slice(1).filter((_, i) => !gone.includes(i + 1)));
}

export function lowerExpandDims(use: LayerUse): string {
  const shape = use.shape(use.input);
  const added = axes(use, { names: ['axis'], place: 0 }, shape.length + 1) ?? [];
  if (added.length !== 1) return use.fail('it does not say at which axis it adds one.');
  return reshapeTo(use, use.input, [...shape.slice(1, added[0]), 1, ...shape.slice(added[0])]);
}

export function lowerTranspose(use: LayerUse): string {
  const order = integers(use, { names: ['perm', 'axes'], place: 0 });
  if (order?.[0] !== 0) return use.fail(`it orders the axes ${show(order)}; right is an order that begins with 0, the batch.`);
  return use.add({ op: 'transpose', order, inputs: [use.input] });
}

export function lowerConcat(use: LayerUse): string {
  const [first] = use.inputs;
  if (first === undefined) return use.fail('it is given no tensors.');
  const [axis, ...more] = axes(use, { names: ['axis'], place: 0 }, use.shape(first).length) ?? [];
  if (axis === undefined || more.length > 0) return use.fail('it does not say the axis along which it puts tensors together.');
  return use.inputs.length === 1 ? first : use.add({ op: 'concat', axis, inputs: use.inputs });
}

/** Into parts of one size, or of sizes that it names (TensorFlow); Keras 3 names where parts begin. */
export function lowerSplit(use: LayerUse): readonly string[] {
  const shape = use.shape(use.input);
  const [axis = 0] = axes(use, { names: ['axis'], place: 1 }, shape.length) ?? [];
  const whole = shape[axis] as number;
  const written = plain(use, { names: ['num_or_size_splits', 'indices_or_sections'], place: 0 });
  if (axis === 0 || (typeof written !== 'number' && !Array.isArray(written))) return use.fail('it does not say how it splits what it takes, or splits the batch.');
  const count = typeof written === 'number' ? written : 0;
  if (count > whole || (count > 0 && whole % count !== 0)) return use.fail(`it splits ${whole} into ${count} parts.`);
  const isByPlace = isKerasOperation(use);
  const numbers = (typeof written === 'number' ? Array.from({ length: Math.max(0, Math.trunc(count)) }, () => whole / count) : written) as readonly number[];
  const sizes = isByPlace && typeof written !== 'number' ? [...numbers, whole].map((end, i) => end - (i === 0 ? 0 : (numbers[i - 1] as number))) : numbers;
  if (sizes.some((size) => !Number.isInteger(size) || size < 1) || sizes.reduce((sum, size) => sum + size, 0) !== whole) return use.fail(`it splits ${whole} into ${show(written)}.`);
  let from = 0;
  return sizes.map((size) => {
    const at = from;
    from += size;
    return use.add({ op: 'slice', begin: shape.map((_, i) => (i === axis ? at : 0)), count: shape.map((each, i) => (i === 0 ? -1 : i === axis ? size : each)), step: shape.map(() => 1), inputs: [use.input] });
  });
}

export function lowerOperationPad(use: LayerUse): string {
  const shape = use.shape(use.input);
  const paddings = plain(use, { names: ['paddings', 'pad_width'], place: 0 });
  const sides = (Array.isArray(paddings) ? paddings : []) as readonly unknown[];
  const isRight = sides.length === shape.length && sides.every((side) => Array.isArray(side) && side.length === 2 && side.every((each) => Number.isInteger(each) && (each as number) >= 0 && (each as number) <= 16_384));
  const pairs = sides as readonly (readonly [number, number])[];
  if (!isRight || pairs[0]?.some((each) => each !== 0)) return use.fail(`it pads ${show(shape)} by ${show(paddings)}; right are two numbers for each axis, and 0 for the batch.`);
  const written = plain(use, { names: ['mode'], place: 1 }) ?? 'constant';
  const mode = typeof written === 'string' ? written.toLowerCase() : '';
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'symmetric') return use.fail(`it pads by ${show(written)}; right is one of constant, reflect, symmetric.`);
  return use.add({ op: 'pad', mode, value: numeric(use, { names: ['constant_values'], place: 2 }, 0), before: pairs.map(([before]) => before), after: pairs.map(([, after]) => after), inputs: [use.input] });
}

interface Range {
  readonly start?: unknown;
  readonly stop?: unknown;
  readonly step?: unknown;
}

/** What `x[…]` is in Python: of each axis a range, or one entry, whose axis then goes; `null` adds an axis. */
export function lowerGetItem(use: LayerUse): string {
  const x = use.input;
  const shape = use.shape(x);
  const written = plain(use, { names: ['slice_spec', 'key'], place: 0 });
  const spec = spread(Array.isArray(written) ? (written as unknown[]) : [written], shape.length);
  const [begin, count, step]: [number[], number[], number[]] = [[], [], []];
  const result: number[] = [];
  for (const each of spec) {
    const axis = begin.length;
    if (each === null) result.push(1);
    else {
      const range = axis < shape.length ? toRange(each, shape[axis] as number) : undefined;
      if (range === undefined || (axis === 0 && (typeof each === 'number' || range.from !== 0 || range.count !== shape[0]))) return use.fail(`it picks ${show(written)} from ${show(shape)}; right are whole numbers and ranges that keep all images.`);
      begin.push(range.from);
      count.push(axis === 0 ? -1 : range.count);
      step.push(range.step);
      if (typeof each !== 'number') result.push(range.count);
    }
  }
  if (result[0] !== 1 || spec[0] === null) return use.fail(`it puts an axis before the batch: ${show(written)}.`);
  const isAll = count.every((n, i) => i === 0 || (n === shape[i] && step[i] === 1));
  return reshapeTo(use, isAll ? x : use.add({ op: 'slice', begin, count, step, inputs: [x] }), result.slice(1));
}

/** The specification with an entry for each axis: what is left out, at its end or at an ellipsis, is taken whole. */
function spread(written: readonly unknown[], rank: number): readonly unknown[] {
  const plainSpec = written.map((each) => (each as { class_name?: unknown } | null)?.class_name === '__slice__' ? (each as { config?: unknown }).config : each);
  const at = plainSpec.findIndex((each) => each === '...' || (each as { class_name?: unknown } | null)?.class_name === '__ellipsis__');
  const taken = plainSpec.filter((each, i) => each !== null && i !== at).length;
  const missing = Array.from({ length: Math.max(0, rank - taken) }, () => ({}));
  return at === -1 ? [...plainSpec, ...missing] : [...plainSpec.slice(0, at), ...missing, ...plainSpec.slice(at + 1)];
}

/** As Python counts: from the end where negative, and cut at both ends of the axis. */
function toRange(written: unknown, size: number): { readonly from: number; readonly count: number; readonly step: number } | undefined {
  if (typeof written === 'number') {
    const from = written < 0 ? written + size : written;
    return Number.isInteger(from) && from >= 0 && from < size ? { from, count: 1, step: 1 } : undefined;
  }
  if (typeof written !== 'object' || written === null) return undefined;
  const { start, stop, step } = written as Range;
  const by = (step ?? 1) as number;
  const cut = (value: unknown, fallback: number): number => (value === undefined || value === null ? fallback : Math.min(Math.max((value as number) < 0 ? (value as number) + size : (value as number), by < 0 ? -1 : 0), by < 0 ? size - 1 : size));
  const [from, to] = [cut(start, by < 0 ? size - 1 : 0), cut(stop, by < 0 ? -1 : size)];
  const count = Math.ceil((to - from) / by);
  return [from, to, by].every(Number.isInteger) && by !== 0 && count >= 1 ? { from, count, step: by } : undefined;
}

/** `tf.image.resize` looks at the middles of pixels; its forms of TensorFlow 1 at their corners, unless they are told otherwise. */
export function lowerOperationResize(use: LayerUse): string {
  const size = integers(use, { names: ['size'], place: 0 }) ?? [];
  const named = use.config.raw('function');
  const written = typeof named === 'string' ? named : '';
  const method = /nearest_neighbor$/.test(written) ? 'nearest' : /bilinear$/.test(written) ? 'bilinear' : (plain(use, { names: ['method', 'interpolation'], place: 1 }) ?? 'bilinear');
  const kind = method === 0 ? 'bilinear' : method === 1 ? 'nearest' : method;
  if (size.length !== 2 || size.some((each) => each < 1 || each > 16_384) || (kind !== 'nearest' && kind !== 'bilinear')) return use.fail(`it resizes to ${show(size)} by ${show(kind)}; right are rows and columns, and nearest or bilinear.`);
  if (flag(use, { names: ['antialias'] }) || flag(use, { names: ['preserve_aspect_ratio'] })) return use.fail('it resizes with antialiasing, or keeps the aspect ratio.');
  const isOld = /(^|\.)v1\./.test(written);
  const how = { alignCorners: isOld && flag(use, { names: ['align_corners'] }), halfPixelCenters: !isOld || flag(use, { names: ['half_pixel_centers'] }) };
  return channelsLast(use, use.input, (x) => resize(use, x, { method: kind, size: size as [number, number], ...how }));
}
