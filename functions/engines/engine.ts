/** The wall between a loaded model and what computes it. Held by `test/functions/engines/engine-contract.ts`. */
import type { LoadedModel } from '../models/model.js';

export type EngineName = 'tfjs-wasm' | 'tfjs-node' | 'onnxruntime';

export interface Engine {
  readonly name: EngineName;
  /** Numbers of an embedding. */
  readonly dim: number;

  /**
   * The embedding of one image as the network gives it, not normalised yet.
   *
   * @param numbers preprocessed pixels: rows × columns × channels of the model's input
   */
  embed(numbers: Float32Array): Promise<Float32Array>;

  /** Frees what the model holds. */
  dispose(): void;
}

export interface EngineFactory {
  readonly name: EngineName;

  /**
   * @throws EisError EIS_ENGINE_UNAVAILABLE when the engine cannot run here; EIS_MODEL_FILE when the model is one that
   *   it cannot run
   */
  create(model: LoadedModel): Promise<Engine>;
}
