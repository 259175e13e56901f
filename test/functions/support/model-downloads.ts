/** Downloads from a server of the test's own into a folder of the test's own, with settings that make tests fast. */
import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { downloadModel, type DownloadOptions } from '../../../functions/models/download.js';
import { startModelServer, type ModelServer } from './model-server.js';
import { temporaryFolder } from './tiny-model.js';

export const FAST = {
  retry: { attemptsMax: 3, delayMs: 2, delayMaxMs: 10 },
  lock: { heartbeatMs: 20, deadAfterMs: 100, pollMs: 10 },
} satisfies Partial<DownloadOptions>;

export interface Downloads {
  readonly server: ModelServer;
  readonly folder: string;
  /** Of `/m/model.json`, unless told otherwise. */
  readonly options: DownloadOptions;
  download(options?: Partial<DownloadOptions>): Promise<string>;
  /** The same in a process of its own, compiled; it says its progress. */
  startProcess(options?: Partial<DownloadOptions>, environment?: Readonly<Record<string, string>>): ChildProcess;
}

export async function setUpDownloads(files: ModelServer['files']): Promise<Downloads> {
  const server = await startModelServer();
  const folder = await temporaryFolder();
  Object.assign(server.files, files);
  onTestFinished(async () => {
    server.close();
    await folder.remove();
  });
  const options: DownloadOptions = { url: `${server.base}/m/model.json`, sha256: undefined, folder: folder.path, ...FAST };
  return {
    server,
    folder: folder.path,
    options,
    download: (changes = {}) => downloadModel({ ...options, ...changes }),
    startProcess(changes = {}, environment = {}) {
      const child = fork(packagePath('test/functions/support/download-process.mjs'), [JSON.stringify({ ...options, ...changes })], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...process.env, ...environment } });
      onTestFinished(() => void child.kill('SIGKILL'));
      return child;
    },
  };
}

/** Resolves when a file that is coming into the folder is of so many bytes: what is on its way is lost when a connection is cut. */
export async function untilHeld(folder: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  await vi.waitFor(async () => {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const sizes = await Promise.all(entries.filter(({ parentPath }) => parentPath.endsWith('incoming')).map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
    if (!sizes.includes(bytes)) throw new Error(`${bytes} bytes did not come.`);
  }, { timeout: 10_000, interval: 2 });
}

/** How a process of `startProcess` ended: with the path of the model, or with an error. */
export async function outcomeOf(child: ChildProcess): Promise<{ readonly path?: string; readonly error?: string }> {
  let outcome = {};
  child.on('message', (message: { path?: string; error?: string }) => {
    if (message.path !== undefined || message.error !== undefined) outcome = message;
  });
  await once(child, 'exit');
  return outcome;
}

/** The sha256 of files. */
export function digests(files: Readonly<Record<string, Buffer>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, createHash('sha256').update(bytes).digest('hex')]));
}

/** The sha256 of a downloaded model's files, by their paths in it. */
export async function readModel(main: string): Promise<Record<string, string>> {
  const entries = await readdir(dirname(main), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return digests(Object.fromEntries(await Promise.all(files.map(async (file) => [relative(dirname(main), file), await readFile(file)] as const))));
}
