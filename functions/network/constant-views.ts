/** Reads and writes tensors of constants in another order: strides over flat numbers, as NumPy's views. */
import { sizeOf, type Shape } from './network.js';

export interface View {
  readonly shape: Shape;
  /** How far apart the neighbours along each axis lie; 0 repeats, less goes backwards. */
  readonly strides: readonly number[];
  /** Where the first entry lies. */
  readonly offset: number;
}

/** How far apart the neighbours along each axis lie in a tensor that is stored row by row. */
export function stridesOf(shape: Shape): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** Calls `visit` for each entry of a view, row by row: the how manieth it is, and where it lies. */
export function walk({ shape, strides, offset }: View, visit: (i: number, at: number) => void): void {
  const count = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, at = offset; i < count; i++) {
    visit(i, at);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] as number;
      at += stride;
      if (++(index[axis] as number) < (shape[axis] as number)) break;
      at -= stride * (shape[axis] as number);
      index[axis] = 0;
    }
  }
}

/** A tensor stretched to `shape` as NumPy does. */
export function stretched(from: Shape, shape: Shape): View {
  const missing = shape.length - from.length;
  const strides = stridesOf(from);
  return { shape, offset: 0, strides: shape.map((_, axis) => (axis < missing || from[axis - missing] === 1 ? 0 : (strides[axis - missing] as number))) };
}
