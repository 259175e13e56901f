/**
 * Fills a model version with images that the store knows but this version has not embedded: of a model that is new, or
 * whose file was changed. They go the way of every image, through the queue of this model alone. It works through the
 * slots in ranges, so that however many images there are, it remembers those of one range.
 */
import { slotRange, type SlotRange } from '../common/slots.js';
import type { Ledger, LiveVersion, Store, VectorCollection } from '../common/store/store.js';
import type { ImageMessage } from '../common/wire.js';
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import { PublishError, type ImageQueue } from './queue/queue.js';

export interface BackfillParts {
  readonly store: Pick<Store, 'ledger'>;
  readonly queue: Pick<ImageQueue, 'publish'>;
  readonly model: string;
  /** Undefined where nobody says which version the model has: then the ledger alone tells what was published before. */
  readonly target: VectorCollection | undefined;
  /** Where the images are known from. */
  readonly from: readonly VectorCollection[];
  /** Images that the ledger knows under it are not published again. */
  readonly submission: string;
  readonly signal?: AbortSignal;
  /** Between attempts to publish, while the queue is full or away. */
  readonly backoff?: Backoff;
}

export interface BackfillProgress {
  /** Images that were published. */
  readonly published: number;
  /** Images that had been published under this submission before. */
  readonly known: number;
  /** Of the slots that were gone through, from 0 to 1. */
  readonly share: number;
}

/** Ranges that the slots are gone through in. */
const RANGES = 256;
/** Ids looked up at once. */
const STEP = 256;
const DEFAULT_BACKOFF: Backoff = { baseMs: 500, capMs: 10_000 };

/**
 * Publishes one message for every living image of `from` that `target` does not hold, living or removed: what was
 * removed stays removed. Doing it again, also after it was cut off, is harmless. A queue that is full is waited for.
 *
 * @returns yields how far it is, after each range and while it waits; the outcomes stand in the ledger under the submission
 * @throws the signal's reason; EisError when the store cannot serve
 */
export async function* backfill(parts: BackfillParts): AsyncGenerator<BackfillProgress> {
  const progress = { published: 0, known: 0, share: 0 };
  for (let i = 0; i < RANGES; i++) {
    parts.signal?.throwIfAborted();
    for await (const { published, known } of fillRange(parts, slotRange(i, RANGES))) {
      progress.published += published;
      progress.known += known;
      yield { ...progress };
    }
    progress.share = (i + 1) / RANGES;
    yield { ...progress };
  }
}

/** The submission of a backfill: one that has images without an outcome is gone on with, so that none is published twice. */
export async function backfillSubmission(ledger: Pick<Ledger, 'counts'>, { model, live }: { readonly model: string; readonly live: LiveVersion | undefined }): Promise<string> {
  const base = `backfill-${model}-${live?.version.slice(0, 8) ?? 'new'}`;
  for (let run = 1; ; run++) {
    const submission = `${base}-${run}`;
    const { accepted, ...outcomes } = await ledger.counts(submission);
    const isNew = accepted === 0 && Object.values(outcomes).every((count) => count === 0);
    if (accepted > 0 || isNew) return submission;
  }
}

type Step = Pick<BackfillProgress, 'published' | 'known'>;

async function* fillRange(parts: BackfillParts, slots: SlotRange): AsyncGenerator<Step> {
  const seen = new Set<string>();
  if (parts.target) for await (const keys of parts.target.keys(slots)) for (const { id } of keys) seen.add(id);
  for (const collection of parts.from) {
    for await (const keys of collection.keys(slots)) {
      const fresh = keys.map(({ id }) => id).filter((id) => !seen.has(id));
      for (const id of fresh) seen.add(id);
      for (let i = 0; i < fresh.length; i += STEP) yield* publishMissing(parts, collection, fresh.slice(i, i + STEP));
    }
  }
}

async function* publishMissing(parts: BackfillParts, collection: VectorCollection, ids: readonly string[]): AsyncGenerator<Step> {
  const { store, model, target, submission } = parts;
  const removed = new Set((await target?.getMany(ids))?.map(({ id }) => id)); // the living were seen before
  const records = await collection.getMany(ids.filter((id) => !removed.has(id)));
  const known = new Map(records.flatMap(({ urls: [source], metadata }) => (source === undefined ? [] : [[source, metadata] as const])));
  const sources = [...known.keys()];
  const entries = await store.ledger.getMany(sources.map((source) => ({ submission, source, model })));
  const acceptedAt = Date.now();
  const messages = sources.filter((_, i) => entries[i] === undefined).map((source): ImageMessage => {
    const metadata = known.get(source);
    return { submission, source, acceptedAt, ...(metadata && { metadata }) };
  });
  yield { published: 0, known: sources.length - messages.length };
  yield* publish(parts, messages);
}

/** Publishes, for as long as it takes: what is refused or not confirmed is sent again. */
async function* publish({ store, queue, model, submission, signal = new AbortController().signal, backoff = DEFAULT_BACKOFF }: BackfillParts, messages: readonly ImageMessage[]): AsyncGenerator<Step> {
  let left = messages;
  for (let failures = 1; left.length > 0; failures++) {
    signal.throwIfAborted();
    const failure = await queue.publish(left, { model }).then(() => undefined, (thrown: unknown) => (thrown instanceof PublishError ? thrown : new PublishError(thrown, [])));
    const confirmed = failure?.confirmed ?? left;
    await store.ledger.accept(confirmed.map(({ source }) => ({ submission, source, model })));
    left = left.filter((message) => !confirmed.includes(message));
    yield { published: confirmed.length, known: 0 };
    if (failure) await wait(backoffMs(backoff, failures, failure.failure.retryAfterS), signal);
  }
}
