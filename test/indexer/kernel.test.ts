import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { KERNEL_BASE64 } from '../../indexer/kernel/kernel-bytes.js';
import { QUERIES_AT_ONCE, bindKernel } from '../../indexer/kernel/kernel.js';
import { random } from './vectors.js';

describe('The kernel', () => {
  it('is what kernel.wat says', async () => {
    const { compileKernel } = (await import(packagePath('scripts/compile-kernel.mjs'))) as { readonly compileKernel: (wat: string) => Promise<string> };
    const compiled = await compileKernel(readFileSync(packagePath('indexer/kernel/kernel.wat'), 'utf8'));
    expect(compiled).toBe(readFileSync(packagePath('indexer/kernel/kernel-bytes.ts'), 'utf8'));
    expect(compiled.replaceAll(/[',\s]/g, '')).toContain(KERNEL_BASE64.slice(0, 100));
  });

  it.each([[16, 4], [32, 8], [1280, 12], [16_384, 4]])('multiplies rows of %i codes, %i of them, with one query and with four', (stride, rows) => {
    const pages = Math.ceil((rows * stride + 2 * QUERIES_AT_ONCE * stride + 4 * rows * QUERIES_AT_ONCE) / 65_536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const kernel = bindKernel(memory);
    const codes = new Int8Array(memory.buffer, 0, rows * stride);
    const queries = new Int16Array(memory.buffer, rows * stride, QUERIES_AT_ONCE * stride);
    const at = rows * stride + queries.byteLength;
    const results = new Int32Array(memory.buffer, at, rows * QUERIES_AT_ONCE);
    const next = random(stride);
    codes.forEach((_, i) => (codes[i] = Math.floor(next() * 256) - 128));
    queries.forEach((_, i) => (queries[i] = Math.floor(next() * 2_000) - 1_000));
    const expected = (row: number, query: number): number => {
      let sum = 0;
      for (let i = 0; i < stride; i++) sum += (codes[row * stride + i] as number) * (queries[query * stride + i] as number);
      return sum;
    };
    kernel.dotsOfOne(0, rows, stride, rows * stride, at);
    expect([...results.subarray(0, rows)]).toEqual(Array.from({ length: rows }, (_, row) => expected(row, 0)));
    kernel.dotsOfFour(0, rows, stride, rows * stride, at);
    expect([...results]).toEqual(Array.from({ length: rows * QUERIES_AT_ONCE }, (_, i) => expected(Math.floor(i / QUERIES_AT_ONCE), i % QUERIES_AT_ONCE)));
  });
});
