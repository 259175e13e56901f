/**
 * The updates of images, as pipelines that the server evaluates on what stands there: each is atomic, gives the same
 * result when it is applied twice, and takes the time from the server's clock. What comes from outside is a `$literal`:
 * a URL that begins with `$` would else be taken for a field.
 */
import { Binary, type Document } from 'mongodb';
import { slotOf } from '../slots.js';
import type { ImageWrite } from './store.js';

export interface Update {
  readonly id: string;
  readonly pipeline: Document[];
}

/** The server's time, but later than the last change: every change of an image has a time of its own, even within a millisecond. */
const CHANGE_TIME: Document = { $max: ['$$NOW', { $add: ['$updated_at', 1] }] };

/** Whether an image is new here, or has a tombstone. */
const IS_ABSENT: Document = { $or: [{ $eq: [{ $type: '$origin' }, 'missing'] }, { $ne: [{ $type: '$deleted_at' }, 'missing'] }] };

/**
 * One update for each distinct image, in no order: the writes of one image, taken together, do what they would one after
 * the other. The first of them stores it, when it is absent; every one adds its URL, when it is new and there is room.
 */
export function imageUpdates(images: readonly ImageWrite[], urlsPerImageMax: number): Update[] {
  const byId = new Map<string, [ImageWrite, ...ImageWrite[]]>();
  for (const image of images) {
    const others = byId.get(image.id);
    if (others) others.push(image);
    else byId.set(image.id, [image]);
  }
  return [...byId].map(([id, writes]) => {
    const urls = [...new Set(writes.map(({ url }) => url))].slice(0, urlsPerImageMax);
    return { id, pipeline: [{ $replaceWith: { $cond: [IS_ABSENT, newImage(writes[0], urls), withUrls(urls, urlsPerImageMax)] } }] };
  });
}

function newImage({ id, vector, phash, width, height, format, origin }: ImageWrite, urls: readonly string[]): Document {
  const written = { slot: slotOf(id), vector: Binary.fromFloat32Array(vector), urls, phash, width, height, format, origin };
  const literals: Document = Object.fromEntries(Object.entries(written).map(([name, value]) => [name, { $literal: value }]));
  return { _id: '$_id', ...literals, created_at: CHANGE_TIME, updated_at: CHANGE_TIME };
}

/** The standing document, with those of the URLs that it lacks; exactly as it is when there are none, which changes nothing. */
function withUrls(urls: readonly string[], urlsPerImageMax: number): Document {
  const added = { $filter: { input: { $literal: urls }, as: 'url', cond: { $not: [{ $in: ['$$url', '$urls'] }] } } };
  const kept = { $slice: [{ $concatArrays: ['$urls', added] }, { $max: [urlsPerImageMax, { $size: '$urls' }] }] };
  return {
    $let: {
      vars: { kept },
      in: { $cond: [{ $eq: [{ $size: '$$kept' }, { $size: '$urls' }] }, '$$ROOT', { $mergeObjects: ['$$ROOT', { urls: '$$kept', updated_at: CHANGE_TIME }] }] },
    },
  };
}

/** Puts a living image into a group, or out of it; exactly as it is when it is there already. */
export function groupPipeline(canonical: string | undefined): Document[] {
  const group: Document | string = canonical === undefined ? '$$REMOVE' : { $literal: canonical };
  const isSame: Document = canonical === undefined ? { $eq: [{ $type: '$canonical' }, 'missing'] } : { $eq: ['$canonical', group] };
  return [{ $set: { updated_at: { $cond: [isSame, '$updated_at', CHANGE_TIME] }, canonical: group } }];
}

/** Sets the tombstone of a living image. */
export const TOMBSTONE_PIPELINE: Document[] = [{ $set: { updated_at: CHANGE_TIME } }, { $set: { deleted_at: '$updated_at' } }];
