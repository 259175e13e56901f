/** Trying until it succeeds, where only the world is at fault. */
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import { toEisError, type EisError } from '../common/errors.js';
import { failureKind } from './failure-policy.js';

export interface PersistOptions {
  readonly signal: AbortSignal;
  readonly backoff: Backoff;
  /** Called before each wait. */
  readonly onRetry: (error: EisError) => void;
}

/**
 * Tries until it succeeds or fails for a reason that is not of the world (see `failureKind`).
 *
 * @throws the signal's reason when it is aborted while waiting
 */
export async function persist<T>(operation: () => Promise<T>, { signal, backoff, onRetry }: PersistOptions): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await operation();
    } catch (thrown) {
      const error = toEisError(thrown);
      if (failureKind(error) !== 'world') throw thrown;
      onRetry(error);
      await wait(backoffMs(backoff, failures, error.retryAfterS), signal);
    }
  }
}
