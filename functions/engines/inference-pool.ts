/** The threads that compute embeddings. One that dies takes its task with it, and nothing else: another is started. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { EngineChoice } from '../../common/config.js';
import { EisError, relayError } from '../../common/errors.js';
import type { Log } from '../../common/log.js';
import { compiledUrl } from '../../common/package-root.js';
import type { LoadedModel } from '../models/model.js';
import type { InferenceResult, InferenceTask, InferenceWorkerData } from './inference-worker.js';

/** Each thread holds the model's weights in its engine's memory; two keep a small instance's cores busy. */
const THREADS_MAX = 2;

export interface EngineDescription {
  readonly engine: string;
  /** Numbers of an embedding. */
  readonly dim: number;
}

export interface InferencePool {
  readonly description: EngineDescription;

  /**
   * The L2-normalised embedding of an image.
   *
   * @param pixels RGB, 8 bits, of the size of the model's input; handed over, so the caller's array is empty afterwards
   * @throws EisError EIS_VECTOR_INVALID when the network's output has no direction; EIS_INTERNAL when the thread died
   */
  embed(pixels: Uint8Array): Promise<Float32Array>;

  close(): Promise<void>;
}

export interface InferencePoolOptions {
  readonly model: LoadedModel;
  readonly choice: EngineChoice;
  readonly log: Log;
  readonly threads?: number;
  /** The compiled module of the threads. */
  readonly workerUrl?: URL;
}

/**
 * Starts the threads; resolves when the first has the model loaded and warmed up.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE, EIS_MODEL_FILE
 */
export async function startInferencePool(options: InferencePoolOptions): Promise<InferencePool> {
  const { model, choice, log } = options;
  const threads = options.threads ?? Math.max(1, Math.min(THREADS_MAX, availableParallelism()));
  const pool = new Piscina<InferenceTask, InferenceResult>({
    filename: fileURLToPath(options.workerUrl ?? compiledUrl('functions/engines/inference-worker.ts')),
    name: 'infer',
    minThreads: threads,
    maxThreads: threads,
    workerData: { model, choice } satisfies InferenceWorkerData,
  });
  pool.on('error', (error: unknown) => log.error({ err: error }, 'an inference thread failed'));
  try {
    const described = await run(pool, {});
    if (described.kind !== 'engine') throw new EisError('EIS_INTERNAL', {});
    const { name, dim, passedOver } = described;
    log.info({ engine: name, dim, threads, passedOver, modelVersion: model.version, layer: model.layer }, 'model loaded');
    return {
      description: { engine: name, dim },
      embed: async (pixels) => {
        const result = await run(pool, { pixels }, [pixels.buffer as ArrayBuffer]);
        if (result.kind !== 'embedding') throw new EisError('EIS_INTERNAL', {});
        return result.embedding;
      },
      close: () => pool.destroy(),
    };
  } catch (error) {
    await pool.destroy();
    throw error;
  }
}

async function run(pool: Piscina<InferenceTask, InferenceResult>, task: InferenceTask, transferList: ArrayBuffer[] = []): Promise<Exclude<InferenceResult, { kind: 'error' }>> {
  const result = await pool.run(task, { transferList });
  if (result.kind !== 'error') return result;
  const cause = Object.assign(new Error(result.error.message), { stack: result.stack });
  throw (result.error.code === 'EIS_INTERNAL' ? undefined : relayError(result.error, { cause })) ?? new EisError('EIS_INTERNAL', {}, { cause });
}
