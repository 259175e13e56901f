/** Reads an object of Cloud Storage into memory, within bounds, and only as what was stored. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { CRC32C, type File } from '@google-cloud/storage';
import { EisError } from '../errors.js';
import type { StorageTiming } from './gcs-client.js';
import { AttemptFailure, DamagedObject, isTransient, statusOf } from './gcs-failure.js';

export interface ReadOptions {
  readonly imageBytesMax: number;
  readonly timing: StorageTiming;
  readonly signal: AbortSignal;
}

/**
 * The bytes of an object, as they were stored; one that is stored compressed is unpacked. An attempt that breaks off, stands
 * still or brings something else than the object's checksum says is made again.
 *
 * @throws EisError EIS_IMAGE_TOO_LARGE; the signal's reason; what the client throws
 */
export async function readObject(file: File, options: ReadOptions): Promise<Buffer> {
  const { retriesMax, retryDelayMaxMs } = options.timing;
  for (let retries = 0; ; retries++) {
    options.signal.throwIfAborted();
    try {
      return await readOnce(file, options);
    } catch (thrown) {
      if (statusOf(thrown) === 416) return Buffer.alloc(0); // a range of an empty object
      // The client has repeated by itself what was answered with an error.
      if (options.signal.aborted || statusOf(thrown) !== undefined || !isTransient(thrown) || retries === retriesMax) throw thrown;
      await sleep(Math.random() * Math.min(retryDelayMaxMs, 100 * 2 ** retries));
    }
  }
}

type Headers = Readonly<Record<string, string | undefined>>;

async function readOnce(file: File, options: ReadOptions): Promise<Buffer> {
  const { bytes, headers } = await download(file, options);
  if (bytes.length > options.imageBytesMax) throw tooLarge(options);
  checkSums(bytes, headers['x-goog-hash'] ?? '');
  return headers['content-encoding'] === 'gzip' ? unpack(bytes, options) : bytes;
}

/**
 * Asks for one byte more than is accepted, so that what is on its way is never more than that and can be left to arrive
 * when nobody waits for it: to break a download off, the client closes the connections of all others, too.
 */
function download(file: File, { imageBytesMax, timing, signal }: ReadOptions): Promise<{ readonly bytes: Buffer; readonly headers: Headers }> {
  return new Promise((resolve, reject) => {
    const stream = file.createReadStream({ start: 0, end: imageBytesMax, decompress: false });
    const chunks: Buffer[] = [];
    let headers: Headers = {};
    let stall: NodeJS.Timeout | undefined;
    const settle = (finish: () => void): void => {
      clearTimeout(stall);
      signal.removeEventListener('abort', onAbort);
      stream.off('data', onData);
      finish();
    };
    const watch = (): void => {
      clearTimeout(stall);
      stall = setTimeout(() => stream.destroy(new AttemptFailure(`no byte within ${timing.stallTimeoutMs} ms`)), timing.stallTimeoutMs);
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      watch();
    };
    const onAbort = (): void => settle(() => {
      leaveToArrive(stream, timing.stallTimeoutMs);
      reject(signal.reason as Error);
    });
    signal.addEventListener('abort', onAbort);
    stream
      .on('response', (response: { readonly headers: Headers }) => {
        ({ headers } = response);
        watch();
      })
      .on('data', onData)
      .on('end', () => settle(() => resolve({ bytes: Buffer.concat(chunks), headers })))
      .on('error', (error) => settle(() => reject(error)));
  });
}

function leaveToArrive(stream: NodeJS.ReadableStream & { destroy(): unknown }, timeoutMs: number): void {
  const end = setTimeout(() => stream.destroy(), timeoutMs).unref();
  stream.once('close', () => clearTimeout(end)).resume();
}

/** @param hashes `crc32c=<base64>,md5=<base64>`; an object that was composed of others has no md5 */
function checkSums(bytes: Buffer, hashes: string): void {
  const sums = new Map(hashes.split(',').map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1)]));
  const [md5, crc32c] = [sums.get('md5'), sums.get('crc32c')];
  const isWhole = md5 !== undefined ? createHash('md5').update(bytes).digest('base64') === md5 : crc32c === undefined || checksum(bytes).validate(crc32c);
  if (!isWhole) throw new DamagedObject('what came is not what was stored, as its checksum tells');
}

function checksum(bytes: Buffer): CRC32C {
  const crc32c = new CRC32C();
  crc32c.update(bytes);
  return crc32c;
}

async function unpack(bytes: Buffer, options: ReadOptions): Promise<Buffer> {
  return promisify(gunzip)(bytes, { maxOutputLength: options.imageBytesMax }).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(options) : new DamagedObject(`it cannot be unpacked (${cause.code ?? cause.message})`);
  });
}

function tooLarge({ imageBytesMax }: ReadOptions): EisError {
  return new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
}
