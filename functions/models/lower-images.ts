/** Layers that treat images as pictures: their scale, their size, what of them is seen. */
import type { Pair, ResizeNode } from '../network/network.js';
import type { LayerUse } from './layer-use.js';
import { channelsLast } from './lower-axes.js';
import { crop } from './lower-reshapes.js';

const METHODS = ['nearest', 'bilinear'] as const;
/** Where TensorFlow's `tf.image.resize` looks for the numbers between which it interpolates. */
const HALF_PIXELS = { alignCorners: false, halfPixelCenters: true } as const;

/** x · scale + offset, each one number or one a channel. */
export function lowerRescaling(use: LayerUse): string {
  const [scale, offset] = [use.config.raw('scale') ?? 1, use.config.raw('offset') ?? 0];
  const scaled = scale === 1 ? use.input : use.add({ op: 'binary', fn: 'mul', inputs: [use.input, use.constant(scale, 'scale')] }, offset === 0 ? undefined : 'scaled');
  return offset === 0 ? scaled : use.add({ op: 'binary', fn: 'add', inputs: [scaled, use.constant(offset, 'offset')] });
}

/** TF.js interpolates from the corner of a pixel where Keras does from its middle. */
export function lowerUpSampling2d(use: LayerUse): string {
  const times = use.config.pair('size', { fallback: 2 });
  const method = use.config.choice('interpolation', METHODS, 'nearest');
  return channelsLast(use, use.input, (x) => {
    const [, rows, columns] = use.ranked(x, 4) as [number, number, number];
    const halfPixelCenters = method === 'bilinear' && !use.site.isFromTfjs;
    return resize(use, x, { method, size: [rows * times[0], columns * times[1]], alignCorners: false, halfPixelCenters });
  });
}

export function lowerResizing(use: LayerUse): string {
  const { config } = use;
  const [size, method] = [targetSize(use), config.choice('interpolation', METHODS, 'bilinear')];
  if (config.flag('pad_to_aspect_ratio', false)) use.fail('it pads images to an aspect ratio, which is not computed here.', 'Set "layer" to a layer below it.');
  const isCropping = config.flag('crop_to_aspect_ratio', false);
  return channelsLast(use, use.input, (x) => (isCropping ? fill(use, x, { size, method }) : resize(use, x, { method, size, ...HALF_PIXELS })));
}

/** The middle; of an image that is smaller, what `fill` makes of it. */
export function lowerCenterCrop(use: LayerUse): string {
  const size = targetSize(use);
  return channelsLast(use, use.input, (x) => {
    const [, rows, columns] = use.ranked(x, 4) as [number, number, number];
    if (rows < size[0] || columns < size[1]) return fill(use, x, { size, method: 'bilinear' });
    return crop(use, x, { from: [(rows - size[0]) >> 1, (columns - size[1]) >> 1], size });
  });
}

/** RandomCrop when nothing is random. */
export function lowerFill(use: LayerUse): string {
  return channelsLast(use, use.input, (x) => fill(use, x, { size: targetSize(use), method: 'bilinear' }));
}

function targetSize(use: LayerUse): Pair {
  return [use.config.integer('height'), use.config.integer('width')];
}

/** The largest middle of the aspect ratio of `size`, resized to it (`smart_resize` in Keras's `image_utils.py`). */
function fill(use: LayerUse, x: string, { size, method }: { readonly size: Pair; readonly method: ResizeNode['method'] }): string {
  const [, rows, columns] = use.ranked(x, 4) as [number, number, number];
  const seen: Pair = [Math.min(rows, Math.trunc((columns * size[0]) / size[1])), Math.min(columns, Math.trunc((rows * size[1]) / size[0]))];
  return resize(use, crop(use, x, { from: [(rows - seen[0]) >> 1, (columns - seen[1]) >> 1], size: seen }), { method, size, ...HALF_PIXELS });
}

/** Resizes, unless that would change nothing. */
export function resize(use: LayerUse, x: string, how: Pick<ResizeNode, 'method' | 'size' | 'alignCorners' | 'halfPixelCenters'>): string {
  const shape = use.ranked(x, 4);
  return shape[1] === how.size[0] && shape[2] === how.size[1] ? x : use.add({ op: 'resize', ...how, inputs: [x] });
}
