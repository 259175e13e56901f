/**
 * TF.js on WebAssembly: runs everywhere, downloads nothing. In Node it has SIMD but no threads (tfjs-backend-wasm turns
 * them off there), so the way to use several cores is several worker threads, each with its own engine.
 */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as wasm from '@tensorflow/tfjs-backend-wasm';
import type * as core from '@tensorflow/tfjs-core';
import { EisError } from '../../common/errors.js';
import type { EngineFactory } from './engine.js';
import { createTfjsEngine } from './tfjs.js';
import type { Tfjs } from './tfjs-operations.js';

/** Not `import`, which first searches a package of this kind for the names that it exports: TF.js's take 300 ms that way, and 80 this way. */
const require = createRequire(import.meta.url);

let loading: Promise<Tfjs> | undefined;

export const tfjsWasm: EngineFactory = {
  name: 'tfjs-wasm',
  prepare: loadTfjsWasm,
  create: (model, options) => createTfjsEngine('tfjs-wasm', loadTfjsWasm, { ...options, model }),
};

/**
 * TF.js's core on the WebAssembly backend.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE
 */
export function loadTfjsWasm(): Promise<Tfjs> {
  return (loading ??= load());
}

async function load(): Promise<Tfjs> {
  try {
    const loaded = require('@tensorflow/tfjs-core') as typeof core;
    const { setWasmPaths } = require('@tensorflow/tfjs-backend-wasm') as typeof wasm;
    setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
    if (!(await loaded.setBackend('wasm'))) throw new Error('The backend did not initialise.');
    return loaded;
  } catch (cause) {
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'tfjs-wasm', detail: `WebAssembly did not start: ${(cause as Error).message}` }, { cause });
  }
}
