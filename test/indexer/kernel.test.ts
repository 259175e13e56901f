import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { KERNEL_BASE64 } from '../../indexer/kernel/kernel-bytes.js';
import { bindKernel } from '../../indexer/kernel/kernel.js';
import { random } from './vectors.js';

describe('The kernel', () => {
  it('is what kernel.wat says', async () => {
    const { compileKernel } = (await import(packagePath('scripts/compile-kernel.mjs'))) as { readonly compileKernel: (wat: string) => Promise<string> };
    const compiled = await compileKernel(readFileSync(packagePath('indexer/kernel/kernel.wat'), 'utf8'));
    expect(compiled).toBe(readFileSync(packagePath('indexer/kernel/kernel-bytes.ts'), 'utf8'));
    expect(compiled.replaceAll(/[',\s]/g, '')).toContain(KERNEL_BASE64.slice(0, 100));
  });

  it.each([[16, 2], [32, 8], [1280, 14], [16_384, 4]])('multiplies rows of %i codes, %i of them, with one query and with two', (stride, rows) => {
    const pages = Math.ceil((rows * stride + 4 * stride + 8 * rows) / 65_536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const codes = new Int8Array(memory.buffer, 0, rows * stride);
    const queries = new Int16Array(memory.buffer, rows * stride, 2 * stride);
    const results = new Int32Array(memory.buffer, rows * stride + queries.byteLength, 2 * rows);
    const next = random(stride);
    codes.forEach((_, i) => (codes[i] = Math.floor(next() * 256) - 128));
    queries.forEach((_, i) => (queries[i] = Math.floor(next() * 2_000) - 1_000));
    const expected = (row: number, query: number): number => queries.subarray(query * stride, (query + 1) * stride).reduce((sum, x, i) => sum + x * (codes[row * stride + i] as number), 0);
    const kernel = bindKernel(memory);
    kernel.dotsOfOne(0, rows - 1, stride, queries.byteOffset, results.byteOffset);
    expect([...results.subarray(0, rows)]).toEqual([...Array.from({ length: rows - 1 }, (_, row) => expected(row, 0)), 0]);
    kernel.dotsOfTwo(0, rows, stride, queries.byteOffset, results.byteOffset);
    expect([...results]).toEqual(Array.from({ length: 2 * rows }, (_, i) => expected(i >> 1, i % 2)));
  });
});
