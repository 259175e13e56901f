/** Downloads from a server of the test's own into a folder of the test's own, with settings that make tests fast. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
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
  startProcess(options?: Partial<DownloadOptions>): ChildProcess;
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
    startProcess(changes = {}) {
      const child = fork(packagePath('test/functions/support/download-process.mjs'), [JSON.stringify({ ...options, ...changes })], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      return child;
    },
  };
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

/** Files of a downloaded model, by their paths in it. */
export async function readModel(main: string): Promise<Record<string, Buffer>> {
  const entries = await readdir(dirname(main), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(files.sort().map(async (file) => [file.slice(dirname(main).length + 1), await readFile(file)] as const)));
}
