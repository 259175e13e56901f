/**
 * One message: its image is embedded, written to the store, and its outcome to the ledger. Plain values in, an outcome
 * out; how calls are made, batched and repeated is the worker's.
 */
import type { EmbedInput } from '../common/embed-client.js';
import { EisError } from '../common/errors.js';
import type { ImageRecord, ImageWrite, LiveVersion } from '../common/store/store.js';
import type { Embedding, ImageMessage, LedgerState } from '../common/wire.js';

/** An image with where it goes. */
export interface PlacedWrite {
  readonly live: LiveVersion;
  readonly message: ImageMessage;
  readonly image: ImageWrite;
}

/** An image that was embedded before. */
export interface StoredImage {
  readonly live: LiveVersion;
  readonly image: ImageRecord;
}

export interface ExtractParts {
  /** Which object of the bucket a source names; undefined: none. */
  readonly sha256Of: (source: string) => string | undefined;
  readonly readObject: (sha256: string) => Promise<Uint8Array | undefined>;
  /** What the store holds of an image under the version that the function runs now; undefined: it has to be embedded. */
  readonly findStored: (sha256: string) => Promise<StoredImage | undefined>;
  /** Embeds what `load` brings, when its turn has come. */
  readonly embed: (load: () => Promise<EmbedInput>) => Promise<Embedding>;
  /** Writes the image to its collection, then its outcome to the ledger, and returns what stands there. */
  readonly write: (write: PlacedWrite) => Promise<{ readonly state: LedgerState }>;
}

/**
 * Works off one message. An object of the bucket is named by its content: one that is stored already is not embedded
 * again. The bytes of others are read through the bucket, whose failures are waited for, and sent to the function.
 *
 * @returns the state that stands in the ledger for it now
 * @throws EisError why the image could not be embedded or written; nothing stands in the ledger then
 */
export async function extract(message: ImageMessage, { sha256Of, readObject, findStored, embed, write }: ExtractParts): Promise<LedgerState> {
  const object = sha256Of(message.source);
  const stored = object === undefined ? undefined : await findStored(object);
  const placed = stored
    ? place(message, stored.live, stored.image)
    : embedded(message, await embed(async () => (object === undefined ? { url: message.source } : { bytes: await requireObject(object, readObject) })));
  const { state } = await write(placed);
  return state;
}

async function requireObject(sha256: string, readObject: ExtractParts['readObject']): Promise<Uint8Array> {
  const bytes = await readObject(sha256);
  if (!bytes) throw new EisError('EIS_IMAGE_UNKNOWN', { id: sha256 });
  return bytes;
}

function embedded(message: ImageMessage, { sha256, vector, modelVersion, ...rest }: Embedding): PlacedWrite {
  return place(message, { version: modelVersion, dim: vector.length }, { id: sha256, vector, ...rest });
}

function place(message: ImageMessage, live: LiveVersion, { id, vector, phash, width, height, format }: Omit<ImageRecord, 'urls'>): PlacedWrite {
  return { live, message, image: { id, vector, phash, width, height, format, url: message.source, origin: originOf(message), givenAt: message.acceptedAt, ...(message.metadata && { metadata: message.metadata }) } };
}

/** The same for every delivery of a message, so that one after a crash is told what the first one was. */
function originOf({ submission, source }: ImageMessage): string {
  return `${submission}\n${source}`;
}
