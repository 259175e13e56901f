/**
 * Downloads models, once. A model lies in a folder named after its URL; it is filled under another name and renamed when
 * whole, so that there is never half a model. One process at a time fills it, under a lock; whoever wants the same model
 * waits. What an interrupted download brought stays, and the next one goes on from there.
 */
import { createHash } from 'node:crypto';
import { access, mkdir, rename, rm, rmdir, utimes } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { publicObjectUrl } from '../../common/cloud-storage.js';
import type { ProxySettings } from '../../common/environment.js';
import { EisError, isEisError } from '../../common/errors.js';
import { inspectCached } from './download-cached.js';
import { TransferFailure, diskFailure, displayAddress, displayUrl } from './download-failure.js';
import type { RetrySettings, SlowSettings, Transfer } from './download-file.js';
import { createModelHttp, decode } from './download-http.js';
import { removeLeftovers } from './download-leftovers.js';
import { LOCK_TIMING, Locker, type Lock, type LockTiming } from './download-lock.js';
import { fetchModel, measureUnfinished } from './download-model.js';
import { ProgressReport, folderBytes, type DownloadProgress, type DownloadRetry, type OnRetry } from './download-progress.js';

export type { DownloadProgress, DownloadRetry };

export interface DownloadOptions {
  /** http(s):// or gs://, of a model.json or its folder, or of a .keras or .h5 file. Chosen by the operator, so any host will do. */
  readonly url: string;
  /** Of the file that the URL names. */
  readonly sha256: string | undefined;
  /** Where models are kept. */
  readonly folder: string;
  /** From the environment. Default: none. */
  readonly proxy?: ProxySettings | undefined;
  /** Told how far it is, at most ten times a second, and once more at the end. Not told of a model that is there already. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Told why a file is tried again, before it is. */
  readonly onRetry?: OnRetry | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of the whole model. */
  readonly bytesMax?: number;
  /** For the whole model, from now on. */
  readonly timeoutMs?: number;
  /** For an attempt without a byte. */
  readonly stallMs?: number;
  /** For an attempt that brings next to nothing. */
  readonly slow?: SlowSettings;
  readonly retry?: Partial<RetrySettings>;
  /** CIDR ranges that redirects to other hosts may lead to although they are not public. */
  readonly redirectAllow?: readonly string[];
  readonly lock?: LockTiming & { readonly pollMs: number };
}

const MODEL_BYTES_MAX = 2 * 1024 ** 3;
/** The largest model at 100 kB/s. What makes no progress is given up long before. */
const DOWNLOAD_TIMEOUT_MS = 6 * 3_600_000;
const STALL_MS = 30_000;
const SLOW: SlowSettings = { bytesPerSecondMin: 1_000, windowMs: 60_000 };
const RETRY: RetrySettings = { attemptsMax: 6, delayMs: 500, delayMaxMs: 30_000, retryAfterMaxMs: 300_000 };
const POLL_MS = 250;

type ModelKey = Pick<DownloadOptions, 'url' | 'sha256' | 'folder'>;

/**
 * The path of a model's main file, downloaded with its weights unless it has been before. A model that was damaged since,
 * as the sizes of its files tell, is downloaded again and takes the place of the damaged one when it is whole.
 *
 * @throws EisError EIS_MODEL_DOWNLOAD when it cannot be fetched whole, within bytes and time; EIS_MODEL_FILE when what
 *   came is not the file that `sha256` means, is not a model, does not fit together, or names weights outside its
 *   folder; the signal's reason when it aborts
 */
export async function downloadModel(options: DownloadOptions): Promise<string> {
  const place = placeOf(options);
  const here = await inspectCached(place.target, place.sha256);
  if (here.state === 'whole') {
    await tidyUp(place);
    return here.main;
  }
  options.signal?.throwIfAborted();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.timeoutMs ?? DOWNLOAD_TIMEOUT_MS);
  try {
    await mkdir(options.folder, { recursive: true });
    await downloadInTurn(options, place, options.signal ? AbortSignal.any([options.signal, deadline.signal]) : deadline.signal);
    return (await inspectCached(place.target, undefined)).main;
  } catch (thrown) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (deadline.signal.aborted) throw tooLate(options, place);
    if (isEisError(thrown)) throw thrown;
    const failure = thrown instanceof TransferFailure ? thrown : diskFailure(thrown, options.folder);
    throw failure?.toError(place.name) ?? thrown;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The path of a model's main file and the bytes of all its files, if it has been downloaded; `isDamaged` when they are not
 * what was downloaded, and would be again. Never touches the network.
 *
 * @throws EisError EIS_MODEL_DOWNLOAD, EIS_MODEL_FILE when the URL is not one that models are downloaded from
 */
export async function findDownloaded(options: ModelKey): Promise<{ readonly path: string; readonly bytes: number; readonly isDamaged: boolean } | undefined> {
  const { target, sha256 } = placeOf(options);
  const { state, main } = await inspectCached(target, sha256);
  return state === 'absent' ? undefined : { path: main, bytes: await folderBytes(target), isDamaged: state === 'damaged' };
}

// ── Where it comes from, where it goes ──────────────────────────────────────────────────────────────────────────────

interface Place {
  readonly url: URL;
  /** The URL as errors name it. */
  readonly name: string;
  readonly sha256: string | undefined;
  readonly key: string;
  readonly target: string;
  readonly unfinished: string;
  readonly lock: string;
}

function placeOf({ url: text, sha256, folder }: ModelKey): Place {
  const url = mainFileUrl(text);
  const key = createHash('sha256').update(`${url.href}\n${sha256 ?? ''}`).digest('hex').slice(0, 32);
  const target = join(folder, key);
  return { url, name: displayUrl(new URL(text)), sha256, key, target, unfinished: `${target}.part`, lock: `${target}.lock` };
}

/** Whatever else an address ends in is a folder. */
const FILE_NAME = /\.(json|keras|h5|hdf5)$/i;

/** The https:// URL of the file itself. */
function mainFileUrl(text: string): URL {
  if (!URL.canParse(text)) throw new EisError('EIS_MODEL_DOWNLOAD', { url: displayAddress(text), detail: 'it is not a URL.' });
  const given = new URL(text);
  const url = given.protocol === 'gs:' ? new URL(publicObjectUrl(given.host, decode(given.pathname.slice(1)))) : given;
  if ((url.protocol !== 'https:' && url.protocol !== 'http:') || given.host === '') throw new EisError('EIS_MODEL_DOWNLOAD', { url: displayUrl(given), detail: 'models come from http://, https:// or gs:// URLs, or from paths.' });
  if (!FILE_NAME.test(url.pathname)) url.pathname = `${url.pathname.replace(/\/+$/, '')}/model.json`;
  return url;
}

function tooLate({ timeoutMs = DOWNLOAD_TIMEOUT_MS }: DownloadOptions, { name }: Place): EisError {
  return new EisError('EIS_MODEL_DOWNLOAD', { url: name, detail: `it took too long: it was not whole after ${timeoutMs / 1_000} s. Check the network. What has come so far is kept: start again, and it goes on from there.` });
}

async function isWhole({ target, sha256 }: Place): Promise<boolean> {
  return (await inspectCached(target, sha256)).state === 'whole';
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}

// ── Downloading ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Downloads the model, or waits until somebody else has, or cannot. */
async function downloadInTurn(options: DownloadOptions, place: Place, signal: AbortSignal): Promise<void> {
  const locker = new Locker(options.lock ?? LOCK_TIMING);
  let hasWaited = false;
  while (!(await isWhole(place))) {
    signal.throwIfAborted();
    const lock = await locker.tryLock(place.lock);
    if (!lock) {
      hasWaited = true;
      options.onProgress?.(await measureUnfinished(place.unfinished));
      await sleep(options.lock?.pollMs ?? POLL_MS, undefined, { signal });
      continue;
    }
    try {
      if (await isWhole(place)) continue;
      hasWaited = false;
      await removeLeftovers(options.folder, { locker, except: place.key });
      if (await downloadLocked(options, place, { lock, signal: AbortSignal.any([signal, lock.lost]) })) return;
    } catch (thrown) {
      if (!lock.lost.aborted) throw thrown;
    } finally {
      await lock.release();
    }
  }
  if (!hasWaited) return;
  await tidyUp(place);
  const bytes = await folderBytes(place.target);
  options.onProgress?.({ file: posix.basename(place.url.pathname), receivedBytes: bytes, totalBytes: bytes });
}

interface Turn {
  readonly lock: Lock;
  readonly signal: AbortSignal;
}

/** Downloads the model and puts it in its place; false when the lock was lost over it, and the place is another's to fill. */
async function downloadLocked(options: DownloadOptions, place: Place, { lock, signal }: Turn): Promise<boolean> {
  const { target, unfinished, url, name } = place;
  const http = createModelHttp({ first: url, proxy: options.proxy, redirectAllow: options.redirectAllow ?? [] });
  const transfer: Transfer = { http, signal, stallMs: options.stallMs ?? STALL_MS, slow: options.slow ?? SLOW, onRetry: options.onRetry, retry: { ...RETRY, ...options.retry }, folder: options.folder };
  try {
    await mkdir(unfinished, { recursive: true });
    await utimes(unfinished, new Date(), new Date());
    const model = await fetchModel({ url, name, sha256: options.sha256, unfinished, bytesMax: options.bytesMax ?? MODEL_BYTES_MAX, transfer, progress: new ProgressReport(options.onProgress) });
    if (!(await lock.isHeld())) return false;
    await replace(target, model, join(unfinished, 'replaced'));
    await rm(unfinished, { recursive: true, force: true });
    return true;
  } catch (thrown) {
    if (isUseless(thrown)) await rm(unfinished, { recursive: true, force: true });
    throw thrown;
  } finally {
    await http.close();
    await removeIfEmpty(join(unfinished, 'incoming'), unfinished);
  }
}

/** Puts a model in its place. A damaged one is moved away, not emptied first: whoever has its files open reads on. */
async function replace(target: string, model: string, aside: string): Promise<void> {
  await rm(aside, { recursive: true, force: true });
  if (await exists(target)) await rename(target, aside);
  await rename(model, target);
}

/** Removes what a process left that was killed after the model was in its place. Of no importance: the folder may not even be writable. */
async function tidyUp({ unfinished, lock: path }: Place): Promise<void> {
  if (!(await exists(unfinished)) && !(await exists(path))) return;
  try {
    const lock = await new Locker(LOCK_TIMING).tryLock(path);
    if (!lock) return;
    await rm(unfinished, { recursive: true, force: true });
    await lock.release();
  } catch {
    return;
  }
}

/** Whether an error means that what came cannot become the model, rather than that there is more to come. */
function isUseless(thrown: unknown): boolean {
  const failure = isEisError(thrown) ? thrown.cause : thrown;
  return (isEisError(thrown) && thrown.code === 'EIS_MODEL_FILE') || (failure instanceof TransferFailure && failure.isUseless);
}

async function removeIfEmpty(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rmdir(folder).catch(() => undefined);
}
