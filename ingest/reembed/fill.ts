/** Fills the version that a model is embedded again with, until it has every image that the former one has. */
import { wait } from '../../common/backoff.js';
import { laneQueue, laneSubmission } from '../../common/lanes.js';
import { ALL_SLOTS, slotRange } from '../../common/slots.js';
import type { VectorCollection } from '../../common/store/store.js';
import { backfill, backfillSubmission, findMissing, RANGES } from '../backfill.js';
import type { ReembedParts } from './parts.js';

export interface Filling {
  readonly model: string;
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly from: VectorCollection;
  readonly target: VectorCollection;
}

/** While images come in, each pass finds the few that are on their way: these the lane's queue has anyhow. */
const PASSES_MAX = 10;
const POLL_MS = 250;
const SAID_EVERY_MS = 10_000;
/** An image that is so new may be on its way in the lane's queue. */
const ON_ITS_WAY_MS = 30_000;
/** By which the clocks of this machine and of the store may differ. */
const CLOCKS_DIFFER_MS = 60_000;
/** Documents looked up at once. */
const STEP = 256;

/**
 * Puts what is missing into the queue of the second lane, waits for the outcomes, and looks again until nothing is. Doing it
 * again, also after it was cut off, goes on where it was: what has no outcome yet is not published again.
 *
 * @returns the submission that the outcomes stand under, as `eis status` takes it
 */
export async function fill(filling: Filling, { store, queue, signal, onNotice, pollMs = POLL_MS }: ReembedParts): Promise<string> {
  const { model, from, target } = filling;
  const lane = laneQueue(model, 'next');
  const submission = await backfillSubmission(store.ledger, { model: lane, live: { version: target.version, dim: 0 } });
  const outcomes = laneSubmission(lane, submission);
  for (let pass = 1; pass <= PASSES_MAX; pass++) {
    let published = 0;
    await carryRemovals(filling, signal);
    for await (const progress of backfill({ store, queue, model: lane, target, from: [from], revives: true, submission, signal })) ({ published } = progress);
    if (published > 0) onNotice(`${published} images are put into the queue of the second lane.`);
    await waitForOutcomes(outcomes, { store, signal, onNotice, pollMs });
    if (published === 0) break;
  }
  return outcomes;
}

/** Says how many are left now and then. */
async function waitForOutcomes(submission: string, { store, signal, onNotice, pollMs }: Pick<ReembedParts, 'store' | 'signal' | 'onNotice'> & { readonly pollMs: number }): Promise<void> {
  for (let saidAtMs = performance.now(); ; ) {
    const { accepted } = await store.ledger.counts(submission);
    if (accepted === 0) return;
    if (performance.now() - saidAtMs >= SAID_EVERY_MS) {
      onNotice(`${accepted} of them are still to be embedded.`);
      saidAtMs = performance.now();
    }
    await wait(pollMs, signal);
  }
}

/**
 * Removes from `target` what was removed from `from` since the second lane got a queue: until its version was known, nobody
 * could remove anything from it, but its worker may have written there. What is in its queue still stays out.
 */
async function carryRemovals({ from, target, startedAt }: Filling, signal: AbortSignal): Promise<void> {
  for await (const keys of from.changes(ALL_SLOTS, startedAt - CLOCKS_DIFFER_MS)) {
    for (let i = 0; i < keys.length; i += STEP) {
      signal.throwIfAborted();
      const records = await from.getMany(keys.slice(i, i + STEP).map(({ id }) => id));
      for (const { id, deletedAt } of records) if (deletedAt !== undefined) await target.delete(id, deletedAt);
    }
  }
}

/** How many images `target` lacks of those that `from` has, without the newest, which may be on their way. */
export async function countMissing({ from, target }: Filling, now = Date.now()): Promise<number> {
  let missing = 0;
  for (let i = 0; i < RANGES; i++) {
    for await (const { keys } of findMissing({ from: [from], target, revives: true }, slotRange(i, RANGES))) missing += keys.filter(({ updatedAt }) => updatedAt < now - ON_ITS_WAY_MS).length;
  }
  return missing;
}
