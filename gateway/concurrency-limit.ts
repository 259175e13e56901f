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
  /** An attempt begins; the one before has ended. */
  begin(): CallAttempt;
  /** To be called once, when no attempt is under way any more. */
  leave(): void;
}

/** A place of a call that nobody waits for. */
export interface SparePlace {
  answered(): void;
  /** The function turned it away. */
  refused(): void;
  /** To be called once, when the call is over. */
  leave(): void;
}

/** Exactly one of its ends is told. */
export interface CallAttempt {
  answered(): void;
  /** The function turned it away. */
  refused(): void;
  /** It came to nothing for another reason. */
  failed(): void;
}

const CALLS_MIN = 2;
/** A window ends after so long and so many answers (or as many as are let through at once, if those are fewer), or after a second. */
const WINDOW_MS = 100;
const WINDOW_ANSWERS = 10;
const WINDOW_MS_MAX = 1_000;
/** Fewer at once are taken for no load at all: what they take is what an idle function takes. */
const IDLE_CALLS = 2;
/** Part of what was known of an idle function that stays when another answer of it comes. */
const IDLE_MEMORY = 0.9;
/** By which the limit grows in a window in which it was reached: calls, and a part that grows with each window without trouble. */
const GROWTH_CALLS = 0.25;
const GROWTH_STEP = 0.01;
const GROWTH_MAX = 0.2;
/** Windows whose middle rate stands for a window that a pause of this process made poorer. */
const RATES_KEPT = 5;
const LATELY_MS = 1_000;
/** Fewer that wait may all be slow by themselves, without queueing. */
const STUCK_CALLS_MIN = 10;

/** Of the calls at once, how many there may be when one is made that nobody waits for. */
const SPARE_SHARE = 0.5;
/** Of the time that calls may queue for: the function is busy when they queue for longer. */
const SPARE_QUEUE_SHARE = 0.1;
/** No call that nobody waits for is made for so long after the function was busy. */
const SPARE_REST_MS = 5_000;

export class ConcurrencyLimit {
  readonly #options: Required<ConcurrencyLimitOptions>;
  #limit: number;
  #inFlight = 0;
  #idleMs: number | undefined;
  #windowStartedAt: number;
  /** Of this window's answers; `full`: of those alone that took one of the last places, which wait longest. */
  #latencies: { all: number[]; full: number[] } = { all: [], full: [] };
  #isRefused = false;
  #turnedAwayAt = -Infinity;
  /** Answers a millisecond in the latest windows. */
  #rates: number[] = [];
  /** Windows since calls queued for too long or were refused. */
  #steady = GROWTH_MAX / GROWTH_STEP;
  /** When each attempt began of those that began after the last one that was answered, oldest first. Older ones were overtaken: they are slow by themselves. */
  readonly #waiting = new Map<CallAttempt, number>();
  /** Of each spare place that is taken, what ends its call; the oldest first. */
  readonly #spare = new Set<() => void>();
  #busyAt = -Infinity;

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

  /** Whether calls were turned away lately. */
  get isTurningAway(): boolean {
    return this.#options.now() - this.#turnedAwayAt < LATELY_MS;
  }

  /** @throws EisError EIS_OVERLOADED when one more would wait for too long */
  enter(): CallPlace {
    if (this.#inFlight >= this.limit || this.#isStuck()) {
      this.#endWindow(); // nothing may have come back for long
      this.#turnedAwayAt = this.#options.now();
      this.#rest();
      throw new EisError('EIS_OVERLOADED', { detail: `The function that embeds images for model ${this.#options.model} has as much to do as it answers in time.` }, { retryAfterS: 1 });
    }
    this.#inFlight++;
    this.#takeBack(this.limit - this.#inFlight);
    const [isIdle, isFull] = [this.#inFlight <= IDLE_CALLS, this.#inFlight >= this.limit];
    return {
      begin: () => this.#begin({ isIdle, isFull }),
      leave: () => void this.#inFlight--,
    };
  }

  /**
   * A place for a call that nobody waits for; undefined unless the function has room for many more, and neither queued nor
   * refused anything lately. Such calls take nothing from the others: they are not counted, and `end` is called as soon as
   * a call that is waited for needs the place.
   */
  enterSpare(end: () => void): SparePlace | undefined {
    const startedAt = this.#options.now();
    const isBusy = startedAt - this.#busyAt < SPARE_REST_MS || this.#isStuck();
    if (isBusy || this.#inFlight + this.#spare.size >= this.limit * SPARE_SHARE) return undefined;
    this.#spare.add(end);
    const isIdle = this.#inFlight + this.#spare.size <= IDLE_CALLS;
    return {
      answered: () => {
        const ms = this.#options.now() - startedAt;
        if (isIdle) this.#noteIdle(ms);
        this.#noteQueue(ms);
      },
      refused: () => this.#rest(),
      leave: () => void this.#spare.delete(end),
    };
  }

  #begin({ isIdle, isFull }: { readonly isIdle: boolean; readonly isFull: boolean }): CallAttempt {
    const startedAt = this.#options.now();
    const attempt: CallAttempt = {
      answered: () => {
        const ms = this.#options.now() - startedAt;
        this.#overtake(attempt);
        if (isIdle) this.#noteIdle(ms);
        this.#latencies.all.push(ms);
        if (isFull) this.#latencies.full.push(ms);
        this.#endWindow();
      },
      refused: () => {
        this.#waiting.delete(attempt);
        this.#backOff();
      },
      failed: () => void this.#waiting.delete(attempt),
    };
    this.#waiting.set(attempt, startedAt);
    return attempt;
  }

  #noteIdle(ms: number): void {
    this.#idleMs = this.#idleMs === undefined || ms < this.#idleMs ? ms : this.#idleMs * IDLE_MEMORY + ms * (1 - IDLE_MEMORY);
  }

  /** What calls take says whether the function has time for what nobody waits for. */
  #noteQueue(ms: number): void {
    if (this.#idleMs !== undefined && ms > this.#idleMs + this.#options.queueTimeMaxMs * SPARE_QUEUE_SHARE) this.#rest();
  }

  /** The function is busy: what nobody waits for is left to another time. */
  #rest(): void {
    this.#busyAt = this.#options.now();
    this.#takeBack(0);
  }

  /** Ends calls that nobody waits for until no more than so many are left. */
  #takeBack(left: number): void {
    for (const end of this.#spare) {
      if (this.#spare.size <= left) return;
      this.#spare.delete(end);
      end();
    }
  }

  #overtake(answered: CallAttempt): void {
    if (!this.#waiting.has(answered)) return;
    for (const older of this.#waiting.keys()) {
      this.#waiting.delete(older);
      if (older === answered) return;
    }
  }

  /** Whether calls queue that no answer has told of yet: at the beginning of a rush, or when the function hangs. */
  #isStuck(): boolean {
    if (this.#idleMs === undefined || this.#waiting.size < STUCK_CALLS_MIN) return false;
    const [oldest] = this.#waiting.values();
    return this.#options.now() - (oldest as number) > this.#idleMs + this.#options.queueTimeMaxMs;
  }

  /** The function takes no more than was under way beside the call that it refused; it need not say so twice. */
  #backOff(): void {
    this.#endWindow();
    this.#rest();
    if (this.#isRefused) return;
    this.#isRefused = true;
    this.#limit = Math.max(CALLS_MIN, Math.min(this.#limit, this.#inFlight - 1));
  }

  /** Judges what came back in a window, once it is long enough. */
  #endWindow(): void {
    const now = this.#options.now();
    const elapsedMs = now - this.#windowStartedAt;
    const answers = this.#latencies.all.length;
    if (elapsedMs < WINDOW_MS || (answers < Math.min(WINDOW_ANSWERS, this.limit) && elapsedMs < WINDOW_MS_MAX)) return;
    this.#limit = Math.min(this.#options.callsMax, Math.max(CALLS_MIN, this.#judge(elapsedMs)));
    this.#windowStartedAt = now;
    this.#latencies = { all: [], full: [] };
    this.#isRefused = false;
  }

  #judge(elapsedMs: number): number {
    const { all, full } = this.#latencies;
    if (all.length === 0) return this.#limit;
    const idleMs = (this.#idleMs ??= Math.min(...all)); // it began under load: the first came before any queue
    const boundMs = idleMs + this.#options.queueTimeMaxMs;
    const middleMs = middleOf(all);
    this.#noteQueue(middleMs);
    const isLate = middleMs > boundMs || (full.length > 0 && middleOf(full) > boundMs);
    this.#steady = isLate || this.#isRefused ? 0 : this.#steady + 1;
    const rate = all.length / elapsedMs;
    this.#rates = [...this.#rates, rate].slice(-RATES_KEPT);
    if (isLate) return Math.min(this.#limit, Math.max(rate, middleOf(this.#rates)) * boundMs);
    return full.length > 0 && !this.#isRefused ? this.#limit * (1 + Math.min(GROWTH_MAX, this.#steady * GROWTH_STEP)) + GROWTH_CALLS : this.#limit;
  }
}

/** Of some values, at least one. */
function middleOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}
