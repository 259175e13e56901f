/** One deadline for a piece of work, whatever it consists of. */
import { setMaxListeners } from 'node:events';

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
    return await Promise.race([work(controller.signal), rejectOnAbort(controller.signal)]);
  } finally {
    clearTimeout(timer);
    parent?.removeEventListener('abort', passOn);
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
