/**
 * Reading in batches, through a cursor that may die: a server forgets the cursors of a primary that stepped down, and
 * those that nobody read from for ten minutes.
 */
import type { FindCursor } from 'mongodb';
import { isPassing } from './mongo-errors.js';
import type { MongoConnection } from './mongo-connection.js';
import { waitToRetry } from './mongo-guard.js';

/** Failures in a row, with nothing read in between. With the time for finding a server each time, more than an election takes. */
const RESUMES_MAX = 6;

export interface BatchesOptions<T> {
  /** Opens a cursor on what follows `last` in a total order (undefined: from the beginning). It may give `last` again. */
  readonly open: (last: T | undefined) => FindCursor<T>;
  readonly connection: Pick<MongoConnection, 'run'>;
  /** Aborted: it does not go on after a failure. */
  readonly signal?: AbortSignal;
}

/**
 * Every batch of a query; a cursor that dies is followed by another one from where it was. It is closed when it ends, and
 * when nobody reads on.
 *
 * @throws EisError EIS_STORE_UNAVAILABLE when it cannot be resumed
 */
export async function* batches<T>({ open, connection, signal }: BatchesOptions<T>): AsyncGenerator<T[]> {
  let last: T | undefined;
  for (let failures = 0; ; ) {
    const cursor = open(last);
    try {
      while (await connection.run(() => cursor.hasNext())) {
        const batch = cursor.readBufferedDocuments();
        failures = 0;
        last = batch.at(-1);
        yield batch;
      }
      return;
    } catch (error) {
      if (!isPassing(error) || ++failures > RESUMES_MAX || signal?.aborted) throw error;
    } finally {
      await connection.run(() => cursor.close()).catch(() => undefined);
    }
    await waitToRetry(failures, signal);
  }
}

/**
 * Several streams read at the same time, as one, in the order that they deliver in. Of each, one batch at most waits to
 * be taken. All of them are ended when one fails, and when nobody reads on.
 *
 * @param stop aborted at the end, before the streams are ended
 */
export async function* merged<T>(streams: readonly AsyncGenerator<T>[], stop: AbortController): AsyncGenerator<T> {
  const next = (stream: AsyncGenerator<T>): Promise<{ stream: AsyncGenerator<T>; result: IteratorResult<T> }> => stream.next().then((result) => ({ stream, result }));
  const pending = new Map(streams.map((stream) => [stream, next(stream)]));
  try {
    while (pending.size > 0) {
      const { stream, result } = await Promise.race(pending.values());
      pending.delete(stream);
      if (result.done) continue;
      pending.set(stream, next(stream));
      yield result.value;
    }
  } finally {
    stop.abort();
    for (const waiting of pending.values()) waiting.catch(() => undefined);
    await Promise.allSettled(streams.map((stream) => stream.return(undefined)));
  }
}
