/**
 * The updates of images, as pipelines that the server evaluates on what stands there: each is atomic, gives the same
 * result when it is applied twice, and takes the time from the server's clock. What comes from outside is a `$literal`:
 * a URL that begins with `$` would else be taken for a field.
 */
import { Binary, type Document } from 'mongodb';
import { latestMetadata, type GivenMetadata } from '../metadata.js';
import { slotOf } from '../slots.js';
import type { ImageWrite } from './store.js';

export interface Update {
  readonly id: string;
  readonly pipeline: Document[];
}

/** The server's time, but later than the last change: every change of an image has a time of its own, even within a millisecond. */
const CHANGE_TIME: Document = { $max: ['$$NOW', { $add: ['$updated_at', 1] }] };

const IS_NEW: Document = { $eq: [{ $type: '$origin' }, 'missing'] };
const IS_DELETED: Document = { $ne: [{ $type: '$deleted_at' }, 'missing'] };

const REMOVED_AT: Document = { $ifNull: ['$removed_at', { $literal: new Date(0) }] };

/** Whether an image is new here, or was deleted before this was given. */
function isAbsent(givenAt: number): Document {
  const isLater = givenAt === Infinity ? true : { $lte: [REMOVED_AT, { $literal: new Date(givenAt) }] };
  return { $or: [IS_NEW, { $and: [IS_DELETED, isLater] }] };
}

/** What an image has that is written again: it may add to it. */
interface Addition {
  readonly urls: readonly string[];
  readonly metadata: GivenMetadata | undefined;
}

/**
 * One update for each distinct image, in no order: the writes of one image, taken together, do what they would one after
 * the other. The first of them stores it, when it is absent; every one adds its URL, when it is new and there is room; and
 * the metadata that was given last stands, when it was given later than what is there. Where the image was deleted after all
 * of them were given, it stays so.
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
    const metadata = writes.reduce<GivenMetadata | undefined>((latest, write) => latestMetadata(latest, write.metadata), undefined);
    const addition = { urls, metadata };
    const givenAt = Math.max(...writes.map((write) => write.givenAt ?? Infinity));
    const standing = { $cond: [IS_DELETED, '$$ROOT', withAddition(addition, urlsPerImageMax)] };
    return { id, pipeline: [{ $replaceWith: { $cond: [isAbsent(givenAt), newImage(writes[0], addition), standing] } }] };
  });
}

function newImage({ id, vector, phash, width, height, format, origin }: ImageWrite, { urls, metadata }: Addition): Document {
  const written = { slot: slotOf(id), vector: Binary.fromFloat32Array(vector), urls, phash, width, height, format, origin, ...(metadata && { metadata: metadata.values, metadata_at: new Date(metadata.givenAt) }) };
  const literals: Document = Object.fromEntries(Object.entries(written).map(([name, value]) => [name, { $literal: value }]));
  return { _id: '$_id', ...literals, created_at: CHANGE_TIME, updated_at: CHANGE_TIME };
}

/** The standing document, with what it lacks; exactly as it is when there is nothing, which changes nothing. */
function withAddition({ urls, metadata }: Addition, urlsPerImageMax: number): Document {
  const added = { $filter: { input: { $literal: urls }, as: 'url', cond: { $not: [{ $in: ['$$url', '$urls'] }] } } };
  const kept = { $slice: [{ $concatArrays: ['$urls', added] }, { $max: [urlsPerImageMax, { $size: '$urls' }] }] };
  const hasMoreUrls = { $ne: [{ $size: '$$kept' }, { $size: '$urls' }] };
  const withUrls = { $cond: [hasMoreUrls, { $mergeObjects: ['$$ROOT', { urls: '$$kept', updated_at: CHANGE_TIME }] }, '$$ROOT'] };
  if (!metadata) return { $let: { vars: { kept }, in: withUrls } };
  const given = { metadata: { $literal: metadata.values }, metadata_at: { $literal: new Date(metadata.givenAt) } };
  const isChange = { $or: [hasMoreUrls, { $ne: [{ $ifNull: ['$metadata', { $literal: {} }] }, given.metadata] }] };
  const withMetadata = { $mergeObjects: ['$$ROOT', { urls: '$$kept', ...given, updated_at: { $cond: [isChange, CHANGE_TIME, '$updated_at'] } }] };
  const isLater = { $lte: [{ $ifNull: ['$metadata_at', given.metadata_at] }, given.metadata_at] };
  return { $let: { vars: { kept }, in: { $cond: [isLater, withMetadata, withUrls] } } };
}

/** Puts a living image into a group, or out of it; exactly as it is when it is there already. */
export function groupPipeline(canonical: string | undefined): Document[] {
  const group: Document | string = canonical === undefined ? '$$REMOVE' : { $literal: canonical };
  const isSame: Document = canonical === undefined ? { $eq: [{ $type: '$canonical' }, 'missing'] } : { $eq: ['$canonical', group] };
  return [{ $set: { updated_at: { $cond: [isSame, '$updated_at', CHANGE_TIME] }, canonical: group } }];
}

/** What is known of an image that was deleted before it came. */
const UNKNOWN_IMAGE = { vector: Binary.fromFloat32Array(new Float32Array(0)), urls: [], phash: '', width: 0, height: 0, format: '', origin: '' };

/** Sets the tombstone of an image, known or not; on one that stands, only how long it keeps writes out. */
export function tombstonePipeline(id: string, at: number): Document[] {
  const removed_at = { $max: [REMOVED_AT, { $literal: new Date(at) }] };
  const unknown = { $mergeObjects: [{ _id: '$_id', created_at: CHANGE_TIME }, { $literal: { slot: slotOf(id), ...UNKNOWN_IMAGE } }] };
  const deleted = { $mergeObjects: [{ $cond: [IS_NEW, unknown, '$$ROOT'] }, { updated_at: CHANGE_TIME, deleted_at: CHANGE_TIME, removed_at }] };
  return [{ $replaceWith: { $cond: [IS_DELETED, { $mergeObjects: ['$$ROOT', { removed_at }] }, deleted] } }];
}
