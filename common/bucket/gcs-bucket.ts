/** The bucket of a deployment: objects of Google Cloud Storage named `<prefix>/<first 2 digits>/<sha256>`. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Bucket as StorageBucket, File } from '@google-cloud/storage';
import { contentObjectName, contentOf, parseObjectUri, type BucketUri } from '../cloud-storage.js';
import type { EisError } from '../errors.js';
import { IMAGE_ID } from '../wire.js';
import type { Bucket, BucketObject } from './bucket.js';
import { createStorageClient, type StorageClientOptions, type StorageTiming } from './gcs-client.js';
import { isObjectMissing, statusOf, toBucketError, withinTime } from './gcs-failure.js';
import { readObject } from './gcs-read.js';
import { ImageMemory } from './image-memory.js';

/** Larger images are sent in chunks, so that a connection that breaks off costs one of them. A multiple of 256 KiB. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** Of the images that are being put; one more is answered 429. */
const HELD_BYTES_MAX = 128 * 1024 * 1024;

export interface GcsBucketOptions extends BucketUri, StorageClientOptions {
  readonly imageBytesMax: number;
}

export class GcsBucket implements Bucket {
  readonly #bucket: StorageBucket;
  readonly #timing: StorageTiming;
  readonly #prefix: string;
  readonly #imageBytesMax: number;
  readonly #memory: ImageMemory;

  constructor({ name, prefix, imageBytesMax, ...client }: GcsBucketOptions) {
    const { storage, timing } = createStorageClient(client);
    this.#bucket = storage.bucket(name);
    this.#timing = timing;
    this.#prefix = prefix;
    this.#imageBytesMax = imageBytesMax;
    this.#memory = new ImageMemory({ imageBytesMax, heldBytesMax: Math.max(HELD_BYTES_MAX, imageBytesMax) });
  }

  /**
   * The name is the hash of the content, so the image is held in memory until it is known. An object under a temporary
   * name would save that, for a second write and a deletion per image, the right to delete, and leftovers of every crash.
   * The checksum goes with the bytes: Cloud Storage takes all of them or nothing.
   */
  put(bytes: Readable): Promise<BucketObject> {
    return this.#memory.hold(bytes, async (image) => {
      const sha256 = createHash('sha256').update(image).digest('hex');
      await this.#upload(sha256, image);
      return { sha256, bytes: image.length };
    });
  }

  async #upload(sha256: string, image: Buffer): Promise<void> {
    const save = (): Promise<void> => this.#file(sha256).save(image, {
      resumable: image.length > CHUNK_BYTES,
      chunkSize: CHUNK_BYTES,
      preconditionOpts: { ifGenerationMatch: 0 },
      validation: false, // the server compares md5Hash before there is an object; the client would delete it afterwards
      metadata: { contentType: 'application/octet-stream', contentLength: image.length, md5Hash: createHash('md5').update(image).digest('base64') },
    });
    await withinTime(this.#timing.totalTimeoutMs, (signal) => this.#again(save, signal)).catch((thrown: unknown) => {
      if (statusOf(thrown) !== 412) throw this.#error(thrown, 'storage.objects.create'); // 412: it is there already
    });
  }

  /**
   * The client itself tries again what fails on the way. Where it finds that it no longer has bytes that the server lacks, which a 503 in
   * an unlucky moment leads to, it ends with a RangeError that asks for a new upload: the image is still here, so there is one.
   */
  async #again(save: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (let retries = 0; ; retries++) {
      try {
        return await save();
      } catch (thrown) {
        if (!(thrown instanceof RangeError) || retries === this.#timing.retriesMax || signal.aborted) throw thrown;
      }
    }
  }

  async get(sha256: string): Promise<Buffer | undefined> {
    if (!IMAGE_ID.test(sha256)) return undefined;
    try {
      return await withinTime(this.#timing.totalTimeoutMs, (signal) => readObject(this.#file(sha256), { imageBytesMax: this.#imageBytesMax, timing: this.#timing, signal }));
    } catch (thrown) {
      if (isObjectMissing(thrown)) return undefined;
      throw this.#error(thrown, 'storage.objects.get');
    }
  }

  /** An answer that was lost makes it false although the object was there. */
  async delete(sha256: string): Promise<boolean> {
    if (!IMAGE_ID.test(sha256)) return false;
    try {
      await withinTime(this.#timing.totalTimeoutMs, () => this.#file(sha256).delete());
      return true;
    } catch (thrown) {
      if (isObjectMissing(thrown)) return false;
      throw this.#error(thrown, 'storage.objects.delete');
    }
  }

  uri(sha256: string): string {
    return `gs://${this.#bucket.name}/${contentObjectName(this.#prefix, sha256)}`;
  }

  sha256Of(uri: string): string | undefined {
    const sha256 = contentOf(uri)?.sha256;
    if (sha256 === undefined || uri.startsWith('eis://')) return sha256;
    const named = parseObjectUri(uri);
    return named?.bucket === this.#bucket.name && named.object === contentObjectName(this.#prefix, sha256) ? sha256 : undefined;
  }

  async close(): Promise<void> {}

  #file(sha256: string): File {
    return this.#bucket.file(contentObjectName(this.#prefix, sha256));
  }

  #error(thrown: unknown, permission: string): EisError {
    return toBucketError(thrown, { bucket: this.#bucket.name, permission });
  }
}
