/** What tests make exact indexes of: a folder for their files, and scans in this thread. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { rescore } from '../../indexer/rescore.js';
import { scan } from '../../indexer/scan.js';
import type { Scanner } from '../../indexer/scan-pool.js';
import { prepareStaged } from '../../indexer/staged-rows.js';

export function inlineScanner(threads = 1): Scanner {
  return { threads, scan: async (task) => scan(task), rescore: async (task) => rescore(task), prepare: async (staged) => prepareStaged(staged), close: async () => undefined };
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A new one; what an index that is not closed leaves there is removed after the tests. */
export function indexFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'eis-index-'));
  folders.push(folder);
  return folder;
}
