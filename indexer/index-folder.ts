/** Where a pod keeps the local files of its indexes: in folders of its own, below the data folder. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EisError } from '../common/errors.js';

export interface IndexFolderOptions {
  readonly dataDir: string;
  readonly model: string;
  /** Counted from 0, of how many. */
  readonly shard: { readonly index: number; readonly of: number };
}

/**
 * Makes folders `<dataDir>/index/<model>.<i>of<n>.<pid>.<random>`: replicas on one machine do not meet. Those that a pod of
 * this shard left behind when it was killed are removed first.
 *
 * @returns makes one; it throws EisError EIS_INDEX_FILE
 */
export function createIndexFolders({ dataDir, model, shard }: IndexFolderOptions): () => string {
  const parent = join(dataDir, 'index');
  const prefix = `${model}.${shard.index}of${shard.of}.`;
  for (const name of foldersOf(parent)) {
    if (name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length).split('.')[0]))) rmSync(join(parent, name), { recursive: true, force: true });
  }
  return () => {
    try {
      mkdirSync(parent, { recursive: true });
      return mkdtempSync(join(parent, `${prefix}${process.pid}.`));
    } catch (error) {
      throw new EisError('EIS_INDEX_FILE', { path: parent, detail: (error as Error).message }, { cause: error });
    }
  };
}

function foldersOf(parent: string): string[] {
  try {
    return readdirSync(parent);
  } catch {
    return [];
  }
}

/** Whether another process has this number: in a container, what was left has our own. */
function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
