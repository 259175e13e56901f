/**
 * Brings images to the threads that compute embeddings. An image that finds a thread idle is computed at once; those that
 * come while all are busy are taken together by the next that is free, as many at once as is fastest (`BatchSizer`).
 * Nothing ever waits for company.
 */
import type { BatchSizer } from './batch-sizer.js';

/** What became of one image of a call. */
export type Outcome = Float32Array | Error;

/** What computes embeddings, one call at a time. */
export interface Lane {
  /**
   * The outcome of each image, in their order.
   *
   * @param images pixels as `Engine.embed` takes them; handed over
   * @throws when none of them has an outcome
   */
  compute(images: readonly Uint8Array[]): Promise<readonly Outcome[]>;
}

/** A call that is over. */
export interface FinishedCall {
  readonly images: number;
  readonly durationMs: number;
  /** How long its images had waited for it. */
  readonly waitedMs: readonly number[];
}

export interface BatcherOptions {
  readonly sizer: BatchSizer;
  readonly onCall?: ((call: FinishedCall) => void) | undefined;
  /** Milliseconds. Default: the process's clock. */
  readonly now?: () => number;
}

interface Waiting {
  readonly pixels: Uint8Array;
  readonly since: number;
  /** From now on it cannot be given up any more. */
  readonly begin: () => void;
  readonly settle: (outcome: Outcome) => void;
}

export class Batcher {
  readonly #lanes = new Set<Lane>();
  readonly #idle: Lane[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #now: () => number;

  constructor(private readonly options: BatcherOptions) {
    this.#now = options.now ?? (() => performance.now());
  }

  /** Images that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether anything computes here. */
  get hasLanes(): boolean {
    return this.#lanes.size > 0;
  }

  add(lane: Lane): void {
    this.#lanes.add(lane);
    this.#idle.push(lane);
    this.#dispatch();
  }

  /** Gives it nothing more. What it computes is waited for. */
  remove(lane: Lane): void {
    this.#lanes.delete(lane);
    const at = this.#idle.indexOf(lane);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /**
   * The embedding of an image.
   *
   * @throws what the image or its call failed with; the signal's reason when it aborts while the image waits, which is
   *   not computed then
   */
  embed(pixels: Uint8Array, signal?: AbortSignal): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal?.reason as Error);
      };
      const waiting: Waiting = {
        pixels,
        since: this.#now(),
        begin: () => signal?.removeEventListener('abort', giveUp),
        settle: (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)),
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(waiting);
      this.#dispatch();
    });
  }

  /** Fails all images that wait. */
  rejectWaiting(error: Error): void {
    for (const { begin, settle } of this.#waiting.splice(0)) {
      begin();
      settle(error);
    }
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const lane = this.#idle.shift() as Lane;
      const taken = this.#waiting.splice(0, this.options.sizer.next(this.#waiting.length));
      void this.#compute(lane, taken);
    }
  }

  /** Never rejects. */
  async #compute(lane: Lane, taken: readonly Waiting[]): Promise<void> {
    const started = this.#now();
    for (const { begin } of taken) begin();
    try {
      const outcomes = await lane.compute(taken.map(({ pixels }) => pixels));
      const durationMs = this.#now() - started;
      this.options.sizer.record(taken.length, durationMs);
      this.options.onCall?.({ images: taken.length, durationMs, waitedMs: taken.map(({ since }) => started - since) });
      taken.forEach(({ settle }, i) => settle(outcomes[i] as Outcome));
    } catch (thrown) {
      for (const { settle } of taken) settle(thrown as Error);
    }
    if (!this.#lanes.has(lane)) return;
    this.#idle.push(lane);
    this.#dispatch();
  }
}
