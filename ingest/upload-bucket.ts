/** Puts files into the bucket from here, so that their bytes go neither through the gateway nor through the wrapper. */
import { createReadStream } from 'node:fs';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError, isEisError } from '../common/errors.js';
import { DEFAULT_LIMITS } from '../common/limits.js';
import { nameSource } from './sources.js';
import { imageIdentity, unreadable, type Found, type FoundFile } from './upload-walk.js';

const UPLOADS_MAX = 8;
/** Of the files that are uploaded at once; each is in memory as long as that takes. */
const UPLOAD_BYTES_MAX = 64 * 1024 * 1024;
const NAME_STEP_CHARACTERS = 16;

export interface UploadOptions {
  readonly bucket: Pick<Bucket, 'put' | 'uri'>;
  readonly imageBytesMax: number;
  readonly signal: AbortSignal;
  /** Told how many are there so far. */
  readonly onUploaded: (uploaded: number) => void;
}

/**
 * What was found, with every file as the URL of its object, in the order in which they get there. The bucket holds each
 * content once, so that doing it again after it was cut off costs no more than the transfer.
 *
 * @throws EisError EIS_BUCKET_UNAVAILABLE; the signal's reason
 */
export async function* uploadFound(found: AsyncIterable<Found>, options: UploadOptions): AsyncGenerator<Found> {
  const uploads = new Uploads(options);
  try {
    for await (const one of found) {
      options.signal.throwIfAborted();
      if (one.kind !== 'file') yield one;
      else yield* uploads.begin(one);
    }
    yield* uploads.finish();
  } finally {
    await uploads.settled();
  }
}

class Uploads {
  readonly #options: UploadOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #done: Found[] = [];
  #runningBytes = 0;
  #uploaded = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  /** Begins to upload a file once there is room for it; meanwhile, what is done. */
  async *begin(file: FoundFile): AsyncGenerator<Found> {
    const isFull = (): boolean => this.#running.size >= UPLOADS_MAX || (this.#running.size > 0 && this.#runningBytes + file.bytes > UPLOAD_BYTES_MAX);
    while (isFull()) yield* this.#next();
    yield* this.#take();
    const running = this.#upload(file).finally(() => {
      this.#running.delete(running);
      this.#runningBytes -= file.bytes;
    });
    this.#running.add(running);
    this.#runningBytes += file.bytes;
  }

  /** The rest. */
  async *finish(): AsyncGenerator<Found> {
    while (this.#running.size > 0) yield* this.#next();
    yield* this.#take();
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  async *#next(): AsyncGenerator<Found> {
    await Promise.race(this.#running);
    this.#options.signal.throwIfAborted();
    yield* this.#take();
  }

  *#take(): Generator<Found> {
    if (this.#failure) throw this.#failure.error;
    yield* this.#done.splice(0);
  }

  /** Never throws: what is wrong with the file is found, what is wrong with the bucket ends it all. */
  async #upload(file: FoundFile): Promise<void> {
    const { path, metadata } = file;
    try {
      this.#done.push({ kind: 'url', given: path, identity: imageIdentity(file), url: await this.#put(file), ...(metadata && { metadata }) });
      this.#options.onUploaded(++this.#uploaded);
    } catch (thrown) {
      if (!isEisError(thrown)) this.#done.push({ kind: 'unreadable', path, error: unreadable(path, thrown) });
      else if (thrown.code.startsWith('EIS_IMAGE_')) this.#done.push({ kind: 'unreadable', path, error: thrown });
      else this.#failure ??= { error: thrown };
    }
  }

  async #put({ path, name, bytes }: FoundFile): Promise<string> {
    const { bucket, imageBytesMax } = this.#options;
    if (bytes > imageBytesMax) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
    const { sha256 } = await bucket.put(createReadStream(path));
    return namedUrl(bucket.uri(sha256), name);
  }
}

/** With as much of the name's end as a URL may have. */
function namedUrl(uri: string, name: string): string {
  const characters = [...name];
  while (characters.length > 0 && nameSource(uri, characters.join('')).length > DEFAULT_LIMITS.urlLengthMax) characters.splice(0, NAME_STEP_CHARACTERS);
  return nameSource(uri, characters.join(''));
}
