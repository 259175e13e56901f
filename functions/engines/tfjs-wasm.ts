/**
 * TF.js on WebAssembly: runs everywhere, downloads nothing. In Node it has SIMD but no threads (tfjs-backend-wasm turns
 * them off there), so the way to use several cores is several worker threads, each with its own engine.
 */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as core from '@tensorflow/tfjs-core';
import { EisError } from '../../common/errors.js';
import type { EngineFactory } from './engine.js';
import type { TfjsSource } from './tfjs-network.js';
import { createTfjsEngine } from './tfjs.js';

let loading: Promise<typeof core> | undefined;

const source: TfjsSource = {
  layers: async () => ({ ...(await (loading ??= loadCore())), ...(await import('@tensorflow/tfjs-layers')) }),
  graph: async () => ({ ...(await (loading ??= loadCore())), ...(await import('@tensorflow/tfjs-converter')) }),
};

export const tfjsWasm: EngineFactory = {
  name: 'tfjs-wasm',
  prepare: () => (loading ??= loadCore()),
  create: (model) => createTfjsEngine('tfjs-wasm', source, model),
};

/** TF.js's core on the WebAssembly backend. */
async function loadCore(): Promise<typeof core> {
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
