/** Gets the image that a request means: the bytes that it sends, or those at the URL that it names. */
import type { ObjectReader } from '../common/bucket/object-reader.js';
import { parseObjectUri } from '../common/cloud-storage.js';
import { EisError } from '../common/errors.js';
import type { SafeFetch } from '../common/safe-fetch.js';
import type { BodyKind } from './admission.js';

export interface ImageSourceOptions {
  readonly safeFetch: Pick<SafeFetch, 'fetch'>;
  /** Reads the bucket of this deployment, the only one whose gs:// objects are read; undefined: it has none. */
  readonly objects: ObjectReader | undefined;
  readonly urlLengthMax: number;
}

/** What a request holds. */
export interface ImageRequest {
  readonly kind: BodyKind;
  readonly body: Buffer;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** @throws EisError EIS_BAD_REQUEST, EIS_URL_…, EIS_IMAGE_TOO_LARGE */
export function readImage({ kind, body, signal }: ImageRequest, { safeFetch, objects, urlLengthMax }: ImageSourceOptions): Promise<Buffer> | Buffer {
  if (kind === 'image') return body;
  const url = readUrl(body);
  if (!/^gs:/i.test(url) || url.length > urlLengthMax) return safeFetch.fetch(url, { signal }); // which says what is wrong with it
  return readObject(url, objects, signal);
}

function readUrl(body: Buffer): string {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new EisError('EIS_BAD_REQUEST', { detail: 'The body is not JSON. Send {"url": "https://…"}, or the bytes of an image with their own Content-Type.' }, { cause });
  }
  const url = (value as { url?: unknown } | null)?.url;
  if (typeof url !== 'string' || url === '') throw new EisError('EIS_BAD_REQUEST', { detail: 'The JSON has no text "url". Send {"url": "https://…"}.' });
  return url;
}

/** An object of the configured bucket, public or not. */
function readObject(url: string, objects: ObjectReader | undefined, signal: AbortSignal): Promise<Buffer> {
  const named = parseObjectUri(url);
  if (!objects) throw new EisError('EIS_URL_FORBIDDEN', { detail: 'gs:// objects are read from the bucket of this deployment only, and it has none in Cloud Storage (BUCKET).' });
  if (named?.bucket !== objects.bucket) throw new EisError('EIS_URL_FORBIDDEN', { detail: `gs:// objects are read from the bucket of this deployment only, gs://${objects.bucket}.` });
  if (named.object === '') throw new EisError('EIS_URL_INVALID', { detail: 'That gs:// URL names no object.' });
  return objects.read(named.object, { signal });
}
