/** Finds the images that a gs:// URL on the command line means: one object, or all under a prefix, listed as they are sent. */
import { contentOf, parseObjectUri } from '../common/cloud-storage.js';
import { EisError, toEisError } from '../common/errors.js';
import { isImageName } from './image-name.js';
import type { Found } from './upload-walk.js';

/**
 * An object by its exact name is one image, whatever its name. A URL that ends with "/", or that is no object's name,
 * means all images under it. Only what may be a prefix is asked for at Cloud Storage, with this machine's credentials.
 */
export async function* findObjects(source: string): AsyncGenerator<Found> {
  const { bucket, object } = parseObjectUri(source) ?? { bucket: '', object: '' };
  if (bucket === '' || isImageObject(bucket, object)) {
    yield { kind: 'url', url: source };
    return;
  }
  try {
    yield* listObjects(source, bucket, object);
  } catch (thrown) {
    yield { kind: 'unreadable', path: source, error: toEisError(thrown) };
  }
}

/** @throws EisError EIS_SOURCE_UNREADABLE */
async function* listObjects(source: string, bucket: string, object: string): AsyncGenerator<Found> {
  const { GcsListing } = await import('../common/bucket/gcs-listing.js');
  const listing = new GcsListing(bucket);
  const isPrefix = object === '' || object.endsWith('/');
  if (!isPrefix && (await listing.has(object))) {
    yield { kind: 'url', url: source };
    return;
  }
  let isEmpty = true;
  for await (const name of listing.names(isPrefix ? object : `${object}/`)) {
    isEmpty = false;
    if (name.endsWith('/')) continue; // what stands for a folder in Google's console
    const url = `gs://${bucket}/${name}`;
    yield isImageObject(bucket, name) ? { kind: 'url', url } : { kind: 'skipped', path: url };
  }
  if (isEmpty) throw new EisError('EIS_SOURCE_UNREADABLE', { source, detail: 'there is no such object, and none under that name.' });
}

/** By the extension, or because it is named as the bucket of a deployment names its images: without one. */
function isImageObject(bucket: string, object: string): boolean {
  return isImageName(object) || contentOf(`gs://${bucket}/${object}`) !== undefined;
}
