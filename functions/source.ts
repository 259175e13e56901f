/** Gets the image that a request means: the bytes that it sends, or those at the URL that it names. */
import { publicObjectUrl } from '../common/cloud-storage.js';
import { EisError } from '../common/errors.js';
import type { SafeFetch } from '../common/safe-fetch.js';
import type { BodyKind } from './admission.js';

export interface ImageSourceOptions {
  readonly safeFetch: Pick<SafeFetch, 'fetch'>;
  /** The bucket of this deployment, `gs://name`: the only one whose objects are fetched. */
  readonly bucket: string | undefined;
}

/** What a request holds. */
export interface ImageRequest {
  readonly kind: BodyKind;
  readonly body: Buffer;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** @throws EisError EIS_BAD_REQUEST, EIS_URL_…, EIS_IMAGE_TOO_LARGE */
export function readImage({ kind, body, signal }: ImageRequest, { safeFetch, bucket }: ImageSourceOptions): Promise<Buffer> | Buffer {
  return kind === 'image' ? body : safeFetch.fetch(toHttpUrl(readUrl(body), bucket), { signal });
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

/** An object of the configured bucket by its public address; every other URL as it is, for `safeFetch` to judge. */
function toHttpUrl(url: string, bucket: string | undefined): string {
  const [, name, object] = /^gs:\/\/([^/]*)\/?(.*)$/is.exec(url) ?? [];
  if (name === undefined || object === undefined) return url;
  if (bucket?.replace(/\/+$/, '') !== `gs://${name}`) throw new EisError('EIS_URL_FORBIDDEN', { detail: 'gs:// objects are fetched from the bucket of this deployment only.' });
  if (object === '') throw new EisError('EIS_URL_INVALID', { detail: 'That gs:// URL names no object.' });
  return publicObjectUrl(name, object);
}
