/** What a search is for, as one vector: its images are embedded, or looked up where they are stored, and added up. */
import { withDeadline } from '../common/deadline.js';
import { EisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import { slotOf, slotRange } from '../common/slots.js';
import { combineVectors } from '../common/vector.js';
import type { SearchedExample, SearchedImage, VectorAnswer } from '../common/wire.js';
import { browserUrl } from './browser-url.js';
import type { SearchedModel, Shard } from './served-models.js';

/** An image to search with, or the stored image with this id ("more like this one"). */
export type SearchInput = { readonly bytes: Uint8Array } | { readonly url: string } | { readonly id: string };

/** An image of a query. */
export interface QueryImage {
  readonly input: SearchInput;
  /** Finite; negative: results are to be less like it. */
  readonly weight: number;
}

export type QueryImages = readonly [QueryImage, ...QueryImage[]];

/** An image of a query with its vector. */
export interface FoundImage {
  readonly vector: Float32Array;
  readonly modelVersion: string;
  readonly weight: number;
  readonly image: SearchedImage;
  /** Of an embedding that was remembered: the model may have been changed since. */
  readonly isCached: boolean;
  /** Whether it was named by its id: then it is not its own result. */
  readonly isStored: boolean;
}

/** A vector to search with. */
export interface Query {
  readonly vector: Float32Array;
  readonly modelVersion: string;
  /** The first of its images. */
  readonly image: SearchedImage;
  /** All of them, in their order. */
  readonly examples: readonly SearchedExample[];
  /** The ids that are no results. */
  readonly selves: ReadonlySet<string>;
}

export interface FindOptions {
  readonly model: SearchedModel;
  readonly limits: Pick<Limits, 'indexTimeoutMs'>;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

/**
 * The vectors of all images, asked for at the same time.
 *
 * @throws what the function answered about one of them; EIS_IMAGE_UNKNOWN for an id that is in no shard
 */
export async function findImages([first, ...others]: QueryImages, options: FindOptions): Promise<readonly [FoundImage, ...FoundImage[]]> {
  const [found, ...rest] = await Promise.all([findImage(first, options), ...others.map((image) => findImage(image, options))]);
  return [found, ...rest];
}

/**
 * @throws EisError EIS_QUERY_CANCELLED; EIS_MODEL_VERSION when the vectors are of two versions, because the model was changed
 *   in this very moment
 */
export function toQuery(images: readonly [FoundImage, ...FoundImage[]]): Query {
  const [{ modelVersion, ...first }, ...others] = images;
  const other = others.find((image) => image.modelVersion !== modelVersion);
  if (other) throw new EisError('EIS_MODEL_VERSION', { held: other.modelVersion, asked: modelVersion });
  return {
    vector: combineVectors(images.map(({ vector, weight }) => ({ vector, weight })) as [FoundImage, ...FoundImage[]]),
    modelVersion,
    image: first.image,
    examples: images.map(({ image, weight }) => ({ ...image, weight })),
    selves: new Set(images.flatMap(({ isStored, image: { id } }) => (isStored ? [id] : []))),
  };
}

async function findImage({ input, weight }: QueryImage, { model, limits, requestId, signal }: FindOptions): Promise<FoundImage> {
  if (!('id' in input)) {
    const { embedding: { vector, modelVersion, sha256: id, width, height }, isCached } = await model.embedder.embed(input, { signal, requestId });
    return { vector, modelVersion, weight, image: { id, width, height }, isCached, isStored: false };
  }
  const timeoutMs = limits.indexTimeoutMs;
  const shard = ownerOf(input.id, model.shards);
  const timeoutError = (): EisError => new EisError('EIS_SHARD_TIMEOUT', { shard: shard.name, timeoutMs });
  const answer = await withDeadline({ timeoutMs, parent: signal, timeoutError }, (deadline) => shard.ask((pod, wanted) => pod.vector(input.id, { signal: wanted, requestId, timeoutMs }), deadline));
  return { vector: Float32Array.from(answer.vector), modelVersion: answer.model_version, weight, image: toSearchedImage(answer), isCached: false, isStored: true };
}

function toSearchedImage({ id, urls, width, height, metadata }: VectorAnswer): SearchedImage {
  return { id, ...(urls && { url: browserUrl(id, urls), urls }), ...(width && { width }), ...(height && { height }), ...(metadata && { metadata }) };
}

/** The shard that owns an id's slot. */
function ownerOf(id: string, shards: readonly Shard[]): Shard {
  const slot = slotOf(id);
  return shards.find((_shard, i) => slot < slotRange(i, shards.length).end) as Shard; // the last range ends behind every slot
}
