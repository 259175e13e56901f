/** TF.js on TensorFlow's C library: an optional package, there only where its binary could be downloaded at install. */
import { EisError } from '../../common/errors.js';
import type { EngineFactory } from './engine.js';
import { createTfjsEngine } from './tfjs.js';
import type { Tfjs } from './tfjs-operations.js';

/** Not written into the import, so that the compiler does not need the package. */
const PACKAGE: string = '@tensorflow/tfjs-node';

let loading: Promise<Tfjs> | undefined;

const load = (): Promise<Tfjs> => (loading ??= loadTfjs());

export const tfjsNode: EngineFactory = {
  name: 'tfjs-node',
  prepare: load,
  create: (model, options) => createTfjsEngine('tfjs-node', load, { ...options, model }),
};

async function loadTfjs(): Promise<Tfjs> {
  try {
    const loaded = (await import(PACKAGE)) as Tfjs & { default?: Tfjs };
    return loaded.default ?? loaded;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const detail = isMissing ? `the package ${PACKAGE} is not installed. Install it, or set "engine" to auto.` : `the package ${PACKAGE} does not load: ${(cause as Error).message.split('\n')[0]}`;
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'tfjs-node', detail }, { cause });
  }
}
