/** TensorFlow's operations that take tensors apart, and put them together. */
import type { Shape } from '../network/network.js';
import type { Value } from './graph-lowering.js';
import type { Lowering, NodeScope, Outputs } from './graph-scope.js';

/** Entries that one node may pick. */
const INDICES_MAX = 2 ** 20;
const PARTS_MAX = 4_096;

export const SLICING_LOWERINGS: readonly (readonly [op: string, lowering: Lowering])[] = [
  ['ConcatV2', (scope) => joined(scope, scope.inputs.slice(0, -1), scope.whole(-1))],
  ['Concat', (scope) => joined(scope, scope.inputs.slice(1), scope.whole(0))],
  ['Pack', packed],
  ['Unpack', unpacked],
  ['Split', (scope) => split(scope, scope.input(1), scope.whole(0))],
  ['SplitV', (scope) => split(scope, scope.input(0), scope.whole(2), scope.wholes(1, PARTS_MAX))],
  ['Slice', sliced],
  ['StridedSlice', stridedSlice],
  ['Gather', (scope) => gathered(scope, 0)],
  ['GatherV2', (scope) => gathered(scope, scope.inputs.length > 2 ? scope.whole(2) : 0)],
  ['ReverseV2', (scope) => reversed(scope, scope.axes(scope.wholes(1), scope.input(0).shape.length))],
  ['Reverse', (scope) => reversed(scope, scope.wholes(1).flatMap((is, axis) => (is === 1 ? [axis] : [])))],
];

/** Of lists that are known, those without numbers add nothing. */
function joined(scope: NodeScope, inputs: readonly Value[], axis: number): Value {
  const some = inputs.filter(({ kind, shape }) => !(kind === 'known' && shape.length === 1 && shape[0] === 0));
  const [first = scope.input(0)] = some;
  return some.length <= 1 ? first : scope.add({ op: 'concat', axis: scope.axis(axis, first.shape.length) }, some, { dtype: first.dtype });
}

function packed(scope: NodeScope): Value {
  const { shape } = scope.input(0);
  const axis = scope.axis(scope.int('axis', 0), shape.length + 1);
  if (scope.inputs.some((input) => input.shape.length !== shape.length)) scope.refuse('it puts together tensors of other shapes');
  const apart = scope.inputs.map((input, i) => scope.reshape(input, input.shape.toSpliced(axis, 0, 1), `part${i}`));
  return apart.length === 1 ? (apart[0] as Value) : scope.add({ op: 'concat', axis }, apart);
}

/** A part of a tensor; the whole of it is the tensor itself. */
interface Part {
  readonly begin: readonly number[];
  readonly count: readonly number[];
  readonly step: readonly number[];
}

function cut(scope: NodeScope, x: Value, part: Part, options: { readonly part?: string; readonly name?: string } = {}): Value {
  const isFull = x.shape.map((size, axis) => part.begin[axis] === 0 && part.count[axis] === size && part.step[axis] === 1);
  if (isFull.every(Boolean) && part.begin.length === x.shape.length) return x;
  const count = part.count.map((each, axis) => (axis === 0 && isFull[0] === true && x.kind === 'computed' ? -1 : each));
  return scope.add({ op: 'slice', begin: part.begin, count, step: part.step }, [x], options);
}

/** All of a tensor but along one axis. */
function along(shape: Shape, axis: number, [begin, count, step]: readonly [number, number, number]): Part {
  const put = (others: readonly number[], own: number): number[] => others.map((other, i) => (i === axis ? own : other));
  return { begin: put(shape.map(() => 0), begin), count: put(shape, count), step: put(shape.map(() => 1), step) };
}

/** TensorFlow names the outputs of a node `node`, `node:1`, `node:2`. */
function outputName({ node }: NodeScope, i: number): string {
  return i === 0 ? node.name : `${node.name}:${i}`;
}

function unpacked(scope: NodeScope): Outputs {
  const x = scope.input(0);
  const axis = scope.axis(scope.int('axis', 0), x.shape.length);
  return {
    count: x.shape[axis] as number,
    at: (i) => scope.reshape(cut(scope, x, along(x.shape, axis, [i, 1, 1]), { part: `entry${i}` }), x.shape.toSpliced(axis, 1), i === 0 ? undefined : `part${i}`),
  };
}

/** @param listed how long the parts are; undefined: all alike */
function split(scope: NodeScope, x: Value, wantedAxis: number, listed?: readonly number[]): Outputs {
  const axis = scope.axis(wantedAxis, x.shape.length);
  const size = x.shape[axis] as number;
  const count = listed?.length ?? scope.int('num_split');
  const open = size - (listed ?? []).reduce((sum, each) => sum + Math.max(0, each), 0);
  const lengthOf = (i: number): number => (listed === undefined ? size / count : listed[i] === -1 ? open : (listed[i] as number));
  if (!(count >= 1 && Number.isInteger(lengthOf(0)))) scope.refuse(`it splits ${JSON.stringify(x.shape)} into ${count} along axis ${axis}`);
  const beginOf = (i: number): number => (listed === undefined ? i * lengthOf(0) : listed.slice(0, i).reduce((sum, _, before) => sum + lengthOf(before), 0));
  return { count, at: (i) => cut(scope, x, along(x.shape, axis, [beginOf(i), lengthOf(i), 1]), { name: outputName(scope, i) }) };
}

function sliced(scope: NodeScope): Value {
  const x = scope.input(0);
  const [begin, sizes] = [scope.wholes(1), scope.wholes(2)];
  if (begin.length !== x.shape.length || sizes.length !== x.shape.length) scope.refuse(`its lists of ${begin.length} and ${sizes.length} numbers are to say something about each axis of ${JSON.stringify(x.shape)}`);
  return cut(scope, x, { begin, count: sizes.map((size, axis) => (size === -1 ? (x.shape[axis] as number) - (begin[axis] as number) : size)), step: begin.map(() => 1) });
}

/** The masks of StridedSlice have a bit for each place of its lists. */
function stridedSlice(scope: NodeScope): Value {
  const x = scope.input(0);
  const [begins, ends, strides] = [scope.wholes(1), scope.wholes(2), scope.inputs.length > 3 ? scope.wholes(3) : scope.wholes(1).map(() => 1)];
  if (begins.length !== ends.length || begins.length !== strides.length || begins.length > 31) scope.refuse('its lists of first, last and steps differ in length');
  const bit = (mask: string, place: number): boolean => ((scope.int(mask, 0) >> place) & 1) === 1;
  const axesSaid = begins.filter((_, place) => !bit('new_axis_mask', place) && !bit('ellipsis_mask', place)).length;
  const part = { begin: [] as number[], count: [] as number[], step: [] as number[] };
  const shape: number[] = [];
  const take = (begin: number, count: number, step: number): void => void (part.begin.push(begin), part.count.push(count), part.step.push(step));
  const skip = (axes: number): void => {
    for (let left = axes; left > 0; left--) {
      const size = x.shape[part.begin.length] ?? scope.refuse('it takes more axes than there are');
      take(0, size, 1);
      shape.push(size);
    }
  };
  begins.forEach((begin, place) => {
    if (bit('ellipsis_mask', place)) return skip(x.shape.length - axesSaid);
    if (bit('new_axis_mask', place)) return void shape.push(1);
    const size = x.shape[part.begin.length] ?? scope.refuse('it takes more axes than there are');
    const isOne = bit('shrink_axis_mask', place);
    const range = { begin: bit('begin_mask', place) && !isOne ? undefined : begin, end: bit('end_mask', place) ? undefined : (ends[place] as number), step: strides[place] as number };
    const [from, count] = isOne ? [begin < 0 ? begin + size : begin, 1] : rangeOf(scope, size, range);
    take(from, count, isOne ? 1 : range.step);
    if (!isOne) shape.push(count);
  });
  skip(x.shape.length - part.begin.length);
  return scope.reshape(cut(scope, x, part, shape.length === x.shape.length && shape.every((size, i) => size === part.count[i]) ? {} : { part: 'slice' }), shape);
}

/** Which entries of an axis a slice with a step takes: the first, and how many. Undefined: from the end, to the end. */
function rangeOf(scope: NodeScope, size: number, { begin, end, step }: { readonly begin: number | undefined; readonly end: number | undefined; readonly step: number }): readonly [number, number] {
  if (step === 0) scope.refuse('it takes steps of 0');
  const [lowest, highest] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number): number => Math.min(highest, Math.max(lowest, at < 0 ? at + size : at));
  const from = begin === undefined ? (step > 0 ? 0 : size - 1) : clamp(begin);
  const to = end === undefined ? (step > 0 ? size : -1) : clamp(end);
  return [from, Math.max(0, Math.ceil((to - from) / step))];
}

function gathered(scope: NodeScope, wantedAxis: number): Value {
  const [x, which] = [scope.input(0), scope.input(1)];
  if (scope.int('batch_dims', 0) !== 0) scope.refuse('it picks other entries of each image (batch_dims)');
  const axis = scope.axis(wantedAxis, x.shape.length);
  const indices = scope.wholes(1, INDICES_MAX);
  const shape = x.shape.toSpliced(axis, 1, ...which.shape);
  if (which.shape.length === 1) return scope.add({ op: 'gather', axis, indices }, [x]);
  return scope.reshape(scope.add({ op: 'gather', axis, indices }, [x], { part: 'entries' }), shape);
}

function reversed(scope: NodeScope, axes: readonly number[]): Value {
  const x = scope.input(0);
  const isBackwards = (axis: number): boolean => axes.includes(axis);
  return cut(scope, x, { begin: x.shape.map((size, axis) => (isBackwards(axis) ? size - 1 : 0)), count: x.shape, step: x.shape.map((_, axis) => (isBackwards(axis) ? -1 : 1)) });
}
