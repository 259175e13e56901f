/** What is computed while a model is loaded is what engines compute. */
import * as core from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { beforeAll, describe, expect, it } from 'vitest';
import { computeNode } from '../../../functions/engines/tfjs-operations.js';
import { Evaluator, type Constant } from '../../../functions/network/evaluate.js';
import type { Operation } from '../../../functions/network/network-builder.js';
import { BINARY_FUNCTIONS, PLAIN_FUNCTIONS } from '../../../functions/network/network.js';
import { ShapeError } from '../../../functions/network/shapes.js';
import { seededRandom } from '../support/tiny-model.js';

beforeAll(() => core.setBackend('cpu'));

const random = seededRandom(5);
const draw = (shape: readonly number[], least = -2): Constant => ({ shape, dtype: 'float32', values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => least + random() * (2 - least)) });
const list = (...numbers: readonly number[]): Constant => ({ shape: [numbers.length], dtype: 'int32', values: Int32Array.from(numbers) });
const evaluate = (operation: Operation, inputs: readonly Constant[], weightNumbers = 0): Constant | undefined => new Evaluator(weightNumbers).evaluate(operation, inputs, inputs.at(operation.op === 'select' ? 1 : 0)!.dtype);

const X = draw([2, 3, 4]);
const OPERATIONS: readonly (readonly [string, Operation, readonly Constant[]])[] = [
  ...PLAIN_FUNCTIONS.map((fn) => [fn, { op: 'elementwise', apply: { fn } }, [draw([2, 3], /log|sqrt/.test(fn) ? 0.1 : -2)]] as const),
  ['clip', { op: 'elementwise', apply: { fn: 'clip', min: -1, max: Infinity } }, [X]],
  ...BINARY_FUNCTIONS.map((fn) => [fn, { op: 'binary', fn }, [draw([2, 1, 4], fn === 'pow' ? 0.1 : -2), draw([3, 1])]] as const),
  ['select', { op: 'select' }, [{ shape: [3, 1], dtype: 'bool', values: Uint8Array.of(1, 0, 1) }, X, draw([4])]],
  ...(['mean', 'sum', 'max', 'min', 'prod'] as const).flatMap((kind) => [[0, 2], [1]].map((axes) => [`${kind} over ${axes.join()}`, { op: 'reduce', kind, axes, keepDims: false }, [X]] as const)),
  ['kept axes', { op: 'reduce', kind: 'sum', axes: [1, 2], keepDims: true }, [X]],
  ['reshape', { op: 'reshape', shape: [4, 6] }, [X]],
  ['transpose', { op: 'transpose', order: [2, 0, 1] }, [X]],
  ['concat', { op: 'concat', axis: 1 }, [X, draw([2, 1, 4]), X]],
  ['pad', { op: 'pad', mode: 'constant', before: [0, 1, 2], after: [1, 0, 0], value: 0.5 }, [X]],
  ['slice', { op: 'slice', begin: [0, 2, 1], count: [-1, 2, 2], step: [1, -2, 2] }, [X]],
  ['gather', { op: 'gather', axis: 1, indices: [2, 0, 2, 2] }, [X]],
  ['tile', { op: 'tile', repeats: [2, 1, 3] }, [X]],
];
/** Of weights alone, these are left to engines. */
const LEFT = ['erf', 'gelu', 'geluTanh', 'hardSwish', 'mish', 'selu', 'softplus', 'softsign', 'swish'];

describe('Evaluator', () => {
  it.each(OPERATIONS)('computes %s as engines do, or leaves it to them', (name, operation, inputs) => {
    const ours = evaluate(operation, inputs);
    if (LEFT.includes(name)) return expect(ours).toBeUndefined();
    const theirs = computeNode(core, { ...operation, name: 'x', inputs: [] }, inputs.map(({ values, shape }) => core.tensor(Float32Array.from(values), [...shape])));
    expect(ours!.shape).toEqual(theirs.shape);
    theirs.dataSync().forEach((value, i) => expect(ours!.values[i]).toBeCloseTo(value, 5));
  });

  it('rounds halves to even', () => {
    expect([...evaluate({ op: 'elementwise', apply: { fn: 'round' } }, [{ shape: [6], dtype: 'float32', values: Float32Array.of(-2.5, -1.5, 0.5, 1.5, 2.5, 2.6) }])!.values]).toEqual([-2, -2, 0, 2, 2, 3]);
  });

  it('computes lists of whole numbers, and empty ones', () => {
    expect(evaluate({ op: 'slice', begin: [1], count: [0], step: [1] }, [list(4, 5)])).toEqual(list());
    expect(evaluate({ op: 'reduce', kind: 'prod', axes: [0], keepDims: false }, [list()])).toEqual({ shape: [], dtype: 'int32', values: Int32Array.of(1) });
    expect(evaluate({ op: 'concat', axis: 0 }, [list(1, 2), list(), list(3)])).toEqual(list(1, 2, 3));
    expect(evaluate({ op: 'binary', fn: 'floorDiv' }, [list(-7, 7), list(2)])).toEqual(list(-4, 3));
  });

  it('leaves convolutions and what else needs an engine', () => {
    expect(evaluate({ op: 'softmax', axis: 0, log: false }, [X])).toBeUndefined();
    expect(evaluate({ op: 'pad', mode: 'reflect', before: [0], after: [1], value: 0 }, [list(1, 2)])).toBeUndefined();
  });

  it('refuses what does not fit, and more numbers than weights account for', () => {
    expect(() => evaluate({ op: 'gather', axis: 0, indices: [5] }, [list(1, 2)])).toThrow(ShapeError);
    const tile: Operation = { op: 'tile', repeats: [5_000_000] };
    expect(() => evaluate(tile, [list(1)])).toThrow(/more numbers than a model of its size has/);
    expect(evaluate(tile, [list(1)], 1_000_000)!.values.length).toBe(5_000_000);
  });
});
