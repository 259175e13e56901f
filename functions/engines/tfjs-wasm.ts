/**
 * TF.js on WebAssembly: runs everywhere, downloads nothing. In Node it has SIMD but no threads (tfjs-backend-wasm turns
 * them off there), so the way to use several cores is several worker threads, each with its own engine.
 */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { EisError } from '../../common/errors.js';
import type { EngineFactory } from './engine.js';
import { createTfjsEngine } from './tfjs.js';
import type { Tfjs } from './tfjs-operations.js';

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
    const [loaded, wasm] = await Promise.all([import('@tensorflow/tfjs-core'), import('@tensorflow/tfjs-backend-wasm')]);
    const binaries = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
    wasm.setWasmPaths(binaries + sep);
    if (!(await loaded.setBackend('wasm'))) throw new Error('The backend did not initialise.');
    return loaded;
  } catch (cause) {
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'tfjs-wasm', detail: `WebAssembly did not start: ${(cause as Error).message}` }, { cause });
  }
}
