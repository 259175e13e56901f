/** One way for LMDB's failures (disk full, folder gone…) to become an error that a caller can act on. */
import { setImmediate } from 'node:timers/promises';
import type { Database } from 'lmdb';
import { withDeadline } from '../deadline.js';
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
 * Runs `operation` in one write transaction and returns once it is on the disk: with LMDB's overlapping sync a commit
 * is visible before it is durable, and a message must not be acknowledged before its outcome would survive a power cut.
 */
export function commit<T>(database: Database, operation: () => T): Promise<T> {
  return guard(() => inTime(database.transaction(operation).then(async (result) => {
    await database.flushed;
    return result;
  })));
}

/** After a commit that failed (disk full), LMDB may leave later ones undecided: nobody waits for them longer than this. */
const COMMIT_TIMEOUT_MS = 5_000;

/** The result of a write of LMDB, or a rejection when it takes too long; it may then still come to pass. */
export function inTime<T>(write: Promise<T>): Promise<T> {
  const timeoutError = (): Error => new Error(`The disk did not take a write within ${COMMIT_TIMEOUT_MS} ms.`);
  return withDeadline({ timeoutMs: COMMIT_TIMEOUT_MS, timeoutError }, () => write);
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
