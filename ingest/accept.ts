/** Takes images in: what it says is accepted is in the queue of every model, and has an entry in the ledger. */
import type { Ledger, LedgerKey } from '../common/store/store.js';
import type { Metadata } from '../common/metadata.js';
import type { ImageMessage, IngestAnswer } from '../common/wire.js';
import { currentTrace } from '../common/trace-context.js';
import { PublishError, type ImageQueue } from './queue/queue.js';

/** An image of a request. */
export interface GivenImage {
  /** `ImageMessage.source`. */
  readonly source: string;
  /** Undefined: the image keeps what it has. */
  readonly metadata?: Metadata | undefined;
}

export interface AcceptParts {
  readonly queue: Pick<ImageQueue, 'publish'>;
  readonly ledger: Pick<Ledger, 'accept' | 'getMany'>;
  /** The models whose workers get the images. */
  readonly models: readonly string[];
}

/**
 * Publishes the images of a submission, then notes them in the ledger. A source that the ledger knows was confirmed
 * before: it is not published again, so that sending a request twice changes nothing. Of a source that stands there twice, what was
 * given last counts.
 *
 * @throws PublishError when the queue did not confirm all, naming what it has
 */
export async function accept({ submission, images }: { readonly submission: string; readonly images: readonly GivenImage[] }, parts: AcceptParts): Promise<IngestAnswer> {
  const distinct = [...new Set(images.map(({ source }) => source))];
  const given = new Map(images.flatMap(({ source, metadata }) => (metadata ? [[source, metadata] as const] : [])));
  const isKnown = await findKnown(submission, distinct, parts);
  const acceptedAt = Date.now();
  const trace = currentTrace();
  const messages = distinct.map((source): ImageMessage => {
    const values = given.get(source);
    return { submission, source, acceptedAt, ...(values && { metadata: { values, givenAt: acceptedAt } }), ...(trace && { traceparent: trace.traceparent }) };
  });
  const fresh = messages.filter((_, i) => !isKnown[i]);
  try {
    await parts.queue.publish(fresh);
  } catch (thrown) {
    const { failure, confirmed } = thrown instanceof PublishError ? thrown : new PublishError(thrown, []);
    await note(confirmed, parts);
    throw new PublishError(failure, messages.filter((message, i) => isKnown[i] || confirmed.includes(message)));
  }
  await note(fresh, parts);
  return { submission, accepted: distinct.length, sources: distinct };
}

async function findKnown(submission: string, sources: readonly string[], { ledger, models }: AcceptParts): Promise<boolean[]> {
  const entries = await ledger.getMany(sources.flatMap((source) => models.map((model) => ({ submission, source, model }))));
  return sources.map((_, i) => entries.slice(i * models.length, (i + 1) * models.length).every((entry) => entry !== undefined));
}

async function note(messages: readonly ImageMessage[], { ledger, models }: AcceptParts): Promise<void> {
  const keys = messages.flatMap(({ submission, source }) => models.map((model): LedgerKey => ({ submission, source, model })));
  if (keys.length > 0) await ledger.accept(keys);
}
