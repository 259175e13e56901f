/** TensorFlow's operations that give the same numbers in another shape or order, or repeated, or with others around them. */
import { sizeOf, type PadNode, type Shape } from '../network/network.js';
import type { Value } from './graph-lowering.js';
import type { Lowering, NodeScope } from './graph-scope.js';

export const RESHAPING_LOWERINGS: readonly (readonly [op: string, lowering: Lowering])[] = [
  ['Reshape', (scope) => scope.reshape(scope.input(0), filled(scope, scope.input(0).shape, scope.wholes(1)))],
  ['Squeeze', squeezed],
  ['ExpandDims', expanded],
  ['Transpose', (scope) => permuted(scope, scope.input(0), scope.wholes(1))],
  ['Pad', (scope) => padded(scope, 'constant', 0)],
  ['PadV2', (scope) => padded(scope, 'constant', scope.real(2) ?? scope.refuse('what it pads with is to be a constant number'))],
  ['MirrorPad', mirrored],
  ['Tile', (scope) => repeated(scope, scope.input(0), scope.wholes(1))],
  ['BroadcastTo', (scope) => stretch(scope, scope.input(0), scope.wholes(1))],
  ['Fill', (scope) => stretch(scope, scope.input(1), scope.wholes(0))],
  ['ZerosLike', (scope) => stretch(scope, scope.number(0, 'zero', scope.input(0).dtype), scope.input(0).shape)],
  ['OnesLike', (scope) => stretch(scope, scope.number(1, 'one', scope.input(0).dtype), scope.input(0).shape)],
  ['DepthToSpace', depthToSpace],
  ['SpaceToDepth', spaceToDepth],
  ['SpaceToBatchND', spaceToBatch],
  ['BatchToSpaceND', batchToSpace],
];

/** A shape with its open size, if it has one, filled in. */
function filled(scope: NodeScope, from: Shape, wanted: readonly number[]): Shape {
  const known = sizeOf(wanted.filter((size) => size !== -1));
  const shape = wanted.map((size) => (size === -1 ? sizeOf(from) / known : size));
  return wanted.filter((size) => size === -1).length <= 1 && sizeOf(shape) === sizeOf(from) && shape.every((size) => Number.isInteger(size) && size >= 0) ? shape : scope.refuse(`it gives ${JSON.stringify(from)} the shape ${JSON.stringify(wanted)}, which has another number of numbers`);
}

function squeezed(scope: NodeScope): Value {
  const { shape } = scope.input(0);
  const listed = scope.axes([...scope.ints('squeeze_dims'), ...scope.ints('axis')], shape.length);
  const axes = listed.length > 0 ? listed : shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
  if (axes.some((axis) => shape[axis] !== 1)) scope.refuse(`it takes the axes ${JSON.stringify(axes)} out of ${JSON.stringify(shape)}, and only those of one entry can go`);
  return scope.reshape(scope.input(0), shape.filter((_, axis) => !axes.includes(axis)));
}

function expanded(scope: NodeScope): Value {
  const { shape } = scope.input(0);
  return scope.reshape(scope.input(0), shape.toSpliced(scope.axis(scope.whole(1), shape.length + 1), 0, 1));
}

function permuted(scope: NodeScope, x: Value, order: readonly number[]): Value {
  const axes = order.map((axis) => scope.axis(axis, x.shape.length));
  return axes.every((axis, i) => axis === i) && axes.length === x.shape.length ? x : scope.add({ op: 'transpose', order: axes }, [x]);
}

/** Pairs of how many are put before and after, an axis each. */
function pairsOf(scope: NodeScope, i: number, rank: number): { readonly before: readonly number[]; readonly after: readonly number[] } {
  const numbers = scope.wholes(i);
  if (numbers.length !== 2 * rank || numbers.some((each) => each < 0)) scope.refuse(`its paddings are to be ${rank} pairs of numbers from 0, and are ${JSON.stringify(numbers)}`);
  return { before: numbers.filter((_, at) => at % 2 === 0), after: numbers.filter((_, at) => at % 2 === 1) };
}

function padded(scope: NodeScope, mode: PadNode['mode'], value: number): Value {
  const x = scope.input(0);
  return scope.add({ op: 'pad', mode, ...pairsOf(scope, 1, x.shape.length), value }, [x]);
}

function mirrored(scope: NodeScope): Value {
  const { shape } = scope.input(0);
  const mode = scope.text('mode') === 'SYMMETRIC' ? 'symmetric' : 'reflect';
  const { before, after } = pairsOf(scope, 1, shape.length);
  const most = (axis: number): number => (shape[axis] as number) - (mode === 'reflect' ? 1 : 0);
  if ([before, after].some((side) => side.some((count, axis) => count > most(axis)))) scope.refuse(`it mirrors more of ${JSON.stringify(shape)} than is there`);
  return padded(scope, mode, 0);
}

function repeated(scope: NodeScope, x: Value, repeats: readonly number[]): Value {
  if (repeats.some((each) => each < 0)) scope.refuse(`it repeats its input ${JSON.stringify(repeats)} times`);
  return repeats.every((each) => each === 1) && repeats.length === x.shape.length ? x : scope.add({ op: 'tile', repeats }, [x]);
}

function stretch(scope: NodeScope, x: Value, shape: Shape): Value {
  const from = [...new Array<number>(Math.max(0, shape.length - x.shape.length)).fill(1), ...x.shape];
  const fits = from.length === shape.length && from.every((size, axis) => size === 1 || size === shape[axis]);
  if (!fits) scope.refuse(`it stretches ${JSON.stringify(x.shape)} to ${JSON.stringify(shape)}`);
  return repeated(scope, scope.reshape(x, from, 'axes'), from.map((size, axis) => (size === 1 ? (shape[axis] as number) : 1)));
}

/** The side of the squares that a node makes of channels, or channels of them. */
function blockSize(scope: NodeScope): number {
  const size = scope.int('block_size');
  return size >= 1 ? size : scope.refuse(`its block_size is ${size}`);
}

/** A shape whose sizes are whole, as they are where blocks fill the images. */
function whole(scope: NodeScope, shape: Shape): Shape {
  return shape.every(Number.isInteger) ? shape : scope.refuse(`its blocks do not fill ${JSON.stringify(scope.input(0).shape)}`);
}

function depthToSpace(scope: NodeScope): Value {
  const [x, size] = [scope.images(0), blockSize(scope)];
  const [batch, rows, columns, channels] = x.shape;
  const depth = channels / size ** 2;
  const apart = scope.reshape(x, whole(scope, [batch, rows, columns, size, size, depth]), 'blocks');
  return scope.reshape(scope.add({ op: 'transpose', order: [0, 1, 3, 2, 4, 5] }, [apart], { part: 'spread' }), [batch, rows * size, columns * size, depth]);
}

function spaceToDepth(scope: NodeScope): Value {
  const [x, size] = [scope.images(0), blockSize(scope)];
  const [batch, rows, columns, channels] = x.shape;
  const apart = scope.reshape(x, whole(scope, [batch, rows / size, size, columns / size, size, channels]), 'blocks');
  return scope.reshape(scope.add({ op: 'transpose', order: [0, 1, 3, 2, 4, 5] }, [apart], { part: 'gathered' }), [batch, rows / size, columns / size, size ** 2 * channels]);
}

/** The sides of blocks, of the axes behind the first. */
function blocksOf(scope: NodeScope, rank: number): readonly number[] {
  const blocks = scope.wholes(1);
  return blocks.length >= 1 && blocks.length < rank && blocks.every((size) => size >= 1) ? blocks : scope.refuse(`its blocks are ${JSON.stringify(blocks)} for a tensor of ${rank} sizes`);
}

/** Every how manieth row and column becomes an image of its own. */
function spaceToBatch(scope: NodeScope): Value {
  const x = scope.input(0);
  const blocks = blocksOf(scope, x.shape.length);
  const behind = new Array<number>(x.shape.length - 1 - blocks.length).fill(0);
  const { before, after } = pairsOf(scope, 2, blocks.length);
  const larger = scope.add({ op: 'pad', mode: 'constant', before: [0, ...before, ...behind], after: [0, ...after, ...behind], value: 0 }, [x], { part: 'padded' });
  const [batch = 1, ...sizes] = larger.shape;
  const rest = sizes.slice(blocks.length);
  const fewer = blocks.map((size, i) => (sizes[i] as number) / size);
  const apart = scope.reshape(larger, whole(scope, [batch, ...fewer.flatMap((count, i) => [count, blocks[i] as number]), ...rest]), 'blocks');
  const order = [...blocks.map((_, i) => 2 * i + 2), 0, ...blocks.map((_, i) => 2 * i + 1), ...rest.map((_, i) => 2 * blocks.length + 1 + i)];
  return scope.reshape(scope.add({ op: 'transpose', order }, [apart], { part: 'spread' }), [batch * sizeOf(blocks), ...fewer, ...rest]);
}

/** What SpaceToBatchND does, undone, and cropped. */
function batchToSpace(scope: NodeScope): Value {
  const x = scope.input(0);
  const blocks = blocksOf(scope, x.shape.length);
  const [images = 1, ...sizes] = x.shape;
  const rest = sizes.slice(blocks.length);
  const batch = images / sizeOf(blocks);
  const apart = scope.reshape(x, whole(scope, [...blocks, batch, ...sizes]), 'blocks');
  const order = [blocks.length, ...blocks.flatMap((_, i) => [blocks.length + 1 + i, i]), ...rest.map((_, i) => 2 * blocks.length + 1 + i)];
  const spread = scope.add({ op: 'transpose', order }, [apart], { part: 'gathered' });
  const { before, after } = pairsOf(scope, 2, blocks.length);
  const full = [batch, ...blocks.map((size, i) => size * (sizes[i] as number)), ...rest];
  if (before.every((each) => each === 0) && after.every((each) => each === 0)) return scope.reshape(spread, full);
  const cropped = full.map((size, axis) => size - (before[axis - 1] ?? 0) - (after[axis - 1] ?? 0));
  return scope.add({ op: 'slice', begin: full.map((_, axis) => before[axis - 1] ?? 0), count: cropped, step: full.map(() => 1) }, [scope.reshape(spread, full, 'whole')]);
}
