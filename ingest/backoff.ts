/** Waiting before another attempt. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toEisError, type EisError } from '../common/errors.js';
import { failureKind } from './failure-policy.js';

export interface Backoff {
  /** The first wait is at most this long, each further one twice as long. */
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), but
 * never less than the time that the answer asked for.
 *
 * @param failures how often it failed in a row, from 1
 */
export function backoffMs({ baseMs, capMs }: Backoff, failures: number, retryAfterS = 0): number {
  const jittered = Math.random() * Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(jittered, retryAfterS * 1000);
}

/** Waits; rejects with the signal's reason when it is aborted meanwhile. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error;
  });
}

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
