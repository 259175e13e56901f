/**
 * Fills a model version with images that the store knows but this version has not embedded: of a model that is new, or
 * whose file was changed. They go the way of every image, through the queue of this model alone. It works through the
 * slots in ranges, so that however many images there are, it remembers those of one range.
 */
import { laneLedgerKey, laneSubmission } from '../common/lanes.js';
import { slotRange, type SlotRange } from '../common/slots.js';
import type { ChangeKey, Ledger, LiveVersion, Store, VectorCollection } from '../common/store/store.js';
import type { ImageMessage } from '../common/wire.js';
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import { PublishError, type ImageQueue } from './queue/queue.js';

export interface BackfillParts {
  readonly store: Pick<Store, 'ledger'>;
  readonly queue: Pick<ImageQueue, 'publish'>;
  /** Whose queue gets them: a model's, or that of its second lane. */
  readonly model: string;
  /** Undefined where nobody says which version the model has: then the ledger alone tells what was published before. */
  readonly target: VectorCollection | undefined;
  /** Where the images are known from. */
  readonly from: readonly VectorCollection[];
  /** Images that `target` has removed are missing, too: for `from` that are removed from whenever `target` is. */
  readonly revives?: boolean;
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
export const RANGES = 256;
/** Ids looked up at once. */
const STEP = 256;
const DEFAULT_BACKOFF: Backoff = { baseMs: 500, capMs: 10_000 };

/**
 * Publishes one message for every living image of `from` that `target` does not hold, living or removed: what was
 * removed stays removed, also what is removed meanwhile. Doing it again, also after it was cut off, is harmless. A queue that is full is waited for.
 *
 * @returns yields how far it is, after each range and while it waits; the outcomes stand in the ledger under the submission
 * @throws the signal's reason; EisError when the store cannot serve
 */
export async function* backfill(parts: BackfillParts): AsyncGenerator<BackfillProgress> {
  const progress = { published: 0, known: 0, share: 0 };
  for (let i = 0; i < RANGES; i++) {
    parts.signal?.throwIfAborted();
    for await (const missing of findMissing(parts, slotRange(i, RANGES))) {
      for await (const { published, known } of publishMissing(parts, missing)) {
        progress.published += published;
        progress.known += known;
        yield { ...progress };
      }
    }
    progress.share = (i + 1) / RANGES;
    yield { ...progress };
  }
}

/** The submission of a backfill: one that has images without an outcome is gone on with, so that none is published twice. */
export async function backfillSubmission(ledger: Pick<Ledger, 'counts'>, { model, live }: { readonly model: string; readonly live: LiveVersion | undefined }): Promise<string> {
  const base = `backfill-${model.replace('.', '-')}-${live?.version.slice(0, 8) ?? 'new'}`;
  for (let run = 1; ; run++) {
    const submission = `${base}-${run}`;
    const { accepted, ...outcomes } = await ledger.counts(laneSubmission(model, submission));
    const isNew = accepted === 0 && Object.values(outcomes).every((count) => count === 0);
    if (accepted > 0 || isNew) return submission;
  }
}

type Step = Pick<BackfillProgress, 'published' | 'known'>;

/** Living images of `collection`, at most STEP. */
export interface Missing {
  readonly collection: VectorCollection;
  readonly keys: readonly ChangeKey[];
}

/** The living images of `from` in these slots that `target` does not hold, living or (but for `revives`) removed; each once. */
export async function* findMissing({ from, target, revives = false }: Pick<BackfillParts, 'from' | 'target' | 'revives'>, slots: SlotRange): AsyncGenerator<Missing> {
  const seen = new Set<string>();
  if (target) for await (const keys of target.keys(slots)) for (const { id } of keys) seen.add(id);
  for (const collection of from) {
    for await (const keys of collection.keys(slots)) {
      const fresh = keys.filter(({ id }) => !seen.has(id));
      for (const { id } of fresh) seen.add(id);
      for (let i = 0; i < fresh.length; i += STEP) {
        const step = fresh.slice(i, i + STEP);
        const removed = new Set(revives ? [] : (await target?.getMany(step.map(({ id }) => id)))?.map(({ id }) => id)); // the living were seen before
        yield { collection, keys: step.filter(({ id }) => !removed.has(id)) };
      }
    }
  }
}

async function* publishMissing(parts: BackfillParts, { collection, keys }: Missing): AsyncGenerator<Step> {
  const { store, model, submission } = parts;
  const acceptedAt = Date.now(); // before they are read: what is removed after that stays removed
  const records = (await collection.getMany(keys.map(({ id }) => id))).filter(({ deletedAt }) => deletedAt === undefined);
  const known = new Map(records.flatMap(({ urls: [source], metadata }) => (source === undefined ? [] : [[source, metadata] as const])));
  const sources = [...known.keys()];
  const entries = await store.ledger.getMany(sources.map((source) => laneLedgerKey(model, { submission, source })));
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
    await store.ledger.accept(confirmed.map(({ source }) => laneLedgerKey(model, { submission, source })));
    left = left.filter((message) => !confirmed.includes(message));
    yield { published: confirmed.length, known: 0 };
    if (failure) await wait(backoffMs(backoff, failures, failure.failure.retryAfterS), signal);
  }
}
