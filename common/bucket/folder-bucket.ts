/** The embedded bucket: a folder of files named by the sha256 of their content, spread over 256 subfolders. */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { contentOf } from '../cloud-storage.js';
import { EisError } from '../errors.js';
import { IMAGE_ID } from '../wire.js';
import type { Bucket, BucketObject } from './bucket.js';

/** No upload takes this long. */
const LEFTOVER_AGE_MS = 3_600_000;

export interface FolderBucketOptions {
  readonly folder: string;
  readonly imageBytesMax: number;
}

export class FolderBucket implements Bucket {
  readonly #folder: string;
  readonly #imageBytesMax: number;

  constructor({ folder, imageBytesMax }: FolderBucketOptions) {
    this.#folder = folder;
    this.#imageBytesMax = imageBytesMax;
  }

  /** Removes what uploads left behind that were cut off by the death of their process. */
  async sweep(olderThanMs = LEFTOVER_AGE_MS): Promise<void> {
    const incoming = join(this.#folder, 'incoming');
    const names = await readdir(incoming).catch(ifMissing<string[]>([]));
    for (const name of names) {
      const { mtimeMs } = await stat(join(incoming, name)).catch(() => ({ mtimeMs: Infinity }));
      if (Date.now() - mtimeMs > olderThanMs) await rm(join(incoming, name), { force: true });
    }
  }

  /** Written aside, flushed to disk, then renamed: an object is there whole or not at all. */
  async put(bytes: Readable): Promise<BucketObject> {
    const aside = join(this.#folder, 'incoming', randomUUID());
    await mkdir(join(this.#folder, 'incoming'), { recursive: true });
    try {
      const object = await this.#writeAside(bytes, aside);
      const path = this.#path(object.sha256);
      await mkdir(join(path, '..'), { recursive: true });
      await rename(aside, path);
      return object;
    } catch (error) {
      await rm(aside, { force: true }).catch(() => undefined);
      throw toBucketError(error);
    }
  }

  async #writeAside(bytes: Readable, path: string): Promise<BucketObject> {
    const hash = createHash('sha256');
    const imageBytesMax = this.#imageBytesMax;
    let size = 0;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        hash.update(chunk);
        done(size > imageBytesMax ? new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax }) : null, chunk);
      },
    });
    await pipeline(bytes, count, createWriteStream(path, { flush: true }));
    if (size === 0) throw new EisError('EIS_IMAGE_MISSING', {});
    return { sha256: hash.digest('hex'), bytes: size };
  }

  async get(sha256: string): Promise<Buffer | undefined> {
    if (!IMAGE_ID.test(sha256)) return undefined;
    return readFile(this.#path(sha256)).catch(ifMissing(undefined));
  }

  async delete(sha256: string): Promise<boolean> {
    if (!IMAGE_ID.test(sha256)) return false;
    return rm(this.#path(sha256)).then(() => true).catch(ifMissing(false));
  }

  uri(sha256: string): string {
    return `eis://${sha256}`;
  }

  sha256Of(uri: string): string | undefined {
    return uri.startsWith('eis://') ? contentOf(uri)?.sha256 : undefined;
  }

  async close(): Promise<void> {}

  #path(sha256: string): string {
    return join(this.#folder, sha256.slice(0, 2), sha256);
  }
}

function ifMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value;
    throw toBucketError(error);
  };
}

/** Errors of the file system are the bucket's; those of the stream that was to be stored are its own. */
function toBucketError(error: unknown): unknown {
  const { syscall, code } = (error ?? {}) as NodeJS.ErrnoException;
  return syscall !== undefined && code !== 'ECONNRESET' ? new EisError('EIS_BUCKET_UNAVAILABLE', { detail: `${syscall} failed with ${code}.` }, { cause: error, retryAfterS: 1 }) : error;
}
