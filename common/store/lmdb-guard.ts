/** One way for LMDB's failures (disk full, folder gone…) to become an error that a caller can act on. */
import { setImmediate } from 'node:timers/promises';
import { EisError, isEisError } from '../errors.js';

/** Runs an operation on LMDB; what it throws becomes EIS_STORE_UNAVAILABLE. */
export async function guard<T>(operation: () => T | Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    throw isEisError(cause) ? cause : new EisError('EIS_STORE_UNAVAILABLE', { detail: cause instanceof Error ? cause.message : String(cause) }, { cause, retryAfterS: 1 });
  }
}

/**
 * Reads a range page by page: each page is its own short read, so that no long snapshot keeps LMDB from reusing pages,
 * and the event loop runs between pages.
 *
 * @param readPage reads the page after `last` (undefined: the first); an empty page ends it
 */
export async function* paged<T>(readPage: (last: T | undefined) => T[]): AsyncGenerator<T[]> {
  let last: T | undefined;
  for (;;) {
    const page = await guard(() => readPage(last));
    if (page.length === 0) return;
    yield page;
    last = page.at(-1);
    await setImmediate();
  }
}
