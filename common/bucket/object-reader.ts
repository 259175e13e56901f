/** Reads any object of the configured bucket of Cloud Storage, for whoever names it by its gs:// URL. */
import { parseBucketUri } from '../cloud-storage.js';
import type { Environment } from '../environment.js';

export interface ObjectReader {
  /** The bucket's name: the only one that is read from. */
  readonly bucket: string;
  /**
   * The bytes of an object, within `fetchTimeoutMs`.
   *
   * @throws EisError EIS_URL_REJECTED (there is no such object, or it may not be read), EIS_URL_FAILED, EIS_URL_TIMEOUT,
   *   EIS_IMAGE_TOO_LARGE; the signal's reason when it aborts
   */
  read(object: string, options?: { readonly signal?: AbortSignal }): Promise<Buffer>;
}

/**
 * Undefined where BUCKET is none of Cloud Storage. Its client is loaded in the background: the caller can go on starting.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID
 */
export function openObjectReader({ bucket, limits }: Pick<Environment, 'bucket' | 'limits'>): ObjectReader | undefined {
  const uri = parseBucketUri(bucket);
  if (!uri) return undefined;
  const loading = import('./gcs-object-reader.js').then(({ GcsObjectReader }) => new GcsObjectReader({ bucket: uri.name, limits }));
  loading.catch(() => undefined); // said where it is used
  return { bucket: uri.name, read: async (object, options) => (await loading).read(object, options) };
}
