/** TensorFlow's functions of one number, by the names of its operations. */
import type { Elementwise } from '../network/network.js';
import type { NodeScope } from './graph-scope.js';

const PLAIN: ReadonlyMap<string, Elementwise> = new Map<string, Elementwise>([
  ['Abs', { fn: 'abs' }], ['Ceil', { fn: 'ceil' }], ['Elu', { fn: 'elu', alpha: 1 }], ['Erf', { fn: 'erf' }], ['Exp', { fn: 'exp' }], ['Expm1', { fn: 'expm1' }], ['Floor', { fn: 'floor' }], ['GeluApproximate', { fn: 'geluTanh' }],
  ['GeluExact', { fn: 'gelu' }], ['Inv', { fn: 'reciprocal' }], ['Log', { fn: 'log' }], ['Log1p', { fn: 'log1p' }], ['Neg', { fn: 'neg' }], ['Reciprocal', { fn: 'reciprocal' }], ['Relu', { fn: 'relu' }], ['Relu6', { fn: 'clip', min: 0, max: 6 }],
  ['Round', { fn: 'round' }], ['Rsqrt', { fn: 'rsqrt' }], ['Selu', { fn: 'selu' }], ['Sigmoid', { fn: 'sigmoid' }], ['Sign', { fn: 'sign' }], ['Softplus', { fn: 'softplus' }], ['Softsign', { fn: 'softsign' }], ['Sqrt', { fn: 'sqrt' }],
  ['Square', { fn: 'square' }], ['Tanh', { fn: 'tanh' }],
]);
/** As TensorFlow has it when a node does not say. */
const LEAKY_ALPHA = 0.2;

export const ELEMENTWISE_OPERATIONS: readonly string[] = [...PLAIN.keys(), 'LeakyRelu'];

/**
 * @param op of a node, or fused into one
 * @param attribute the one that says the slope of a LeakyRelu
 * @returns undefined when it is no function of one number
 */
export function activationOf(scope: NodeScope, op: string | undefined, attribute = 'alpha'): Elementwise | undefined {
  return op === 'LeakyRelu' ? { fn: 'leakyRelu', alpha: scope.float(attribute, LEAKY_ALPHA) } : PLAIN.get(op ?? '');
}
