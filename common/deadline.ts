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
export function withDeadline<T>({ timeoutMs, parent, timeoutError }: Deadline, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    parent?.throwIfAborted();
    const controller = new AbortController();
    setMaxListeners(0, controller.signal); // as many calls as there are shards listen to one deadline
    const giveUp = (reason: Error): void => {
      settle();
      controller.abort(reason);
      reject(reason);
    };
    const passOn = (): void => giveUp(parent?.reason as Error);
    const timer = setTimeout(() => giveUp(timeoutError()), timeoutMs);
    parent?.addEventListener('abort', passOn, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      parent?.removeEventListener('abort', passOn);
    };
    const fail = (thrown: Error): void => {
      settle();
      reject(thrown);
    };
    try {
      work(controller.signal).then((result) => {
        settle();
        resolve(result);
      }, fail);
    } catch (thrown) {
      fail(thrown as Error);
    }
  });
}

/**
 * What a promise comes to; rejects with the signal's reason as soon as that is aborted, and the promise may then still come
 * to pass. No listener is left behind.
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    const settle = (): void => signal.removeEventListener('abort', abort);
    promise.then(
      (result) => {
        settle();
        resolve(result);
      },
      (thrown: Error) => {
        settle();
        reject(thrown);
      },
    );
  });
}

/** Resolves when a promise has settled, one way or the other, or after a time; no timer is left behind. */
export async function settledWithin(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  const timer = new AbortController();
  await Promise.race([promise.catch(() => undefined), sleep(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}
