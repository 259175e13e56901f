/** TensorFlow's comparisons and what is made of them: truths are the numbers 0 and 1. */
import type { Value } from './graph-lowering.js';
import type { Lowering, NodeScope } from './graph-scope.js';

export const COMPARISON_LOWERINGS: readonly (readonly [op: string, lowering: Lowering])[] = [
  ['Greater', (scope) => isPositive(scope, [0, 1])],
  ['Less', (scope) => isPositive(scope, [1, 0])],
  ['GreaterEqual', (scope) => not(scope, isPositive(scope, [1, 0], 'less'))],
  ['LessEqual', (scope) => not(scope, isPositive(scope, [0, 1], 'greater'))],
  ['NotEqual', (scope) => differs(scope)],
  ['Equal', (scope) => not(scope, differs(scope, 'differs'))],
  ['LogicalAnd', (scope) => scope.add({ op: 'binary', fn: 'min' }, [scope.input(0), scope.input(1)], { dtype: 'bool' })],
  ['LogicalOr', (scope) => scope.add({ op: 'binary', fn: 'max' }, [scope.input(0), scope.input(1)], { dtype: 'bool' })],
  ['LogicalNot', (scope) => not(scope, scope.input(0))],
  ['Select', selected],
  ['SelectV2', selected],
];

/** 1 where the difference of two inputs is above 0. */
function isPositive(scope: NodeScope, order: readonly [number, number], part?: string): Value {
  return scope.add({ op: 'elementwise', apply: { fn: 'relu' } }, [signOfDifference(scope, order)], { dtype: 'bool', ...(part !== undefined && { part }) });
}

function differs(scope: NodeScope, part?: string): Value {
  return scope.add({ op: 'elementwise', apply: { fn: 'abs' } }, [signOfDifference(scope, [0, 1])], { dtype: 'bool', ...(part !== undefined && { part }) });
}

function signOfDifference(scope: NodeScope, [a, b]: readonly [number, number]): Value {
  const difference = scope.add({ op: 'binary', fn: 'sub' }, [scope.input(a), scope.input(b)], { part: 'difference', dtype: 'float32' });
  return scope.add({ op: 'elementwise', apply: { fn: 'sign' } }, [difference], { part: 'sign' });
}

function not(scope: NodeScope, truth: Value): Value {
  return scope.add({ op: 'binary', fn: 'sub' }, [scope.number(1, 'one'), truth], { dtype: 'bool' });
}

/** The older Select may choose whole rows by a list, which is another operation than to stretch that list. */
function selected(scope: NodeScope): Value {
  const [condition, a, b] = [scope.input(0), scope.input(1), scope.input(2)];
  if (scope.node.op === 'Select' && condition.shape.length !== a.shape.length && condition.shape.length > 0) scope.refuse('it chooses whole rows by a list');
  return scope.add({ op: 'select' }, [condition, a, b], { dtype: a.dtype });
}
