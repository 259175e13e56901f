/**
 * The threads that compute embeddings: as many as keep the granted CPUs busy, which is one where the engine uses several
 * CPUs by itself. A thread that dies takes what it computes with it, and nothing else: another is started.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineChoice } from '../../common/config.js';
import { EisError } from '../../common/errors.js';
import type { Log } from '../../common/log.js';
import { reclaimMemory } from '../../common/reclaim.js';
import { compiledUrl } from '../../common/package-root.js';
import type { LoadedModel } from '../models/model.js';
import { Batcher, type FinishedCall } from './batcher.js';
import { BatchSizer } from './batch-sizer.js';
import { InferenceThread } from './inference-thread.js';
import { disableTelemetry } from './onnx-telemetry.js';
import type { ThreadEngine } from './inference-worker.js';

/** Each thread holds the model in its engine's memory. */
const THREADS_MAX = 8;

/** Pixels of one call: what a network holds meanwhile grows with them (8 images of 224×224). */
const CALL_PIXELS_MAX = 8 * 224 * 224;

const RESTART_DELAY_MS = 500;
const RESTART_DELAY_MAX_MS = 10_000;

export interface EngineDescription extends Omit<ThreadEngine, 'name'> {
  readonly engine: string;
  /** Threads that run it, of which each keeps `threads` CPUs busy. */
  readonly workers: number;
}

export interface InferencePool {
  readonly description: EngineDescription;

  /** The images of a call that are fastest, as far as has been measured. */
  readonly bestBatch: number;

  /**
   * The L2-normalised embedding of an image.
   *
   * @param pixels RGB, 8 bits, of the size of the model's input; handed over, so the caller's array is empty afterwards
   * @param signal gives it up while it waits
   * @throws EisError EIS_VECTOR_INVALID when the network's output has no direction; EIS_INTERNAL when the thread died;
   *   EIS_NOT_READY when no thread can be started; the signal's reason
   */
  embed(pixels: Uint8Array, signal?: AbortSignal): Promise<Float32Array>;

  close(): Promise<void>;
}

export interface InferencePoolOptions {
  /** A model that is still being read: the first thread is started meanwhile. */
  readonly model: LoadedModel | Promise<LoadedModel>;
  readonly choice: EngineChoice;
  readonly log: Log;
  /** CPUs that may be kept busy. */
  readonly cpus: number;
  /** A folder where engines may keep what they made of a model. */
  readonly cacheDir: string | undefined;
  /** The compiled module of the threads. */
  readonly workerUrl?: URL;
  readonly onCall?: (call: FinishedCall) => void;
}

/**
 * Starts the threads; resolves when the first has the model loaded and warmed up.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE, EIS_MODEL_FILE; what `model` rejects with
 */
export async function startInferencePool(options: InferencePoolOptions): Promise<InferencePool> {
  const { choice, cpus, log } = options;
  disableTelemetry();
  const first = startThread(options, choice);
  try {
    const started = performance.now();
    const model = await options.model;
    const read = performance.now();
    const engine = await first.load(model);
    const description = describe(engine, cpus);
    const spent = { readMs: Math.round(read - started), engineMs: Math.round(performance.now() - read) };
    reclaimMemory(); // the bytes of files
    log.info({ ...description, ...spent, modelVersion: model.version, layer: model.layer }, 'model loaded');
    return new Threads(options, { model, first, description });
  } catch (error) {
    await first.close();
    throw error;
  }
}

function describe({ name, ...engine }: ThreadEngine, cpus: number): EngineDescription {
  return { engine: name, ...engine, workers: Math.min(THREADS_MAX, Math.max(1, Math.floor(cpus / engine.threads))) };
}

function startThread({ workerUrl = compiledUrl('functions/engines/inference-worker.ts'), cpus, cacheDir }: InferencePoolOptions, choice: EngineChoice, hasAgreed = false): InferenceThread {
  return new InferenceThread({ url: workerUrl, data: { choice, threads: cpus, cacheDir, hasAgreed } });
}

interface Started {
  /** Kept for threads to come. Its weights lie in memory that all threads share. */
  readonly model: LoadedModel;
  readonly first: InferenceThread;
  readonly description: EngineDescription;
}

function closing(): EisError {
  return new EisError('EIS_NOT_READY', { detail: 'This instance is closing.' });
}

class Threads implements InferencePool {
  readonly description: EngineDescription;
  readonly #model: LoadedModel;
  readonly #sizer: BatchSizer;
  readonly #batcher: Batcher;
  readonly #threads = new Set<InferenceThread>();
  readonly #closing = new AbortController();

  constructor(private readonly options: InferencePoolOptions, { model, first, description }: Started) {
    const { height, width } = model.input;
    this.description = description;
    this.#model = model;
    this.#sizer = new BatchSizer({ imagesMax: description.isBatching ? Math.floor(CALL_PIXELS_MAX / (height * width)) : 1 });
    this.#batcher = new Batcher({ sizer: this.#sizer, onCall: options.onCall });
    this.#add(first);
    for (let i = 1; i < description.workers; i++) void this.#addAnother();
  }

  get bestBatch(): number {
    return this.#sizer.best;
  }

  async embed(pixels: Uint8Array, signal?: AbortSignal): Promise<Float32Array> {
    if (this.#closing.signal.aborted) throw closing();
    if (pixels.length === 0) throw new EisError('EIS_INTERNAL', {}, { cause: new Error('The pixels were handed over before.') });
    return this.#batcher.embed(pixels, signal);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#batcher.rejectWaiting(closing());
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  #add(thread: InferenceThread): void {
    this.#threads.add(thread);
    thread.onDeath = (error) => {
      this.#threads.delete(thread);
      this.#batcher.remove(thread);
      this.options.log.error({ err: error.cause }, 'an inference thread died');
      void this.#addAnother();
    };
    this.#batcher.add(thread);
  }

  /** Starts a thread with the engine that was chosen, and tries until it runs. Never rejects. */
  async #addAnother(): Promise<void> {
    const { signal } = this.#closing;
    for (let delayMs = RESTART_DELAY_MS; !signal.aborted; delayMs = Math.min(2 * delayMs, RESTART_DELAY_MAX_MS)) {
      const thread = startThread(this.options, this.description.engine as EngineChoice, true);
      try {
        await thread.load(this.#model);
        if (signal.aborted) return await thread.close();
        return this.#add(thread);
      } catch (error) {
        this.options.log.error({ err: error }, 'an inference thread could not be started');
        if (!this.#batcher.hasLanes) this.#batcher.rejectWaiting(new EisError('EIS_NOT_READY', { detail: 'The threads that compute embeddings cannot be started.' }, { cause: error, retryAfterS: 1 }));
        await thread.close();
        await sleep(delayMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  }
}
