/**
 * Fills the collection of a model version with images that the store knows but this version has not embedded: of a
 * model that is new, or whose file was changed. They go the way of every image, through the queue of this model alone.
 */
import { ALL_SLOTS } from '../common/slots.js';
import type { Store, VectorCollection } from '../common/store/store.js';
import type { ImageMessage } from '../common/wire.js';
import type { ImageQueue } from './queue/queue.js';

export interface BackfillParts {
  readonly store: Pick<Store, 'ledger'>;
  /** The queue of the model, of no other. */
  readonly queue: Pick<ImageQueue, 'publish'>;
  readonly model: string;
  readonly target: VectorCollection;
  /** Where the images are known from. */
  readonly from: readonly VectorCollection[];
  readonly submission: string;
}

/** Ids looked up at once. */
const STEP = 256;

/**
 * Publishes one message for every living image of `from` that `target` does not hold, living or removed: what was
 * removed stays removed. Doing it again, also after it was cut off, is harmless.
 *
 * @returns how many were published; their outcomes stand in the ledger under the submission
 */
export async function backfill(parts: BackfillParts): Promise<number> {
  const seen = new Set<string>();
  for await (const keys of parts.target.keys(ALL_SLOTS)) for (const { id } of keys) seen.add(id);
  let published = 0;
  for (const collection of parts.from) {
    for await (const keys of collection.keys(ALL_SLOTS)) {
      const fresh = keys.map(({ id }) => id).filter((id) => !seen.has(id));
      for (const id of fresh) seen.add(id);
      for (let i = 0; i < fresh.length; i += STEP) published += await publishMissing(parts, collection, fresh.slice(i, i + STEP));
    }
  }
  return published;
}

async function publishMissing({ store, queue, model, target, submission }: BackfillParts, collection: VectorCollection, ids: readonly string[]): Promise<number> {
  const removed = new Set((await target.getMany(ids)).map(({ id }) => id)); // the living were seen before
  const records = await collection.getMany(ids.filter((id) => !removed.has(id)));
  const acceptedAt = Date.now();
  const messages = records.flatMap(({ urls: [source] }): ImageMessage[] => (source === undefined ? [] : [{ submission, source, acceptedAt }]));
  await queue.publish(messages);
  await store.ledger.accept(messages.map(({ source }) => ({ submission, source, model })));
  return messages.length;
}
