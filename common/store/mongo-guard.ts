/**
 * One way for MongoDB's failures to become an error that a caller can act on, and the bound of every operation. The
 * driver's own bound for an operation as a whole (`timeoutMS`) has no effect in the release that is used; what it does
 * keep (the time for finding a server, for a socket, for a majority) bounds a single exchange only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { withDeadline } from '../deadline.js';
import { EisError } from '../errors.js';
import { limitVariable } from '../limits.js';
import { toStoreError } from './mongo-errors.js';

/**
 * Runs an operation on MongoDB. When it takes longer than `timeoutMs` it is given up, and may still come to pass.
 *
 * @throws EisError EIS_STORE_UNAVAILABLE, or EIS_STORE_REFUSED when the same would fail again
 */
export async function guard<T>(timeoutMs: number, operation: () => Promise<T>): Promise<T> {
  const timeoutError = (): EisError => new EisError('EIS_STORE_UNAVAILABLE', { detail: `it took longer than ${timeoutMs} ms (${limitVariable('storeTimeoutMs')}).` }, { retryAfterS: 1 });
  return withDeadline({ timeoutMs, timeoutError }, operation).catch((error: unknown) => {
    throw toStoreError(error);
  });
}

const RETRY_BASE_MS = 100;
const RETRY_CAP_MS = 2_000;

/** Waits before another try: longer with every failure in a row, and not at the same time as others that failed with it. */
export async function waitToRetry(failures: number, signal?: AbortSignal): Promise<void> {
  const longestMs = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.min(failures - 1, 10));
  await sleep(longestMs * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {}).catch((error: unknown) => {
    if (!signal?.aborted) throw error;
  });
}
