/** Layers that give the same numbers in another shape or order. */
import { sizeOf } from '../network/network.js';
import { show } from './layer-config.js';
import type { LayerUse } from './layer-use.js';
import { channelsLast, reshapeTo } from './lower-axes.js';

/** A Flatten that is told of channels first flattens them last. */
export function lowerFlatten(use: LayerUse): string {
  const isFirst = use.config.choice('data_format', ['channels_last', 'channels_first'], 'channels_last') === 'channels_first';
  const shape = use.shape(use.input);
  const last = Array.from({ length: shape.length }, (_, i) => (i === 0 ? 0 : i === shape.length - 1 ? 1 : i + 1));
  const x = isFirst && shape.length > 2 ? use.add({ op: 'transpose', order: last, inputs: [use.input] }, 'last') : use.input;
  return reshapeTo(use, x, [sizeOf(shape.slice(1))]);
}

/** One size may be left to the others: −1, or null as TF.js writes it. */
export function lowerReshape(use: LayerUse): string {
  const written = use.config.raw('target_shape');
  const target = Array.isArray(written) ? (written as unknown[]).map((each) => each ?? -1) : [NaN];
  const size = sizeOf(use.shape(use.input).slice(1));
  if (!target.every((each): each is number => Number.isInteger(each) && ((each as number) >= 1 || each === -1))) return use.fail(`its "target_shape" is ${show(written)}; right are whole numbers in a list.`);
  const known = sizeOf(target.filter((each) => each !== -1));
  return reshapeTo(use, use.input, target.map((each) => (each === -1 ? size / known : each)));
}

/** Its axes count from 1: the batch stays where it is. */
export function lowerPermute(use: LayerUse): string {
  const dims = use.config.raw('dims');
  const { length: rank } = use.shape(use.input);
  if (!Array.isArray(dims) || dims.length !== rank - 1) return use.fail(`its "dims" are ${show(dims)}; right are the axes from 1 to ${rank - 1} in a list.`);
  return use.add({ op: 'transpose', order: [0, ...(dims as number[])], inputs: [use.input] });
}

export function lowerRepeatVector(use: LayerUse): string {
  const [, size] = use.ranked(use.input, 2) as [number, number];
  const row = use.add({ op: 'reshape', shape: [0, 1, size], inputs: [use.input] }, 'row');
  return use.add({ op: 'tile', repeats: [1, use.config.integer('n'), 1], inputs: [row] });
}

export function lowerZeroPadding2d(use: LayerUse): string {
  const [rows, columns] = use.config.sides('padding', 1);
  return channelsLast(use, use.input, (x) => {
    use.ranked(x, 4);
    return use.add({ op: 'pad', mode: 'constant', value: 0, before: [0, rows[0], columns[0], 0], after: [0, rows[1], columns[1], 0], inputs: [x] });
  });
}

export function lowerCropping2d(use: LayerUse): string {
  const [rows, columns] = use.config.sides('cropping', 0);
  return channelsLast(use, use.input, (x) => {
    const [, height, width] = use.ranked(x, 4) as [number, number, number];
    return crop(use, x, { from: [rows[0], columns[0]], size: [height - rows[0] - rows[1], width - columns[0] - columns[1]] });
  });
}

/** Cuts rows and columns out of images. */
export function crop(use: LayerUse, x: string, { from, size }: { readonly from: readonly [number, number]; readonly size: readonly [number, number] }): string {
  const shape = use.ranked(x, 4);
  if (size.some((each) => each < 1)) use.fail(`it cuts more away than ${show(shape)}, which it takes, has.`);
  if (size[0] === shape[1] && size[1] === shape[2]) return x;
  return use.add({ op: 'slice', begin: [0, ...from, 0], count: [-1, ...size, shape[3] as number], step: [1, 1, 1, 1], inputs: [x] }, 'cropped');
}
