/** TensorFlow's products of matrices; those of letters (Einsum) are products of matrices in another order. */
import { sizeOf } from '../network/network.js';
import { withFused } from './graph-fused.js';
import type { Value } from './graph-lowering.js';
import { unflattened, type Lowering, type NodeScope } from './graph-scope.js';

export const PRODUCT_LOWERINGS: readonly (readonly [op: string, lowering: Lowering])[] = [
  ['MatMul', multiplied],
  ['_FusedMatMul', multiplied],
  ...['BatchMatMul', 'BatchMatMulV2'].map((op) => [op, (scope: NodeScope): Value => scope.add({ op: 'matmul', transposeA: scope.flag('adj_x'), transposeB: scope.flag('adj_y') }, [scope.input(0), scope.input(1)])] as const),
  ['Einsum', einsum],
];

/** Where images were flattened to the rows of one matrix, as Keras does for a Dense layer on maps, they are multiplied as they were: so they stay apart. */
function multiplied(scope: NodeScope): Value {
  const [a, b] = [scope.input(0), scope.input(1)];
  const [transposeA, transposeB] = [scope.flag('transpose_a'), scope.flag('transpose_b')];
  const linear = { op: 'matmul', transposeA, transposeB } as const;
  const isByRows = !transposeA && b.shape.length === 2 && scope.inputs.slice(2).every(({ shape }) => shape.length <= 1);
  const images = !isByRows ? undefined : unflattened(scope, a);
  if (!images) return withFused(scope, linear, [a, b]);
  const product = withFused(scope, linear, [images, b]);
  return scope.reshape(product, [a.shape[0] as number, product.shape.at(-1) as number], 'rows');
}

/** An operand of a product by letters: each axis is named by one. */
interface Lettered {
  readonly value: Value;
  readonly letters: readonly string[];
}

/**
 * Letters that both operands and the result have count the matrices, those that only the operands have are summed over,
 * and each of the others is of rows or of columns.
 */
function einsum(scope: NodeScope): Value {
  const { operands: [a, b], result } = parseEquation(scope);
  const shared = a.letters.filter((letter) => b.letters.includes(letter));
  const matrices = shared.filter((letter) => result.includes(letter));
  const summed = shared.filter((letter) => !result.includes(letter));
  const [rows, columns] = [a, b].map(({ letters }) => letters.filter((letter) => !shared.includes(letter))) as [string[], string[]];
  const given = [...matrices, ...rows, ...columns];
  if (summed.length === 0 || given.length !== result.length || given.some((letter) => !result.includes(letter))) scope.refuse(`its equation ${equationOf(scope)} is no product of matrices`);
  const sizes = new Map([a, b].flatMap(({ value, letters }) => letters.map((letter, axis) => [letter, value.shape[axis] as number] as const)));
  const sizesOf = (letters: readonly string[]): number[] => letters.map((letter) => sizes.get(letter) as number);
  const joined = (letters: readonly string[]): number => sizeOf(sizesOf(letters));
  // Rows stay apart where nothing has to be joined: their first axis is the batch of images.
  const apart = matrices.length === 0 && rows.length > 0;
  const left = scope.reshape(inOrder(scope, a, [...matrices, ...rows, ...summed], 'left'), [...sizesOf(matrices), ...(apart ? sizesOf(rows) : [joined(rows)]), joined(summed)], 'rows');
  const right = scope.reshape(inOrder(scope, b, [...matrices, ...summed, ...columns], 'right'), [...sizesOf(matrices), joined(summed), joined(columns)], 'columns');
  const product = scope.add({ op: 'matmul', transposeA: false, transposeB: false }, [left, right], { part: 'product' });
  return inOrder(scope, { value: scope.reshape(product, sizesOf(given), 'letters'), letters: given }, result);
}

function inOrder(scope: NodeScope, { value, letters }: Lettered, wanted: readonly string[], part?: string): Value {
  const order = wanted.map((letter) => letters.indexOf(letter));
  return order.every((axis, i) => axis === i) ? value : scope.add({ op: 'transpose', order }, [value], part === undefined ? {} : { part });
}

const ELLIPSIS = '...';

function equationOf(scope: NodeScope): string {
  return JSON.stringify((scope.text('equation') ?? '').slice(0, 80));
}

/** `...c,cd->...d`: the letters of both operands, the one that is known second, and of the result; dots stand for letters of their own. */
function parseEquation(scope: NodeScope): { readonly operands: readonly [Lettered, Lettered]; readonly result: readonly string[] } {
  const refuse = (): never => scope.refuse(`its equation ${equationOf(scope)} is to name each axis of two inputs and of the result, once`);
  const [, first = '', second = '', third = ''] = /^([A-Za-z.]*),([A-Za-z.]*)->([A-Za-z.]*)$/.exec((scope.text('equation') ?? '').replaceAll(' ', '')) ?? refuse();
  const shapes = [scope.input(0), scope.input(1)].map(({ shape }) => shape);
  const dotted = Math.max(...[first, second].map((letters, i) => (letters.includes(ELLIPSIS) ? (shapes[i] as readonly number[]).length - letters.length + ELLIPSIS.length : 0)));
  const spell = (letters: string, dots: number): string[] => {
    const [before = '', after] = letters.split(ELLIPSIS, 2);
    return after === undefined ? [...before] : [...before, ...Array.from({ length: Math.max(0, dots) }, (_, i) => `.${dotted - dots + i}`), ...after];
  };
  const operands = [first, second].map((letters, i) => ({ value: scope.input(i), letters: spell(letters, (shapes[i] as readonly number[]).length - letters.length + ELLIPSIS.length) }));
  const result = spell(third, dotted);
  const isSpelt = (letters: readonly string[]): boolean => new Set(letters).size === letters.length && !letters.includes('.');
  if (!operands.every(({ value, letters }) => isSpelt(letters) && letters.length === value.shape.length) || !isSpelt(result)) refuse();
  const [a, b] = operands as unknown as readonly [Lettered, Lettered];
  return { operands: a.value.kind === 'known' ? [b, a] : [a, b], result };
}
