/**
 * What `eis reembed` measures before it switches: altered copies of a sample of stored images are embedded by the functions of
 * both lanes and searched for in the indexes of both. Their pictures are had again from where they came. One image after
 * the other, a few at once, so memory holds a few pictures, however many are stored.
 */
import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError, isEisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import type { SafeFetch } from '../common/safe-fetch.js';
import { slotRange } from '../common/slots.js';
import type { RecallMeasurement, StoredRecord, VectorCollection } from '../common/store/store.js';
import { alter, ALTERATION_NAMES, decodePixels } from '../evaluation/alterations.js';
import type { IndexClient } from '../gateway/index-client.js';
import { mergeTop } from '../gateway/merge.js';
import { summariseRecall, type CopyOutcome, type Place } from '../ingest/reembed/recall.js';
import { isOfImage, type RunningFunction } from './evaluate-function.js';

/** What of a lane is asked. */
export interface SearchedLane {
  readonly collection: Pick<VectorCollection, 'version' | 'getMany'>;
  readonly fn: Pick<RunningFunction, 'embed'>;
  /** One replica of each shard. */
  readonly shards: readonly Pick<IndexClient, 'search'>[];
}

export interface RecallParts {
  /** Of the former version, whose sources are known longest. */
  readonly former: SearchedLane;
  /** Its images are sampled. */
  readonly next: SearchedLane & { readonly collection: Pick<VectorCollection, 'keys'> };
  readonly bucket: Pick<Bucket, 'get' | 'sha256Of'>;
  readonly fetcher: Pick<SafeFetch, 'fetch'>;
  readonly limits: Pick<Limits, 'imagePixelsMax' | 'indexTimeoutMs'>;
  readonly signal: AbortSignal;
  readonly copiesMax?: number;
  readonly forMs?: number;
}

/** Twelve of each alteration, each of another image, so that one tells nothing of the next. */
export const COPIES_MAX = 12 * ALTERATION_NAMES.length;
/** What was not searched for by then is left out. */
const FOR_MS = 180_000;
export const COPIES_IN_FLIGHT = 4;
const TOP = 10;
const SEED = 1;
const RANGES = 256;
const STEP = 32;
/** Of an image that has more sources the others are not tried. */
const SOURCES_TRIED = 3;

/**
 * The same images and copies each time, as long as the same are stored: the first of as many slots as it takes, which are as good as drawn.
 *
 * @throws EisError what the functions or the indexes say of themselves; the signal's reason
 */
export async function measureRecall(parts: RecallParts): Promise<RecallMeasurement> {
  const { copiesMax = COPIES_MAX, forMs = FOR_MS, signal } = parts;
  const until = performance.now() + forMs;
  const outcomes: CopyOutcome[] = [];
  let passedOver = 0;
  let drawn = 0;
  let underWay = 0;
  const images = sample(parts);
  const takeTurns = async (): Promise<void> => {
    while (outcomes.length + underWay < copiesMax && performance.now() < until) {
      signal.throwIfAborted();
      underWay++;
      const { value: image, done } = await images.next();
      if (done) return;
      const outcome = await searchCopy(image, ALTERATION_NAMES[drawn++ % ALTERATION_NAMES.length] as string, parts);
      if (outcome) outcomes.push(outcome);
      else passedOver++;
      underWay--;
    }
  };
  try {
    await Promise.all(Array.from({ length: COPIES_IN_FLIGHT }, takeTurns));
  } finally {
    await images.return(undefined);
  }
  return summariseRecall(outcomes, passedOver);
}

async function* sample({ former, next }: RecallParts): AsyncGenerator<StoredRecord, undefined> {
  for (let i = 0; i < RANGES; i++) {
    for await (const keys of next.collection.keys(slotRange(i, RANGES))) {
      for (let at = 0; at < keys.length; at += STEP) {
        const records = await former.collection.getMany(keys.slice(at, at + STEP).map(({ id }) => id));
        yield* records.filter(({ deletedAt }) => deletedAt === undefined).sort((a, b) => (a.id < b.id ? -1 : 1));
      }
    }
  }
}

/** @returns undefined when no copy can be made of it, or a function does not take that */
async function searchCopy(image: StoredRecord, alteration: string, parts: RecallParts): Promise<CopyOutcome | undefined> {
  const bytes = await readPicture(image, parts);
  if (!bytes) return undefined;
  try {
    const pixels = await decodePixels(bytes, parts.limits.imagePixelsMax);
    const copy = await alter(pixels, { name: alteration, imageId: image.id, seed: SEED });
    const [former, next] = await Promise.all([parts.former, parts.next].map((lane) => placeIn(lane, { id: image.id, copy, parts })));
    return { former, next };
  } catch (error) {
    if (isEisError(error) && (!isOfImage(error) || error.code === 'EIS_MODEL_VERSION')) throw error;
    parts.signal.throwIfAborted();
    return undefined;
  }
}

async function placeIn({ collection, fn, shards }: SearchedLane, { id, copy, parts: { limits, signal } }: { readonly id: string; readonly copy: Buffer; readonly parts: RecallParts }): Promise<Place> {
  const { vector, modelVersion } = await fn.embed(copy);
  if (modelVersion !== collection.version) throw new EisError('EIS_MODEL_VERSION', { held: collection.version, asked: modelVersion });
  const timeoutMs = limits.indexTimeoutMs;
  const call = { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]), requestId: 'reembed', timeoutMs };
  const answers = await Promise.all(shards.map((shard) => shard.search({ vector, modelVersion: collection.version, top: TOP, collapse: false, without: new Set() }, call)));
  const hits = mergeTop({ lists: answers.map((answer) => answer.hits), top: TOP });
  const own = hits.find((hit) => hit.id === id);
  return own && hits.filter(({ score }) => score > own.score).length; // one as alike as the original is no worse an answer
}

/** The picture's bytes as they were ingested; undefined where nobody has them any more. */
async function readPicture({ id, urls }: StoredRecord, { bucket, fetcher, signal }: RecallParts): Promise<Buffer | undefined> {
  for (const url of urls.slice(0, SOURCES_TRIED)) {
    try {
      const object = bucket.sha256Of(url);
      const bytes = object === undefined ? await fetcher.fetch(url, { signal }) : await bucket.get(object);
      if (bytes && createHash('sha256').update(bytes).digest('hex') === id) return bytes;
    } catch {
      signal.throwIfAborted();
    }
  }
  return undefined;
}
