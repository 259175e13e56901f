/** TensorFlow's operations on numbers one by one, or on two tensors number by number, and over the axes of one. */
import type { BinaryFunction, ReduceNode } from '../network/network.js';
import { ELEMENTWISE_OPERATIONS, activationOf } from './graph-activations.js';
import type { Value } from './graph-lowering.js';
import { PASSING } from './graph-ops.js';
import type { Lowering, NodeScope } from './graph-scope.js';

const BINARY: Readonly<Record<string, BinaryFunction>> = { Add: 'add', AddV2: 'add', BiasAdd: 'add', FloorDiv: 'floorDiv', Maximum: 'max', Minimum: 'min', Mul: 'mul', Pow: 'pow', SquaredDifference: 'squaredDifference', Sub: 'sub' };
const REDUCING: Readonly<Record<string, ReduceNode['kind']>> = { Max: 'max', Mean: 'mean', Min: 'min', Prod: 'prod', Sum: 'sum' };

/** TensorFlow's types, by name and by number. Reals of other sizes are float32 in a file of TF.js. */
const REALS: readonly unknown[] = ['DT_FLOAT', 'DT_HALF', 'DT_DOUBLE', 'DT_BFLOAT16', 1, 19, 2, 14];
const WHOLES: readonly unknown[] = ['DT_INT32', 'DT_INT64', 'DT_INT16', 'DT_INT8', 'DT_UINT8', 'DT_UINT16', 'DT_UINT32', 'DT_UINT64', 3, 9, 5, 6, 4, 17, 22, 23];
const TRUTHS: readonly unknown[] = ['DT_BOOL', 10];

type Lowerings = readonly (readonly [op: string, lowering: Lowering])[];

export const ARITHMETIC_LOWERINGS: Lowerings = [
  ...[...PASSING, 'EnsureShape', 'FakeQuantWithMinMaxVars'].map((op) => [op, (scope: NodeScope): Value => scope.input(0)] as const),
  ['IdentityN', ({ inputs }) => ({ count: inputs.length, at: (i) => inputs[i] as Value })],
  ...ELEMENTWISE_OPERATIONS.map((op) => [op, applied] as const),
  ...Object.entries(BINARY).map(([op, fn]) => [op, (scope: NodeScope): Value => scope.add({ op: 'binary', fn }, [scope.input(0), scope.input(1)])] as const),
  ...['Div', 'RealDiv'].map((op) => [op, divided] as const),
  ...['FloorMod', 'Mod'].map((op) => [op, remainder] as const),
  ['DivNoNan', dividedOrZero],
  ['AddN', summed],
  ['ClipByValue', clipped],
  ['Prelu', (scope) => scope.add({ op: 'prelu' }, [scope.input(0), scope.input(1)])],
  ['Cast', cast],
  ...Object.entries(REDUCING).map(([op, kind]) => [op, (scope: NodeScope): Value => reduced(scope, kind, scope.input(0))] as const),
  ['EuclideanNorm', (scope) => scope.add({ op: 'elementwise', apply: { fn: 'sqrt' } }, [reduced(scope, 'sum', scope.add({ op: 'elementwise', apply: { fn: 'square' } }, [scope.input(0)], { part: 'squares' }), 'sum')])],
  ['Softmax', (scope) => softmax(scope, false)],
  ['LogSoftmax', (scope) => softmax(scope, true)],
];

function applied(scope: NodeScope): Value {
  const apply = activationOf(scope, scope.node.op);
  return apply ? scope.add({ op: 'elementwise', apply }, [scope.input(0)]) : scope.refuse('it is no function of one number');
}

/** Whole numbers are divided to whole ones. */
function divided(scope: NodeScope): Value {
  const operands = [scope.input(0), scope.input(1)];
  return scope.add({ op: 'binary', fn: operands.every(({ dtype }) => dtype === 'int32') ? 'floorDiv' : 'div' }, operands);
}

function remainder(scope: NodeScope): Value {
  const [a, b] = [scope.input(0), scope.input(1)];
  const times = scope.add({ op: 'binary', fn: 'floorDiv' }, [a, b], { part: 'times' });
  return scope.add({ op: 'binary', fn: 'sub' }, [a, scope.add({ op: 'binary', fn: 'mul' }, [times, b], { part: 'whole' })]);
}

/** a / b, and 0 where b is 0. */
function dividedOrZero(scope: NodeScope): Value {
  const [a, b] = [scope.input(0), scope.input(1)];
  const quotient = scope.add({ op: 'binary', fn: 'div' }, [a, b], { part: 'quotient' });
  return scope.add({ op: 'select' }, [b, quotient, scope.number(0, 'zero')], { dtype: a.dtype });
}

function summed(scope: NodeScope): Value {
  const last = scope.inputs.length - 1;
  return scope.inputs.slice(1).reduce((sum, input, i) => scope.add({ op: 'binary', fn: 'add' }, [sum, input], i + 1 === last ? {} : { part: `sum${i}` }), scope.input(0));
}

function clipped(scope: NodeScope): Value {
  const [min, max] = [scope.real(1), scope.real(2)];
  if (min !== undefined && max !== undefined && min <= max) return scope.add({ op: 'elementwise', apply: { fn: 'clip', min, max } }, [scope.input(0)]);
  return scope.add({ op: 'binary', fn: 'min' }, [scope.add({ op: 'binary', fn: 'max' }, [scope.input(0), scope.input(1)], { part: 'low' }), scope.input(2)]);
}

/** Reals become whole towards 0, and truths are 0 and 1. Whole numbers are reals already. */
function cast(scope: NodeScope): Value {
  const x = scope.input(0);
  const type = scope.node.attr['DstT']?.['type'];
  if (REALS.includes(type)) return relabelled(scope, x, 'float32');
  if (WHOLES.includes(type)) return x.dtype === 'float32' ? truncated(scope, x) : relabelled(scope, x, 'int32');
  if (TRUTHS.includes(type)) return x.dtype === 'bool' ? x : scope.add({ op: 'elementwise', apply: { fn: 'abs' } }, [scope.add({ op: 'elementwise', apply: { fn: 'sign' } }, [x], { part: 'sign' })], { dtype: 'bool' });
  return scope.refuse(`it makes numbers of the type ${JSON.stringify(type) ?? 'that it does not say'}`);
}

function relabelled(scope: NodeScope, x: Value, dtype: 'float32' | 'int32'): Value {
  if (x.kind === 'computed' || x.dtype === dtype) return { ...x, dtype };
  return scope.lowering.known(scope.node.name, x.shape, { dtype, fill: (values) => values.set(x.values) });
}

function truncated(scope: NodeScope, x: Value): Value {
  if (x.kind === 'known') return scope.lowering.known(scope.node.name, x.shape, { dtype: 'int32', fill: (values) => x.values.forEach((value, i) => void (values[i] = value)) });
  const size = scope.add({ op: 'elementwise', apply: { fn: 'floor' } }, [scope.add({ op: 'elementwise', apply: { fn: 'abs' } }, [x], { part: 'abs' })], { part: 'floor' });
  return scope.add({ op: 'binary', fn: 'mul' }, [size, scope.add({ op: 'elementwise', apply: { fn: 'sign' } }, [x], { part: 'sign' })], { dtype: 'int32' });
}

function reduced(scope: NodeScope, kind: ReduceNode['kind'], x: Value, part?: string): Value {
  const axes = scope.axes(scope.wholes(1), x.shape.length);
  return axes.length === 0 ? x : scope.add({ op: 'reduce', kind, axes, keepDims: scope.flag('keep_dims') }, [x], part === undefined ? {} : { part });
}

function softmax(scope: NodeScope, log: boolean): Value {
  const x = scope.input(0);
  return scope.add({ op: 'softmax', axis: scope.axis(-1, x.shape.length), log }, [x]);
}
