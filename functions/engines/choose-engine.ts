/** Picks the engine that runs a model: the one that was asked for, or the fastest that works here and agrees with TF.js. */
import type { EngineChoice } from '../../common/config.js';
import { EisError, isEisError } from '../../common/errors.js';
import { dot, normalise } from '../../common/vector.js';
import { failModel, type InputShape, type LoadedModel } from '../models/model.js';
import type { Engine, EngineFactory, EngineOptions } from './engine.js';
import { onnxruntime } from './onnxruntime.js';
import { computeReference } from './reference.js';
import { tfjsNode } from './tfjs-node.js';
import { tfjsWasm } from './tfjs-wasm.js';

/** Fastest first. */
const ENGINES: readonly EngineFactory[] = [onnxruntime, tfjsNode, tfjsWasm];

/** The cosine of an engine's embedding of the probe image and TF.js's. */
const AGREEMENT_MIN = 0.9999;

export interface ChosenEngine {
  readonly engine: Engine;
  /** Why faster engines were passed over, for the log. */
  readonly passedOver: readonly string[];
}

/**
 * Creates the engine of a model, has it compute once (the first run allocates and compiles, and shows what is wrong),
 * and compares what it computed with TF.js, unless it did so at an earlier start.
 *
 * @param engines fastest first
 * @throws EisError EIS_ENGINE_UNAVAILABLE when the one that was asked for cannot run here, or does not agree, or none
 *   can; EIS_MODEL_FILE when the model cannot be run, or is not the one that its name says
 */
export async function chooseEngine(model: LoadedModel, choice: EngineChoice, options: ChooseOptions, engines: readonly EngineFactory[] = ENGINES): Promise<ChosenEngine> {
  const trial = new Trial(model, options);
  if (choice !== 'auto') return { engine: await trial.start(engines.find(({ name }) => name === choice) as EngineFactory), passedOver: [] };
  const passedOver: string[] = [];
  for (const factory of engines) {
    try {
      return { engine: await trial.start(factory), passedOver };
    } catch (thrown) {
      if (!isEisError(thrown) || thrown.code !== 'EIS_ENGINE_UNAVAILABLE') throw thrown;
      passedOver.push(thrown.message);
    }
  }
  throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: choice, detail: passedOver.join(' ') });
}

/** @see chooseEngine */
export interface ChooseOptions extends EngineOptions {
  /** The engine that is named agreed with TF.js on this model in another thread of this process: it is not compared again. */
  readonly hasAgreed?: boolean;
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

/** Starts engines for a model until one holds; what they are compared with is computed once. */
class Trial {
  readonly #pixels: Uint8Array;
  #reference: Promise<Float32Array> | undefined;

  constructor(private readonly model: LoadedModel, private readonly options: ChooseOptions) {
    this.#pixels = probePixels(model.input);
  }

  start(factory: EngineFactory): Promise<Engine> {
    return this.#start(factory, this.options.cacheDir);
  }

  /** What is kept and is damaged goes, and is made anew without keeping it. */
  async #start(factory: EngineFactory, cacheDir: string | undefined): Promise<Engine> {
    const { threads, hasAgreed = false } = this.options;
    const engine = await factory.create(this.model, { threads, cacheDir, onFresh: hasAgreed ? undefined : () => void this.#computeReference() });
    try {
      await this.#check(engine);
      return engine;
    } catch (error) {
      await engine.dispose();
      if (!engine.confirmed) throw error;
      await engine.forget();
      return this.#start(factory, undefined);
    }
  }

  async #check(engine: Engine): Promise<void> {
    requireExpected(engine, this.model);
    const embedding = await this.#embed(engine);
    if (engine.confirmed) return requireAgreement(engine, embedding, engine.confirmed);
    if (this.options.hasAgreed) return;
    requireAgreement(engine, embedding, await this.#computeReference());
    await engine.confirm(embedding);
  }

  #computeReference(): Promise<Float32Array> {
    this.#reference ??= computeReference({ model: this.model, pixels: this.#pixels });
    this.#reference.catch(() => undefined); // whoever awaits it meets its error
    return this.#reference;
  }

  /** A network that gives no number for an image of many colours, or nothing but zeros, gives none for photos. */
  async #embed(engine: Engine): Promise<Float32Array> {
    const { file, layer } = this.model;
    const embedding = await engine.embed(this.#pixels, 1).catch((cause: unknown) => {
      if (isEisError(cause)) throw cause;
      throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: engine.name, detail: `it cannot run this model: ${(cause as Error).message.split('\n')[0]}` }, { cause });
    });
    if (embedding.length !== engine.dim) throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: engine.name, detail: `it gives ${embedding.length} numbers for an image, and not ${engine.dim}.` });
    const norm = Math.hypot(...embedding);
    if (!(Number.isFinite(norm) && norm > 0)) failModel(file, `its layer ${layer} gives ${norm === 0 ? 'nothing but zeros' : 'numbers that are none (NaN or infinite)'} for an image: its weights are damaged, or "layer" or "preprocess" is not the right one.`);
    return embedding;
  }
}

function requireAgreement(engine: Engine, embedding: Float32Array, expected: Float32Array): void {
  const cosine = embedding.length === expected.length ? dot(normalise(embedding), normalise(expected)) : NaN;
  if (!(cosine >= AGREEMENT_MIN)) throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: engine.name, detail: `it computes another embedding of this model than TF.js does (their cosine is ${cosine.toFixed(5)}).` });
}

/** Pixels of many colours, RGB, of the size of a model's input: what a model is tried with where there is no image. */
export function probePixels({ height, width }: InputShape): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 7) % 256);
}

/** @throws EisError EIS_MODEL_FILE when the model is not the one that its name says */
function requireExpected(engine: Engine, { expected, file }: LoadedModel): void {
  if (!expected || engine.dim === expected.dim) return;
  failModel(file, `it gives ${engine.dim} numbers where ${expected.name} gives ${expected.dim}: it is not the model that was meant. Put the right file there, or set "layer", or give the model a "model_url" of its own.`);
}
