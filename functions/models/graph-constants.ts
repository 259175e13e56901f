/** TensorFlow's operations whose results are known as soon as shapes are. */
import { sizeOf, type Shape } from '../network/network.js';
import type { Value } from './graph-lowering.js';
import type { Lowering, NodeScope } from './graph-scope.js';

export const CONSTANT_LOWERINGS: readonly (readonly [op: string, lowering: Lowering])[] = [
  ['Shape', (scope) => scope.list(scope.input(0).shape)],
  ['ShapeN', (scope) => ({ count: scope.inputs.length, at: (i) => scope.list(scope.input(i).shape) })],
  ['Rank', (scope) => scope.list([scope.input(0).shape.length], [])],
  ['Size', (scope) => scope.list([sizeOf(scope.input(0).shape)], [])],
  ['BroadcastArgs', (scope) => scope.list(broadcastLists(scope, scope.wholes(0), scope.wholes(1)))],
  ['Range', (scope) => ranged(scope, numberAt(scope, 0), numberAt(scope, 2), Math.ceil((numberAt(scope, 1) - numberAt(scope, 0)) / numberAt(scope, 2)))],
  ['LinSpace', (scope) => ranged(scope, numberAt(scope, 0), (numberAt(scope, 1) - numberAt(scope, 0)) / Math.max(1, scope.whole(2) - 1), scope.whole(2))],
];

function numberAt(scope: NodeScope, i: number): number {
  return scope.real(i) ?? scope.refuse(`its input ${i} is to be a constant number`);
}

function ranged(scope: NodeScope, first: number, step: number, count: number): Value {
  if (!Number.isSafeInteger(count) || !Number.isFinite(first) || !Number.isFinite(step)) scope.refuse(`it counts from ${first} in steps of ${step}, which never ends`);
  const length = Math.max(0, count);
  return scope.lowering.known(scope.node.name, [length], { dtype: scope.input(0).dtype, fill: (values) => values.forEach((_, i) => void (values[i] = first + i * step)) });
}

function broadcastLists(scope: NodeScope, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [left, right] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return left === right || right === 1 ? left : left === 1 ? right : scope.refuse(`it combines the shapes ${JSON.stringify(a)} and ${JSON.stringify(b)}, which do not fit`);
  });
}
