/** What TensorFlow's optimiser fused behind convolutions and products: a bias, a batch norm, an activation. */
import type { Operation } from '../network/network-builder.js';
import { activationOf } from './graph-activations.js';
import type { Value } from './graph-lowering.js';
import type { NodeScope } from './graph-scope.js';

type Linear = Extract<Operation, { readonly op: 'conv' | 'depthwise' | 'matmul' }>;
/** One operation of several; it adds itself under the name that it is given. */
type Step = (value: Value, options: { readonly part?: string }) => Value;

/** The attribute that says the slope of a fused LeakyRelu. */
const SLOPE = 'leakyrelu_alpha';

/** A linear operation on two operands, and what is fused behind it, whose arguments follow the operands. */
export function withFused(scope: NodeScope, linear: Linear, operands: readonly [Value, Value]): Value {
  const args = scope.inputs.slice(operands.length);
  const fused = [...scope.texts('fused_ops')];
  const isBiased = fused[0] === 'BiasAdd' && args[0]?.shape.length === 1;
  const bias = isBiased ? args.splice(0, 1) : [];
  if (isBiased) fused.shift();
  const activation = activationOf(scope, fused[0], SLOPE);
  if (activation) fused.shift();
  const steps: Step[] = [
    (_, options) => scope.add({ ...linear, ...(activation && { activation }) }, [...operands, ...bias], options),
    ...fused.map((op) => stepOf(scope, op, args)),
  ];
  return steps.reduce((value, step, i) => step(value, i === steps.length - 1 ? {} : { part: `fused${i}` }), operands[0]);
}

/** @param args taken by the operations one after the other */
function stepOf(scope: NodeScope, op: string, args: Value[]): Step {
  const take = (): Value => args.shift() ?? scope.refuse(`it has no argument for the ${op} that is fused into it`);
  if (op === 'BiasAdd' || op === 'Add') return two({ op: 'binary', fn: 'add' }, take());
  if (op === 'Prelu') return two({ op: 'prelu' }, take());
  if (op === 'FusedBatchNorm') {
    const parts = [take(), take(), take(), take()];
    return (value, options) => scope.add({ op: 'batchNorm', epsilon: scope.float('epsilon', 1e-4) }, [value, ...parts], options);
  }
  const apply = activationOf(scope, op, SLOPE) ?? scope.refuse(`the operation ${JSON.stringify(op.slice(0, 60))} is fused into it`);
  return (value, options) => scope.add({ op: 'elementwise', apply }, [value], options);

  function two(operation: Operation, argument: Value): Step {
    return (value, options) => scope.add(operation, [value, argument], options);
  }
}
