/** Tells how far a download is, not too often. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface DownloadProgress {
  /** The file that is under way, as the model names it. */
  readonly file: string;
  /** Of the whole model, what earlier attempts brought included. */
  readonly receivedBytes: number;
  /** Of the whole model, once known. */
  readonly totalBytes: number | undefined;
  /** Another process fetches it, and this one waits. */
  readonly isElsewhere?: boolean;
}

/** A file is about to be tried again. */
export interface DownloadRetry {
  /** As the model names it. */
  readonly file: string;
  /** Why the last attempt failed: a clause without a full stop. */
  readonly reason: string;
  /** The one to come, counted from 1 in a row of those that brought nothing. */
  readonly attempt: number;
  readonly attemptsMax: number;
  readonly waitMs: number;
}

export type OnProgress = (progress: DownloadProgress) => void;
export type OnRetry = (retry: DownloadRetry) => void;

const INTERVAL_MS = 100;

export class ProgressReport {
  readonly #onProgress: OnProgress | undefined;
  #saidMs = -Infinity;
  #totalBytes: number | undefined;
  #wholeBytes = 0;
  #file = '';

  constructor(onProgress: OnProgress | undefined) {
    this.#onProgress = onProgress;
  }

  /** The size of the model is known, and how much of it is here in whole files. */
  begin(totalBytes: number, wholeBytes: number): void {
    this.#totalBytes = totalBytes;
    this.#wholeBytes = wholeBytes;
  }

  /** So much of a file is here. */
  update(file: string, bytes: number): void {
    this.#file = file;
    if (performance.now() - this.#saidMs >= INTERVAL_MS) this.#say(this.#wholeBytes + bytes);
  }

  /** A file is whole. */
  add(bytes: number): void {
    this.#wholeBytes += bytes;
  }

  /** The model is whole: said whenever the last word was. */
  end(): void {
    this.#say(this.#wholeBytes);
  }

  #say(receivedBytes: number): void {
    this.#saidMs = performance.now();
    this.#onProgress?.({ file: this.#file, receivedBytes, totalBytes: this.#totalBytes });
  }
}

/** The bytes of all files in a folder and below it; 0 when there is none. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries.filter((entry) => entry.isFile()).map((entry) => fileBytes(join(entry.parentPath, entry.name)));
  return (await Promise.all(sizes)).reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
}

/** The size of a file; undefined when there is none. */
export async function fileBytes(path: string): Promise<number | undefined> {
  return stat(path).then(({ size }) => size, () => undefined);
}
