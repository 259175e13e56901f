/** Makes indexer/kernel/kernel-bytes.ts of kernel.wat. */
import { readFileSync, writeFileSync } from 'node:fs';
import { compileKernel } from './compile-kernel.mjs';

const folder = new URL('../indexer/kernel/', import.meta.url);
writeFileSync(new URL('kernel-bytes.ts', folder), await compileKernel(readFileSync(new URL('kernel.wat', folder), 'utf8')));
