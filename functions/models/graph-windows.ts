/** TensorFlow's operations that slide a window over images, and what normalises or resizes these. */
import { NO_PADDING, samePadding, type Pair, type PoolNode, type Sides } from '../network/network.js';
import { withFused } from './graph-fused.js';
import type { Value } from './graph-lowering.js';
import type { Lowering, NodeScope } from './graph-scope.js';

/** Rows or columns of padding at a side. */
const PADDING_MAX = 4_096;

export const WINDOW_LOWERINGS: readonly (readonly [op: string, lowering: Lowering])[] = [
  ['Conv2D', convolved],
  ['_FusedConv2D', convolved],
  ...['DepthwiseConv2dNative', 'DepthwiseConv2d', 'FusedDepthwiseConv2dNative'].map((op) => [op, convolvedDepthwise] as const),
  ['Conv2DBackpropInput', enlarged],
  ['AvgPool', (scope) => pooled(scope, 'average')],
  ['MaxPool', (scope) => pooled(scope, 'max')],
  ['MaxPoolWithArgmax', (scope) => pooled(scope, 'max')],
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].map((op) => [op, normalised] as const),
  ['LRN', (scope) => scope.add({ op: 'lrn', radius: scope.int('depth_radius', 5), bias: scope.float('bias', 1), alpha: scope.float('alpha', 1), beta: scope.float('beta', 0.5) }, [scope.images(0)])],
  ['ResizeBilinear', (scope) => resized(scope, 'bilinear')],
  ['ResizeNearestNeighbor', (scope) => resized(scope, 'nearest')],
];

interface Window {
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly padding: Sides;
}

function windowOf(scope: NodeScope, sizes: Pair, size: Pair): Window {
  const [strides, dilations] = [scope.pair('strides'), scope.pair('dilations', [1, 1])];
  const padding = paddingOf(scope, () => samePadding(sizes, { size, strides, dilations }));
  return padding.every((rows) => rows >= 0 && rows <= PADDING_MAX) ? { strides, dilations, padding } : scope.refuse(`it pads its images with ${JSON.stringify(padding)} rows and columns; at most ${PADDING_MAX} are computed`);
}

function paddingOf(scope: NodeScope, same: () => Sides): Sides {
  const padding = scope.text('padding');
  if (padding === 'SAME') return same();
  if (padding === 'VALID') return NO_PADDING;
  const [, , top, bottom, left, right] = scope.ints('explicit_paddings');
  const sides = [top, bottom, left, right];
  return padding === 'EXPLICIT' && sides.every((each) => Number.isInteger(each)) ? (sides as unknown as Sides) : scope.refuse('its attribute padding is to be SAME, VALID, or EXPLICIT with explicit_paddings');
}

/** A kernel for fewer channels than there are is one for as many groups of channels. */
function convolved(scope: NodeScope): Value {
  const [x, kernel] = [scope.images(0), scope.images(1)];
  const groups = x.shape[3] / kernel.shape[2];
  if (!Number.isInteger(groups)) scope.refuse(`its kernel takes ${kernel.shape[2]} channels and its input has ${x.shape[3]}`);
  return withFused(scope, { op: 'conv', groups, ...windowOf(scope, [x.shape[1], x.shape[2]], [kernel.shape[0], kernel.shape[1]]) }, [x, kernel]);
}

function convolvedDepthwise(scope: NodeScope): Value {
  const [x, kernel] = [scope.images(0), scope.images(1)];
  return withFused(scope, { op: 'depthwise', ...windowOf(scope, [x.shape[1], x.shape[2]], [kernel.shape[0], kernel.shape[1]]) }, [x, kernel]);
}

/** Its first input is the shape of the images whose convolution would give what it takes. */
function enlarged(scope: NodeScope): Value {
  const [shape, kernel, x] = [scope.wholes(0), scope.images(1), scope.images(2)];
  const [rows = 0, columns = 0] = shape.length === 2 ? shape : shape.slice(1);
  const { strides, dilations, padding } = windowOf(scope, [rows, columns], [kernel.shape[0], kernel.shape[1]]);
  if (dilations.some((each) => each !== 1)) scope.refuse('it enlarges with a dilated kernel');
  const extra = ([rows, columns] as const).map((wanted, axis) => wanted - ((x.shape[axis + 1] as number) - 1) * (strides[axis] as number) - (kernel.shape[axis] as number) + (padding[2 * axis] as number) + (padding[2 * axis + 1] as number));
  const fits = extra.every((more, axis) => more >= 0 && more < (strides[axis] as number));
  if (!fits) scope.refuse(`it enlarges ${JSON.stringify(x.shape)} to ${rows}×${columns}, which such a convolution does not come from`);
  return scope.add({ op: 'convTranspose', strides, padding, extra: extra as unknown as Pair }, [x, kernel]);
}

function pooled(scope: NodeScope, kind: PoolNode['kind']): Value {
  const x = scope.images(0);
  const size = scope.pair('ksize');
  const { strides, padding } = windowOf(scope, [x.shape[1], x.shape[2]], size);
  if (padding.some((rows, side) => rows >= (size[side >> 1] as number))) scope.refuse('its padding is larger than its window');
  return scope.add({ op: 'pool', kind, size, strides, padding }, [x]);
}

/** With the averages that were learnt, whatever the node says of training. */
function normalised(scope: NodeScope): Value {
  return scope.add({ op: 'batchNorm', epsilon: scope.float('epsilon', 1e-4) }, [0, 1, 2, 3, 4].map((i) => scope.input(i)));
}

function resized(scope: NodeScope, method: 'bilinear' | 'nearest'): Value {
  const [x, size] = [scope.images(0), scope.wholes(1)];
  const [alignCorners, halfPixelCenters] = [scope.flag('align_corners'), scope.flag('half_pixel_centers')];
  if (size.length !== 2 || (alignCorners && halfPixelCenters)) scope.refuse('its size is to be rows and columns, and only one of align_corners and half_pixel_centers can be set');
  return scope.add({ op: 'resize', method, size: size as unknown as Pair, alignCorners, halfPixelCenters }, [x]);
}
