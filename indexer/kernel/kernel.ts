/** The compiled kernel over a piece of shared memory: `kernel.wat` says what it computes. */
import './webassembly.js';
import { KERNEL_BASE64 } from './kernel-bytes.js';

/** Rows are handed over in multiples of this; what lies behind the last row is computed with it and ignored. */
export const ROWS_AT_ONCE = 4;
/** So are the queries of `dotsOfFour`. */
export const QUERIES_AT_ONCE = 4;

/** Addresses are bytes of the memory; `stride` is a row's length in bytes, a multiple of 16. Results are int32. */
export interface Kernel {
  /** `rows` results. */
  dotsOfOne(row: number, rows: number, stride: number, query: number, out: number): void;
  /** `rows · 4` results, row by row. */
  dotsOfFour(row: number, rows: number, stride: number, queries: number, out: number): void;
}

let compiled: WebAssembly.Module | undefined;

export function bindKernel(memory: WebAssembly.Memory): Kernel {
  compiled ??= new WebAssembly.Module(Buffer.from(KERNEL_BASE64, 'base64'));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernel;
}
