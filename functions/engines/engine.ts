/** The wall between a loaded model and what computes it. Held by `test/functions/engines/engine-contract.ts`. */
import type { LoadedModel } from '../models/model.js';

export type EngineName = 'onnxruntime' | 'tfjs-node' | 'tfjs-wasm';

export interface Engine {
  readonly name: EngineName;
  /** Numbers of an embedding. */
  readonly dim: number;
  /** CPUs that one call keeps busy. Calls do not run side by side: who has more CPUs makes more engines, in threads of their own. */
  readonly threads: number;
  /** Whether images of one call are computed side by side, which may be faster than one after the other. */
  readonly isBatching: boolean;
  /** What it runs was kept from an earlier start: the embedding that it was confirmed with. Undefined: it was made anew. */
  readonly confirmed: Float32Array | undefined;

  /**
   * The embeddings of images as the network gives them, not normalised yet: `count × dim` numbers, one after the other.
   *
   * @param pixels RGB, 8 bits, of the size of the model's input, image after image
   */
  embed(pixels: Uint8Array, count: number): Promise<Float32Array>;

  /**
   * It agrees with TF.js: what it made of the model is kept for the next start, where it can be.
   *
   * @param embedding of the image that it was compared by
   */
  confirm(embedding: Float32Array): Promise<void>;

  /** What was kept is not what it was: it goes. */
  forget(): Promise<void>;

  /** Frees what the model holds. */
  dispose(): Promise<void>;
}

export interface EngineOptions {
  /** CPUs that it may use. */
  readonly threads: number;
  /** A folder where it may keep what it made of a model, for the next start; undefined: nowhere. */
  readonly cacheDir: string | undefined;
  /**
   * Called as soon as it is known that nothing confirmed is kept: what it will be compared with can be computed meanwhile.
   * Undefined: it will not be compared, and nothing new is kept.
   */
  readonly onFresh?: (() => void) | undefined;
}

export interface EngineFactory {
  readonly name: EngineName;

  /**
   * Loads the engine's own code, so that `create` finds it there: a model may still be on its way from the disk.
   *
   * @throws EisError EIS_ENGINE_UNAVAILABLE
   */
  prepare?(): Promise<unknown>;

  /**
   * @throws EisError EIS_ENGINE_UNAVAILABLE when the engine cannot run here, or lacks something that the model needs;
   *   EIS_MODEL_FILE when the model is one that no engine can run
   */
  create(model: LoadedModel, options: EngineOptions): Promise<Engine>;
}
