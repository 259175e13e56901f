/**
 * Brings one file, over as many attempts, and processes, as it takes: each goes on where the last one stopped, as long
 * as the host still has the same version of the file, and begins anew otherwise.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { isEisError } from '../../common/errors.js';
import { abandonResponse } from '../../common/read-bounded.js';
import { TransferFailure, brokenOff, diskFailure, displayUrl, networkFailure, slowFailure, stallFailure, statusFailure } from './download-failure.js';
import type { ModelHttp } from './download-http.js';
import type { OnRetry } from './download-progress.js';
import { HEAD_BYTES, readHead } from './file-signature.js';
import { PartialFile, continueVersion, readVersion, type FileVersion, type HeldPart } from './download-partial.js';

export interface RetrySettings {
  /** Attempts in a row that bring no byte nearer the end. */
  readonly attemptsMax: number;
  /** Before the second attempt; twice as long before each further one. */
  readonly delayMs: number;
  readonly delayMaxMs: number;
  /** The longest that a host's Retry-After is waited for. */
  readonly retryAfterMaxMs: number;
}

/** The slowest that is waited for. */
export interface SlowSettings {
  readonly bytesPerSecondMin: number;
  readonly windowMs: number;
}

/** How files are transferred. */
export interface Transfer {
  readonly http: ModelHttp;
  readonly signal: AbortSignal;
  /** An attempt fails when nothing comes for this long. */
  readonly stallMs: number;
  /** An attempt fails, too, when less than this comes in a window. */
  readonly slow: SlowSettings;
  /** Told before each further attempt. */
  readonly onRetry?: OnRetry | undefined;
  readonly retry: RetrySettings;
  /** Where models are kept, to be named in errors. */
  readonly folder: string;
}

export interface FileRequest {
  /** As the model names it. */
  readonly file: string;
  readonly url: URL;
  /** Where it is put when it is whole. */
  readonly path: string;
  /** Where it is collected. */
  readonly partial: string;
  readonly bytesMax: number;
  /** Told the first bytes of a file that is larger than these, and its size if that is known; gives the `bytesMax` of such a file. */
  readonly onHead?: ((head: Buffer, bytes: number | undefined) => Promise<number>) | undefined;
  /** The error for a file of more than `bytesMax`; `bytes` is what is known of its size. */
  readonly refuseSize: (bytes: number, bytesMax: number) => Error;
  /** Told how much of the file is here. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Brings a file, whole and verified as far as its host allows (length, md5), and puts it in its place.
 *
 * @returns which version of the file it is
 * @throws EisError EIS_MODEL_DOWNLOAD, or what `refuseSize` makes; TransferFailure where a disk fails; the signal's
 *   reason when it aborts
 */
export async function fetchFile(request: FileRequest, transfer: Transfer): Promise<FileVersion> {
  const partial = new PartialFile(request.partial);
  const { attemptsMax } = transfer.retry;
  let furthest = await partial.size();
  for (let failures = 0, damaged = 0; ; ) {
    try {
      const version = await attempt(request, partial, transfer);
      if (await isAsHashed(partial, version)) {
        await partial.moveTo(request.path);
        return version;
      }
      await partial.discard();
      throw new TransferFailure('its file arrived damaged: its md5 is not the one that its host announces', 'Try again later, or tell whoever keeps the file.', { isTransient: damaged++ === 0 });
    } catch (thrown) {
      const failure = toFailure(thrown, transfer);
      const bytes = await partial.size();
      failures = bytes > furthest && !failure.isSlow ? 1 : failures + 1; // slow ones bring something each, and would never be given up
      furthest = Math.max(furthest, bytes);
      if (!failure.isTransient || failures >= attemptsMax) throw failure.toError(displayUrl(request.url), failures);
      await pause(failure, failures, { request, transfer });
    }
  }
}

/** What may be tried again, or told as it is; throws what is neither. */
function toFailure(thrown: unknown, { signal, folder }: Transfer): TransferFailure {
  if (signal.aborted) throw signal.reason;
  if (isEisError(thrown)) throw thrown;
  const failure = diskFailure(thrown, folder);
  if (failure) throw failure;
  return thrown instanceof TransferFailure ? thrown : networkFailure(thrown);
}

/** Exponential, with jitter, so that those who failed together do not come again together. */
async function pause(failure: TransferFailure, failures: number, { request, transfer }: { readonly request: FileRequest; readonly transfer: Transfer }): Promise<void> {
  const { attemptsMax, delayMs, delayMaxMs, retryAfterMaxMs } = transfer.retry;
  const asked = failure.retryAfterMs ?? 0;
  if (asked > retryAfterMaxMs) throw new TransferFailure(`${failure.what} and asks to be left alone for ${Math.ceil(asked / 1_000)} s`, 'Try again after that. What has come so far is kept.').toError(displayUrl(request.url));
  const backoff = Math.min(delayMaxMs, delayMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  const waitMs = Math.max(asked, backoff);
  transfer.onRetry?.({ file: request.file, reason: failure.what, attempt: failures + 1, attemptsMax, waitMs });
  await sleep(waitMs, undefined, { signal: transfer.signal }).catch(() => {
    throw transfer.signal.reason;
  });
}

async function isAsHashed(partial: PartialFile, { md5 }: FileVersion): Promise<boolean> {
  if (md5 === undefined) return true;
  const hash = createHash('md5');
  await pipeline(createReadStream(partial.path), hash);
  return hash.digest('base64') === md5;
}

// ── One attempt ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function attempt(request: FileRequest, partial: PartialFile, { http, signal, stallMs, slow }: Transfer): Promise<FileVersion> {
  const stalled = new AbortController();
  const watchdog = setTimeout(() => stalled.abort(stallFailure(stallMs)), stallMs);
  let windowBytes = 0;
  const pacer = setInterval(() => {
    if (windowBytes < (slow.bytesPerSecondMin * slow.windowMs) / 1_000) stalled.abort(slowFailure(slow));
    windowBytes = 0;
  }, slow.windowMs);
  const onChunk = (bytes: number): void => {
    windowBytes += bytes;
    watchdog.refresh();
  };
  const ask = async (headers: Readonly<Record<string, string>>): Promise<Dispatcher.ResponseData> => {
    const response = await http.open(request.url, { headers, signal: AbortSignal.any([signal, stalled.signal]) });
    response.body.on('error', () => undefined);
    watchdog.refresh();
    return response;
  };
  try {
    const held = await partial.read();
    if (held && held.bytes === held.version.bytes) return held.version;
    return await receive(await askForRest(ask, held), { request, partial, onChunk });
  } catch (thrown) {
    throw stalled.signal.aborted ? stalled.signal.reason : thrown;
  } finally {
    clearTimeout(watchdog);
    clearInterval(pacer);
  }
}

interface Answer {
  readonly response: Dispatcher.ResponseData;
  readonly version: FileVersion;
  /** Of its first byte in the file. */
  readonly offset: number;
}

/** The rest of the file if it is still the same and its host can send a part; else the whole of it. */
async function askForRest(ask: (headers: Readonly<Record<string, string>>) => Promise<Dispatcher.ResponseData>, held: HeldPart | undefined): Promise<Answer> {
  if (held?.version.ifRange === undefined) return asWhole(await ask({}));
  const response = await ask({ range: `bytes=${held.bytes}-`, 'if-range': held.version.ifRange });
  const { statusCode, headers } = response;
  const version = statusCode === 206 ? continueVersion(held, headers) : undefined;
  if (version) return { response, version, offset: held.bytes };
  if (statusCode !== 206 && statusCode !== 416) return asWhole(response);
  abandonResponse(response.body);
  return asWhole(await ask({}));
}

function asWhole(response: Dispatcher.ResponseData): Answer {
  const { statusCode, headers, body } = response;
  const encoding = headers['content-encoding'] ?? 'identity';
  if (statusCode === 200 && encoding === 'identity') return { response, version: readVersion(headers), offset: 0 };
  abandonResponse(body);
  if (statusCode === 200) throw new TransferFailure(`its host sends the file encoded (${String(encoding)}) although it was asked not to`, 'Download the model yourself and set "model_url" to its path.');
  throw statusFailure(statusCode, [headers['retry-after']].flat()[0]);
}

interface Reception {
  readonly request: FileRequest;
  readonly partial: PartialFile;
  readonly onChunk: (bytes: number) => void;
}

/** Writes an answer down, to the end of the file. */
async function receive({ response, version, offset }: Answer, { request, partial, onChunk }: Reception): Promise<FileVersion> {
  const { refuseSize, onBytes } = request;
  let { bytesMax, onHead } = request;
  let handle: FileHandle | undefined;
  const checkSize = (bytes: number): void => {
    if (bytes > bytesMax) throw refuseSize(bytes, bytesMax);
  };
  try {
    checkSize(version.bytes ?? 0);
    if (offset === 0) await partial.begin(version);
    handle = await partial.open();
    let position = offset;
    onBytes(position);
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      checkSize(position + chunk.length);
      await writeAt(handle, chunk, position);
      position += chunk.length;
      if (onHead && position >= HEAD_BYTES) {
        bytesMax = await onHead(await readHead(partial.path), version.bytes);
        onHead = undefined;
        checkSize(version.bytes ?? position);
      }
      onChunk(chunk.length);
      onBytes(position);
    }
    if (position !== (version.bytes ?? position)) throw brokenOff();
    await handle.sync();
    return version;
  } finally {
    abandonResponse(response.body);
    await handle?.close();
  }
}

async function writeAt(handle: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}
