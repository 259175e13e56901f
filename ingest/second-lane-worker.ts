/**
 * The worker of a second lane. It is at work while its model is embedded again, and at no other time: only then is there a
 * queue for it, which can be removed once nobody consumes it.
 */
import { wait } from '../common/backoff.js';
import type { Log } from '../common/log.js';
import type { Store } from '../common/store/store.js';
import type { Worker } from './worker.js';

export interface SecondLaneWorkerOptions {
  readonly model: string;
  readonly store: Pick<Store, 'reembeddings'>;
  /** A worker of the lane that has not begun. */
  readonly create: () => Pick<Worker, 'start' | 'close' | 'awaited'>;
  readonly log: Log;
  /** Between two looks into the store. */
  readonly pollMs?: number;
}

const POLL_MS = 1_000;

export class SecondLaneWorker implements Pick<Worker, 'start' | 'close' | 'awaited'> {
  readonly #options: SecondLaneWorkerOptions;
  readonly #stopping = new AbortController();
  #worker: Pick<Worker, 'start' | 'close' | 'awaited'> | undefined;
  #running: Promise<void> | undefined;

  constructor(options: SecondLaneWorkerOptions) {
    this.#options = options;
  }

  /** Resolves when it has looked once. */
  async start(): Promise<void> {
    await this.#look();
    this.#running = this.#run();
  }

  get awaited(): Worker['awaited'] {
    return this.#worker?.awaited ?? [];
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#worker?.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { pollMs = POLL_MS } = this.#options;
    for (;;) {
      await wait(pollMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { model, store, create, log } = this.#options;
    try {
      const job = await store.reembeddings.get(model);
      const isWanted = job !== undefined && job.step !== 'removing';
      if (isWanted === (this.#worker !== undefined)) return;
      const worker = this.#worker ?? create();
      this.#worker = undefined;
      await (isWanted ? worker.start() : worker.close());
      if (isWanted) this.#worker = worker;
      log.info(isWanted ? 'the model is embedded again: working off the queue of its second lane' : 'the model is not embedded again any more: waiting until it is');
    } catch (error) {
      log.warn({ err: error }, 'a second lane cannot see whether there is something to do; looking again');
    }
  }
}
