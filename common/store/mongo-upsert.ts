/** Many upserts at once, each by its `_id`. */
import { MongoBulkWriteError, type ClientSession, type Collection } from 'mongodb';
import type { Update } from './mongo-updates.js';

const DUPLICATE_KEY = 11000;
/** Upserts of one id that meet: once one of them inserted it, the others find it, so that a second try is enough but for a deletion in between. */
const TRIES = 5;

/**
 * Applies updates to the documents with their ids, or to none where there is none yet. In no order, so that the shards
 * of a cluster work at the same time; no id may be there twice.
 */
export async function upsertAll<T extends { readonly _id: string }>(collection: Collection<T>, updates: readonly Update[], session?: ClientSession): Promise<void> {
  let due = updates;
  for (let tries = 1; ; tries++) {
    const operations = due.map(({ id, pipeline }) => ({ updateOne: { filter: { _id: id } as never, update: pipeline, upsert: true } }));
    try {
      await collection.bulkWrite(operations, { ordered: false, ...(session ? { session } : {}) });
      return;
    } catch (error) {
      const raced = racedUpserts(error);
      if (raced === undefined || tries === TRIES) throw error;
      due = raced.flatMap((index) => due[index] ?? []);
    }
  }
}

/** The places of the upserts that another one was faster than; undefined when something else went wrong (too). */
function racedUpserts(error: unknown): number[] | undefined {
  if (!(error instanceof MongoBulkWriteError) || error.result.getWriteConcernError() !== undefined) return undefined;
  const failures = [error.writeErrors].flat();
  return failures.length > 0 && failures.every(({ code }) => code === DUPLICATE_KEY) ? failures.map(({ index }) => index) : undefined;
}

/** Whether an upsert by `findAndModify` met another one. */
export function isRace(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === DUPLICATE_KEY;
}
