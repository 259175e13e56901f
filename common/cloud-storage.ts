/** Addresses in Google Cloud Storage. Names of objects stand in gs:// URIs as they are, without percent-encoding. */
import { EisError } from './errors.js';

export interface ObjectUri {
  readonly bucket: string;
  /** Empty: the URI names the bucket alone. */
  readonly object: string;
}

/** `<first 2 digits>/<sha256>`, with the folders before and the name that `nameSource` gives behind. */
const CONTENT_NAME = /^((?:.*\/)?([0-9a-f]{2})\/(\2[0-9a-f]{62}))(?:#(.*))?$/s;

/**
 * The bucket and the object that a `gs://` URI names; undefined for other URIs. A "#" is part of an object's name, but
 * behind one that is the sha256 of its content (`contentOf`): there it begins the name that the image's file had.
 */
export function parseObjectUri(uri: string): ObjectUri | undefined {
  const [, bucket, object] = /^gs:\/\/([^/]*)\/?(.*)$/is.exec(uri) ?? [];
  if (bucket === undefined || object === undefined) return undefined;
  return { bucket, object: CONTENT_NAME.exec(object)?.[1] ?? object };
}

export interface ContentUri {
  readonly sha256: string;
  /** The file's name, percent-encoded; undefined: it had none. */
  readonly name: string | undefined;
}

/** What the URI of an object says that is named by its content: `eis://<sha256>#<name>`, `gs://…/ab/<sha256>#<name>`. */
export function contentOf(uri: string): ContentUri | undefined {
  const [, sha256, name] = /^eis:\/\/([0-9a-f]{64})(?:#(.*))?$/s.exec(uri) ?? [];
  if (sha256 !== undefined) return { sha256, name };
  const [, , , content, label] = (/^gs:\/\/[^/]+\/(.*)$/s.exec(uri)?.[1] ?? '').match(CONTENT_NAME) ?? [];
  return content === undefined ? undefined : { sha256: content, name: label };
}

/** Of an object that is named by its content, under folders or none. */
export function contentObjectName(prefix: string, sha256: string): string {
  return `${prefix === '' ? '' : `${prefix}/`}${sha256.slice(0, 2)}/${sha256}`;
}

export interface BucketUri {
  readonly name: string;
  /** Folders under which objects are put, without slashes around; empty: none. */
  readonly prefix: string;
}

/**
 * The variable BUCKET where it names a bucket, `gs://name` or `gs://name/prefix`; undefined where it names a folder.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID when it begins with gs:// and names no bucket
 */
export function parseBucketUri(text: string | undefined): BucketUri | undefined {
  if (text === undefined || !/^gs:\/\//i.test(text)) return undefined;
  const [, name, prefix = ''] = /^gs:\/\/([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:\/+(.*?))?\/*$/i.exec(text) ?? [];
  if (name === undefined) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'BUCKET', detail: `${JSON.stringify(text)} names no bucket. Write gs://name or gs://name/prefix, or name a folder.` });
  return { name, prefix };
}

/** Where an object of a public bucket can be fetched over HTTPS. */
export function publicObjectUrl(bucket: string, object: string): string {
  return `https://storage.googleapis.com/${bucket}/${object.split('/').map(encodeURIComponent).join('/')}`;
}
