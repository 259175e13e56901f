/** One thread that computes embeddings, as the thread that answers requests sees it. */
import { Worker } from 'node:worker_threads';
import { EisError, relayError } from '../../common/errors.js';
import type { LoadedModel } from '../models/model.js';
import type { Lane, Outcome } from './batcher.js';
import type { InferenceThreadData, SentError, ThreadAnswer, ThreadEngine, ThreadRequest } from './inference-worker.js';

export interface ThreadOptions {
  /** Its compiled module. */
  readonly url: URL;
  readonly data: InferenceThreadData;
}

interface Pending {
  readonly resolve: (answer: ThreadAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** What a thread that is told to close may still take: its call, and freeing what its engine holds. */
const CLOSE_TIMEOUT_MS = 1_000;

export class InferenceThread implements Lane {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #pending: Pending | undefined;
  /** The answer to what it was last asked. */
  #asked: Promise<unknown> = Promise.resolve();
  #death: Error | undefined;
  /** Called once, before what it computes fails, when it ends without having been told to. */
  onDeath: (error: Error) => void = () => undefined;

  /** Starts a thread, which makes ready what it can without a model. */
  constructor({ url, data }: ThreadOptions) {
    this.#worker = new Worker(url, { workerData: data, name: 'infer' });
    this.#worker.on('message', (answer: ThreadAnswer) => this.#settle()?.resolve(answer));
    this.#worker.on('error', (error: Error) => (this.#death = error));
    this.#worker.on('messageerror', (error: Error) => {
      this.#death = error;
      void this.#worker.terminate();
    });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', (code) => {
      this.#end(code);
      resolve();
    }));
  }

  /**
   * Gives it its model; resolves when it can compute.
   *
   * @throws EisError EIS_ENGINE_UNAVAILABLE, EIS_MODEL_FILE; EIS_INTERNAL when it died
   */
  async load(model: LoadedModel): Promise<ThreadEngine> {
    const answer = await this.#ask({ kind: 'model', model });
    if (answer.kind !== 'engine') throw new EisError('EIS_INTERNAL', {});
    return answer.engine;
  }

  async compute(images: readonly Uint8Array[]): Promise<readonly Outcome[]> {
    if (images.some(({ length }) => length === 0)) throw new EisError('EIS_INTERNAL', {}, { cause: new Error('The pixels of an image were handed over before.') });
    const answer = await this.#ask({ kind: 'images', images }, images.map(({ buffer }) => buffer as ArrayBuffer));
    if (answer.kind !== 'outcomes') throw new EisError('EIS_INTERNAL', {});
    return answer.outcomes.map((outcome) => (outcome instanceof Float32Array ? outcome : toError(outcome)));
  }

  /** Ends it, after what it computes if that does not take long. */
  async close(): Promise<void> {
    this.onDeath = () => undefined;
    const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_TIMEOUT_MS);
    await this.#asked.catch(() => undefined);
    this.#worker.postMessage({ kind: 'close' } satisfies ThreadRequest);
    await this.#ended;
    clearTimeout(timer);
  }

  async #ask(request: ThreadRequest, transferred: readonly ArrayBuffer[] = []): Promise<ThreadAnswer> {
    const asked = new Promise<ThreadAnswer>((resolve, reject) => {
      if (this.#death) return reject(this.#death);
      this.#pending = { resolve, reject };
      this.#worker.postMessage(request, transferred);
    });
    this.#asked = asked;
    const answer = await asked;
    if (answer.kind === 'error') throw toError(answer);
    return answer;
  }

  #settle(): Pending | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  #end(code: number): void {
    const cause = this.#death ?? new Error(`An inference thread ended with ${code}.`);
    const error = new EisError('EIS_INTERNAL', {}, { cause });
    this.#death = error;
    this.onDeath(error);
    this.#settle()?.reject(error);
  }
}

function toError({ error, stack }: SentError): EisError {
  const cause = Object.assign(new Error(error.message), { stack });
  return (error.code === 'EIS_INTERNAL' ? undefined : relayError(error, { cause })) ?? new EisError('EIS_INTERNAL', {}, { cause });
}
