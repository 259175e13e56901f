/**
 * Calls of one model's function: bounded by what it answers in time, and repeated where that may help. The one place that
 * says which POST is sent again: a few attempts, each after a while, none that would begin after the deadline.
 */
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import type { EmbedCall, EmbedClient, EmbedInput } from '../common/embed-client.js';
import { toEisError, type ErrorCode } from '../common/errors.js';
import type { Embedding } from '../common/wire.js';
import { CallBudget } from './call-budget.js';
import type { CallPlace, ConcurrencyLimit } from './concurrency-limit.js';

export interface FunctionCall {
  readonly signal: AbortSignal;
  readonly requestId: string;
}

export interface FunctionCallsOptions {
  readonly client: Pick<EmbedClient, 'embed'>;
  readonly limit: ConcurrencyLimit;
  /** Time for a call with all its attempts. */
  readonly timeoutMs: number;
  readonly onRepeated?: (code: ErrorCode) => void;
  readonly backoff?: Backoff;
}

/** The function did not begin with the image, or was gone before it answered: another attempt may find it well. */
const REPEATED: ReadonlySet<ErrorCode> = new Set(['EIS_OVERLOADED', 'EIS_NOT_READY', 'EIS_FUNCTION_UNAVAILABLE']);
const ATTEMPTS_MAX = 3;
const BACKOFF: Backoff = { baseMs: 100, capMs: 2_000 };
/** Attempts beside the first: when everything fails, sending everything three times mends nothing. */
const REPEAT_BUDGET = { share: 0.1, burst: 10 };

export class FunctionCalls {
  readonly #options: Required<Omit<FunctionCallsOptions, 'onRepeated'>> & Pick<FunctionCallsOptions, 'onRepeated'>;
  readonly #repeats = new CallBudget(REPEAT_BUDGET);

  constructor(options: FunctionCallsOptions) {
    this.#options = { backoff: BACKOFF, ...options };
  }

  /**
   * @throws EisError what the function answered about the image; EIS_OVERLOADED, EIS_FUNCTION_UNAVAILABLE,
   *   EIS_FUNCTION_TIMEOUT, EIS_FUNCTION_RESPONSE; the signal's reason
   */
  async embed(input: EmbedInput, { signal, requestId }: FunctionCall): Promise<Embedding> {
    const { timeoutMs, limit } = this.#options;
    const place = limit.enter();
    this.#repeats.earn();
    const deadlineAt = performance.now() + timeoutMs;
    // Each attempt is given what is left, and no wait goes beyond it.
    const attempt = (): Promise<Embedding> => this.#attempt(input, place, { signal, requestId, timeoutMs: Math.max(1, Math.ceil(deadlineAt - performance.now())) });
    try {
      return await this.#repeat(attempt, { signal, deadlineAt });
    } finally {
      place.leave();
    }
  }

  async #attempt(input: EmbedInput, place: CallPlace, call: EmbedCall): Promise<Embedding> {
    const attempt = place.begin();
    try {
      const embedding = await this.#options.client.embed(input, call);
      attempt.answered();
      return embedding;
    } catch (thrown) {
      if (toEisError(thrown).code === 'EIS_OVERLOADED') attempt.refused();
      else attempt.failed();
      throw thrown;
    }
  }

  async #repeat<T>(operation: () => Promise<T>, { signal, deadlineAt }: { readonly signal: AbortSignal; readonly deadlineAt: number }): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await operation();
      } catch (thrown) {
        const error = toEisError(thrown);
        const waitMs = backoffMs(this.#options.backoff, attempts, error.retryAfterS);
        const isHopeless = signal.aborted || !REPEATED.has(error.code) || attempts === ATTEMPTS_MAX || performance.now() + waitMs >= deadlineAt;
        const isCrowded = error.code === 'EIS_OVERLOADED' && this.#options.limit.isTurningAway; // others would be turned away for it
        if (isHopeless || isCrowded || !this.#repeats.spend()) throw thrown;
        this.#options.onRepeated?.(error.code);
        await wait(waitMs, signal);
      }
    }
  }
}
