/** The compiled kernel over a piece of shared memory: `kernel.wat` says what it computes. */
import './webassembly.js';
import { KERNEL_BASE64 } from './kernel-bytes.js';

/**
 * All addresses are bytes of the memory. Rows are `stride` bytes long, a multiple of 16; results are int32, at `out`.
 */
export interface Kernel {
  /** `rows` results: the dot products of rows, 1 or more, with a query. */
  dotsOfOne(row: number, rows: number, stride: number, query: number, out: number): void;
  /** `2 · rows` results, by row: those with two queries that follow each other. `rows` is even. */
  dotsOfTwo(row: number, rows: number, stride: number, query: number, out: number): void;
}

let compiled: WebAssembly.Module | undefined;

export function bindKernel(memory: WebAssembly.Memory): Kernel {
  compiled ??= new WebAssembly.Module(Buffer.from(KERNEL_BASE64, 'base64'));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernel;
}
