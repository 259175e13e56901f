/**
 * How many calls of the function one gateway makes at once, found out by how long they take: as the function's capacity is
 * nobody's to know (it scales, and others call it), calls are let through until they queue, and turned away before they
 * queue for long. Little's law turns the time that calls may take into how many may be under way.
 */
import { EisError } from '../common/errors.js';

export interface ConcurrencyLimitOptions {
  /** Named in the error. */
  readonly model: string;
  /** Calls at once, whatever they take. */
  readonly callsMax: number;
  /** How much longer than an idle function's answers they may take. */
  readonly queueTimeMaxMs: number;
  /** ms of a clock that is never set. */
  readonly now?: () => number;
}

/** One call's place. */
export interface CallPlace {
  /** An attempt was answered. */
  took(ms: number): void;
  /** An attempt was turned away by the function. */
  refused(): void;
  /** To be called once. */
  leave(): void;
}

const CALLS_MIN = 2;
/** A window ends after so long and so many answers, or after a second. */
const WINDOW_MS = 100;
const WINDOW_ANSWERS = 10;
const WINDOW_MS_MAX = 1_000;
/** Fewer at once are taken for no load at all: what they take is what an idle function takes. */
const IDLE_CALLS = 2;
/** Part of what was known of an idle function that stays when another answer of it comes. */
const IDLE_MEMORY = 0.9;
/** By which the limit grows in a window in which it was reached: at first by so much, by as much more in each further one without trouble. */
const GROWTH_STEP = 0.01;
const GROWTH_MAX = 0.2;

export class ConcurrencyLimit {
  readonly #options: Required<ConcurrencyLimitOptions>;
  #limit: number;
  #inFlight = 0;
  #idleMs: number | undefined;
  #windowStartedAt: number;
  #latencies: number[] = [];
  #isRefused = false;
  #peak = 0;
  /** Windows since calls queued for too long or were refused. */
  #steady = GROWTH_MAX / GROWTH_STEP;

  constructor(options: ConcurrencyLimitOptions) {
    this.#options = { now: () => performance.now(), ...options };
    this.#limit = options.callsMax;
    this.#windowStartedAt = this.#options.now();
  }

  /** Calls at once, as it stands. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** @throws EisError EIS_OVERLOADED when one more would wait for too long */
  enter(): CallPlace {
    if (this.#inFlight >= this.limit) {
      this.#endWindow(); // nothing may have come back for long
      throw new EisError('EIS_OVERLOADED', { detail: `The function that embeds images for model ${this.#options.model} has as much to do as it answers in time.` }, { retryAfterS: 1 });
    }
    this.#inFlight++;
    this.#peak = Math.max(this.#peak, this.#inFlight);
    const isIdle = this.#inFlight <= IDLE_CALLS;
    return {
      took: (ms) => {
        if (isIdle) this.#idleMs = this.#idleMs === undefined || ms < this.#idleMs ? ms : this.#idleMs * IDLE_MEMORY + ms * (1 - IDLE_MEMORY);
        this.#latencies.push(ms);
        this.#endWindow();
      },
      refused: () => this.#backOff(),
      leave: () => {
        this.#inFlight--;
      },
    };
  }

  /** The function takes no more than was under way beside the call that it refused; it need not say so twice. */
  #backOff(): void {
    this.#endWindow();
    if (this.#isRefused) return;
    this.#isRefused = true;
    this.#limit = Math.max(CALLS_MIN, Math.min(this.#limit, this.#inFlight - 1));
  }

  /** Judges what came back in a window, once it is long enough. */
  #endWindow(): void {
    const now = this.#options.now();
    const elapsedMs = now - this.#windowStartedAt;
    const answers = this.#latencies.length;
    if (elapsedMs < WINDOW_MS || (answers < WINDOW_ANSWERS && elapsedMs < WINDOW_MS_MAX)) return;
    this.#limit = Math.min(this.#options.callsMax, Math.max(CALLS_MIN, this.#judge(elapsedMs)));
    this.#windowStartedAt = now;
    this.#latencies = [];
    this.#isRefused = false;
    this.#peak = this.#inFlight;
  }

  #judge(elapsedMs: number): number {
    const middleMs = middleOf(this.#latencies);
    const idleMs = (this.#idleMs ??= middleMs); // it began under load: the first that is known
    if (middleMs !== undefined && idleMs !== undefined && middleMs > idleMs + this.#options.queueTimeMaxMs) {
      const perMs = this.#latencies.length / elapsedMs;
      this.#steady = 0;
      return Math.min(this.#limit, perMs * (idleMs + this.#options.queueTimeMaxMs));
    }
    if (this.#isRefused) {
      this.#steady = 0;
      return this.#limit;
    }
    this.#steady++;
    return this.#peak >= this.limit ? this.#limit * (1 + Math.min(GROWTH_MAX, this.#steady * GROWTH_STEP)) : this.#limit;
  }
}

function middleOf(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
