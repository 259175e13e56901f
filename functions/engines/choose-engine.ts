/** Picks the engine that runs a model: the one that was asked for, or the fastest that works here. */
import type { EngineChoice } from '../../common/config.js';
import { EisError, isEisError } from '../../common/errors.js';
import type { LoadedModel } from '../models/model.js';
import type { Engine, EngineFactory } from './engine.js';
import { tfjsNode } from './tfjs-node.js';
import { tfjsWasm } from './tfjs-wasm.js';

/** Fastest first. */
const ENGINES: readonly EngineFactory[] = [tfjsNode, tfjsWasm];

export interface ChosenEngine {
  readonly engine: Engine;
  /** Why faster engines were passed over, for the log. */
  readonly passedOver: readonly string[];
}

/**
 * Creates the engine of a model.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE when the one that was asked for cannot run here, or none can; EIS_MODEL_FILE
 *   when the model cannot be run
 */
export async function chooseEngine(model: LoadedModel, choice: EngineChoice): Promise<ChosenEngine> {
  if (choice !== 'auto') {
    const factory = ENGINES.find(({ name }) => name === choice);
    if (!factory) throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: choice, detail: `this release does not have it. Set "engine" to auto, ${ENGINES.map(({ name }) => name).join(' or ')}.` });
    return { engine: await factory.create(model), passedOver: [] };
  }
  const passedOver: string[] = [];
  for (const factory of ENGINES) {
    try {
      return { engine: await factory.create(model), passedOver };
    } catch (thrown) {
      if (!isEisError(thrown) || thrown.code !== 'EIS_ENGINE_UNAVAILABLE') throw thrown;
      passedOver.push(thrown.message);
    }
  }
  throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: choice, detail: passedOver.join(' ') });
}
