/**
 * Where image bytes are kept that came without a URL of their own. Objects are named by their content, so putting the
 * same bytes twice is one object. Held by `test/common/bucket/bucket-contract.ts`.
 */
import type { Readable } from 'node:stream';

export interface BucketObject {
  readonly sha256: string;
  readonly bytes: number;
}

export interface Bucket {
  /**
   * Stores the bytes of a stream under their sha256; never half an object, whatever is interrupted.
   *
   * @throws EisError EIS_IMAGE_TOO_LARGE beyond `imageBytesMax`, EIS_IMAGE_MISSING when the stream is empty;
   *   EIS_BUCKET_UNAVAILABLE; EIS_OVERLOADED
   */
  put(bytes: Readable): Promise<BucketObject>;

  /** The bytes of an object; undefined when there is none of this sha256 (64 hex digits). */
  get(sha256: string): Promise<Buffer | undefined>;

  /** Removes an object. False when there was none. */
  delete(sha256: string): Promise<boolean>;

  /** The URI under which an object is ingested: `eis://<sha256>` or `gs://bucket/…`. */
  uri(sha256: string): string;

  /**
   * The sha256 of the object that a URI names, with or without the name of its file behind "#"; undefined for what is no
   * object of this bucket. `eis://<sha256>` names one of every bucket, so that images keep their sources when a folder's
   * objects move to Cloud Storage.
   */
  sha256Of(uri: string): string | undefined;

  close(): Promise<void>;
}
