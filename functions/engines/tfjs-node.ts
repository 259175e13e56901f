/** TF.js on TensorFlow's C library: an optional package, there only where its binary could be downloaded at install. */
import { EisError } from '../../common/errors.js';
import type { EngineFactory } from './engine.js';
import type { GraphTfjs, LayersTfjs } from './tfjs-network.js';
import { createTfjsEngine } from './tfjs.js';

/** Not written into the import, so that the compiler does not need the package. */
const PACKAGE: string = '@tensorflow/tfjs-node';

type WholeTfjs = LayersTfjs & GraphTfjs;

let loading: Promise<WholeTfjs> | undefined;

const load = (): Promise<WholeTfjs> => (loading ??= loadTfjs());

export const tfjsNode: EngineFactory = {
  name: 'tfjs-node',
  prepare: load,
  create: (model) => createTfjsEngine('tfjs-node', { layers: load, graph: load }, model),
};

async function loadTfjs(): Promise<WholeTfjs> {
  try {
    const loaded = (await import(PACKAGE)) as WholeTfjs & { default?: WholeTfjs };
    return loaded.default ?? loaded;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    const detail = isMissing ? `the package ${PACKAGE} is not installed. Install it, or set "engine" to auto.` : `the package ${PACKAGE} does not load: ${(cause as Error).message.split('\n')[0]}`;
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'tfjs-node', detail }, { cause });
  }
}
