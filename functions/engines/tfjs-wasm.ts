/**
 * TF.js on WebAssembly: runs everywhere, downloads nothing. In Node it has SIMD but no threads (tfjs-backend-wasm turns
 * them off there), so the way to use several cores is several worker threads, each with its own engine.
 */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import type * as wasm from '@tensorflow/tfjs-backend-wasm';
import type * as converter from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import type * as layers from '@tensorflow/tfjs-layers';
import { EisError } from '../../common/errors.js';
import type { EngineFactory } from './engine.js';
import type { TfjsSource } from './tfjs-network.js';
import { createTfjsEngine } from './tfjs.js';

/** Not `import`, which first searches a package of this kind for the names that it exports: TF.js's take 300 ms that way, and 80 this way. */
const require = createRequire(import.meta.url);

let loading: Promise<typeof core> | undefined;

const source: TfjsSource = {
  layers: async () => ({ ...(await (loading ??= loadCore())), ...(require('@tensorflow/tfjs-layers') as typeof layers) }),
  graph: async () => ({ ...(await (loading ??= loadCore())), ...(require('@tensorflow/tfjs-converter') as typeof converter) }),
};

export const tfjsWasm: EngineFactory = {
  name: 'tfjs-wasm',
  prepare: () => (loading ??= loadCore()),
  create: (model) => createTfjsEngine('tfjs-wasm', source, model),
};

/** TF.js's core on the WebAssembly backend. */
async function loadCore(): Promise<typeof core> {
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
