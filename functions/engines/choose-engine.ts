/** Picks the engine that runs a model: the one that was asked for, or the fastest that works here. */
import type { EngineChoice } from '../../common/config.js';
import { EisError, isEisError } from '../../common/errors.js';
import { failModel, type InputShape, type LoadedModel } from '../models/model.js';
import type { Engine, EngineFactory, EngineOptions } from './engine.js';
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
 * Creates the engine of a model, and has it compute once: the first run allocates and compiles, and shows what is wrong.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE when the one that was asked for cannot run here, or none can; EIS_MODEL_FILE
 *   when the model cannot be run, or is not the one that its name says
 */
export async function chooseEngine(model: LoadedModel, choice: EngineChoice, options: EngineOptions): Promise<ChosenEngine> {
  if (choice !== 'auto') {
    const factory = ENGINES.find(({ name }) => name === choice);
    if (!factory) throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: choice, detail: `this release does not have it. Set "engine" to auto, ${ENGINES.map(({ name }) => name).join(' or ')}.` });
    return { engine: await create(factory, model, options), passedOver: [] };
  }
  const passedOver: string[] = [];
  for (const factory of ENGINES) {
    try {
      return { engine: await create(factory, model, options), passedOver };
    } catch (thrown) {
      if (!isEisError(thrown) || thrown.code !== 'EIS_ENGINE_UNAVAILABLE') throw thrown;
      passedOver.push(thrown.message);
    }
  }
  throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: choice, detail: passedOver.join(' ') });
}

/** Loads the code of the engine that `chooseEngine` will most likely pick. What is wrong with it, `chooseEngine` says. */
export async function prepareEngine(choice: EngineChoice): Promise<void> {
  for (const factory of ENGINES) {
    if (choice !== 'auto' && factory.name !== choice) continue;
    try {
      return void (await factory.prepare?.());
    } catch {
      // The next one is likely, then.
    }
  }
}

async function create(factory: EngineFactory, model: LoadedModel, options: EngineOptions): Promise<Engine> {
  const engine = await factory.create(model, options);
  try {
    requireExpected(engine, model);
    await probe(engine, model);
    return engine;
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

/** Pixels of many colours, RGB, of the size of a model's input: what a model is tried with where there is no image. */
export function probePixels({ height, width }: InputShape): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 7) % 256);
}

/** Embeds an image of many colours. A network that gives no number for it, or nothing but zeros, gives none for photos. */
async function probe(engine: Engine, model: LoadedModel): Promise<void> {
  const embedding = await engine.embed(probePixels(model.input), 1).catch((cause: unknown) => failModel(model.file, `${engine.name} cannot run it: ${(cause as Error).message.split('\n')[0]}`, cause));
  const norm = Math.hypot(...embedding);
  if (!(Number.isFinite(norm) && norm > 0)) failModel(model.file, `its layer ${model.layer} gives ${norm === 0 ? 'nothing but zeros' : 'numbers that are none (NaN or infinite)'} for an image: its weights are damaged, or "layer" or "preprocess" is not the right one.`);
}

/** @throws EisError EIS_MODEL_FILE when the model is not the one that its name says */
function requireExpected(engine: Engine, { expected, file }: LoadedModel): void {
  if (!expected || engine.dim === expected.dim) return;
  failModel(file, `it gives ${engine.dim} numbers where ${expected.name} gives ${expected.dim}: it is not the model that was meant. Put the right file there, or set "layer", or give the model a "model_url" of its own.`);
}
