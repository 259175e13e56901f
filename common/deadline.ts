/** Waiting for no longer than one wants to: one deadline for a piece of work, whatever it consists of, and the parts of it. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Deadline {
  readonly timeoutMs: number;
  /** Ends the work early, with its own reason: the client left, or an outer deadline passed. */
  readonly parent?: AbortSignal | undefined;
  /** What the work failed with when the time is over. */
  readonly timeoutError: () => Error;
}

/**
 * Runs `work` and aborts the signal it is given when the time is over or `parent` is aborted. Rejects at that very
 * moment, with the signal's reason, even if `work` ignores the signal, and may then still come to pass; no timer and no
 * listener is left behind.
 */
export async function withDeadline<T>({ timeoutMs, parent, timeoutError }: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  parent?.throwIfAborted();
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // as many calls as there are shards listen to one deadline
  const passOn = (): void => controller.abort(parent?.reason);
  const timer = setTimeout(() => controller.abort(timeoutError()), timeoutMs);
  parent?.addEventListener('abort', passOn, { once: true });
  try {
    return await unlessAborted(work(controller.signal), controller.signal);
  } finally {
    clearTimeout(timer);
    parent?.removeEventListener('abort', passOn);
  }
}

/**
 * What a promise comes to; rejects with the signal's reason as soon as that is aborted, and the promise may then still come
 * to pass. No listener is left behind.
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => (abort = () => reject(signal.reason as Error)));
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (signal.aborted) abort();
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Resolves when a promise has settled, one way or the other, or after a time; no timer is left behind. */
export async function settledWithin(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  const timer = new AbortController();
  await Promise.race([promise.catch(() => undefined), sleep(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}
