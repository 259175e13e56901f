/**
 * What an engine is compared with before it is used: TF.js on WebAssembly, node by node, with none of the passes that
 * make networks cheaper. Computed in a thread of its own, beside the engine's start, and its memory goes with it.
 */
import { Worker } from 'node:worker_threads';
import { EisError, relayError, type ErrorBody } from '../../common/errors.js';
import { compiledUrl } from '../../common/package-root.js';
import type { LoadedModel } from '../models/model.js';

export interface ReferenceTask {
  readonly model: LoadedModel;
  /** RGB, of the size of the model's input. */
  readonly pixels: Uint8Array;
}

export type ReferenceResult = { readonly embedding: Float32Array } | { readonly error: ErrorBody };

/**
 * The embedding of an image, not normalised.
 *
 * @throws EisError EIS_MODEL_FILE, EIS_ENGINE_UNAVAILABLE
 */
export async function computeReference(task: ReferenceTask): Promise<Float32Array> {
  const worker = new Worker(compiledUrl('functions/engines/reference-worker.ts'), { workerData: task });
  try {
    const result = await new Promise<ReferenceResult>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`The thread of the reference ended with ${code}.`)));
    });
    if ('embedding' in result) return result.embedding;
    throw relayError(result.error) ?? new EisError('EIS_INTERNAL', {});
  } finally {
    await worker.terminate();
  }
}
