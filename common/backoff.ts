/** Waiting before another attempt. */
import { setTimeout as sleep } from 'node:timers/promises';

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
