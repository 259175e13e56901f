/** What functions of single numbers, and of pairs, are in ONNX. */
import type { BinaryFunction, Elementwise, PlainFunction } from '../network/network.js';
import type { OnnxWriter } from './onnx-writer.js';

/** Operators of their own. */
const OPERATORS: Partial<Record<PlainFunction, string>> = {
  abs: 'Abs', ceil: 'Ceil', erf: 'Erf', exp: 'Exp', floor: 'Floor', hardSwish: 'HardSwish', log: 'Log', mish: 'Mish', neg: 'Neg', reciprocal: 'Reciprocal', relu: 'Relu', round: 'Round', selu: 'Selu', sigmoid: 'Sigmoid', sign: 'Sign',
  softplus: 'Softplus', softsign: 'Softsign', sqrt: 'Sqrt', tanh: 'Tanh',
};

/** Emits a function of x; returns the ONNX name of its result. */
export function emitElementwise(writer: OnnxWriter, apply: Elementwise, x: string, name: string): string {
  const emit = (op: string, inputs: readonly string[], attributes: Readonly<Record<string, { readonly float: number } | string>> = {}): string => writer.emit(op, inputs, attributes, name);
  switch (apply.fn) {
    case 'clip': return emit('Clip', [x, apply.min === -Infinity ? '' : writer.scalar(apply.min), apply.max === Infinity ? '' : writer.scalar(apply.max)]);
    case 'leakyRelu': return emit('LeakyRelu', [x], { alpha: { float: apply.alpha } });
    case 'elu': return emit('Elu', [x], { alpha: { float: apply.alpha } });
    case 'hardSigmoid': return emit('HardSigmoid', [x], { alpha: { float: apply.alpha }, beta: { float: apply.beta } });
    case 'thresholdedRelu': return emit('ThresholdedRelu', [x], { alpha: { float: apply.theta } });
    case 'swish': return emit('Mul', [x, emit('Sigmoid', [x])]);
    case 'gelu': return emit('Gelu', [x], { approximate: 'none' });
    case 'geluTanh': return emit('Gelu', [x], { approximate: 'tanh' });
    case 'expm1': return emit('Sub', [emit('Exp', [x]), writer.scalar(1)]);
    case 'log1p': return emit('Log', [emit('Add', [x, writer.scalar(1)])]);
    case 'rsqrt': return emit('Reciprocal', [emit('Sqrt', [x])]);
    case 'square': return emit('Mul', [x, x]);
    default: return emit(OPERATORS[apply.fn] as string, [x]);
  }
}

const PAIR_OPERATORS = { add: 'Add', sub: 'Sub', mul: 'Mul', div: 'Div', max: 'Max', min: 'Min', pow: 'Pow' } as const;

export function emitBinary(writer: OnnxWriter, fn: BinaryFunction, [a, b]: readonly [string, string], name: string): string {
  if (fn === 'floorDiv') return writer.emit('Floor', [writer.emit('Div', [a, b], {}, name)], {}, name);
  if (fn !== 'squaredDifference') return writer.emit(PAIR_OPERATORS[fn], [a, b], {}, name);
  const difference = writer.emit('Sub', [a, b], {}, name);
  return writer.emit('Mul', [difference, difference], {}, name);
}
