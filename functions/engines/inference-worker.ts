/**
 * A thread that computes embeddings, so that the HTTP server is never blocked. It holds one engine with the model, made
 * and warmed up before its first task. Errors travel as values, because a thrown one would lose its code on the way.
 */
import { workerData } from 'piscina';
import type { EngineChoice } from '../../common/config.js';
import { toEisError, type ErrorBody } from '../../common/errors.js';
import { normalise } from '../../common/vector.js';
import type { LoadedModel } from '../models/model.js';
import { chooseEngine, type ChosenEngine } from './choose-engine.js';

/** What the pool gives every thread when it starts. */
export interface InferenceWorkerData {
  readonly model: LoadedModel;
  readonly choice: EngineChoice;
}

/** With pixels (RGB, 8 bits, of the size of the model's input): embed them. Without: say what computes here. */
export interface InferenceTask {
  readonly pixels?: Uint8Array;
}

export type InferenceResult =
  | { readonly kind: 'engine'; readonly name: string; readonly dim: number; readonly passedOver: readonly string[] }
  | { readonly kind: 'embedding'; readonly embedding: Float32Array }
  | { readonly kind: 'error'; readonly error: ErrorBody; readonly stack: string };

const { model, choice } = workerData as InferenceWorkerData;

const started: Promise<ChosenEngine> = chooseEngine(model, choice, { threads: 1, cacheDir: undefined });
await started.catch(() => undefined);

/** One task of the pool; never throws. */
export async function infer({ pixels }: InferenceTask): Promise<InferenceResult> {
  try {
    const { engine, passedOver } = await started;
    if (!pixels) return { kind: 'engine', name: engine.name, dim: engine.dim, passedOver };
    return { kind: 'embedding', embedding: normalise(await engine.embed(pixels, 1)) };
  } catch (thrown) {
    const error = toEisError(thrown);
    return { kind: 'error', error: error.toBody(), stack: String(((error.cause ?? error) as Partial<Error>).stack) };
  }
}
