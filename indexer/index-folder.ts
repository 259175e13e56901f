/** Where a pod keeps the local files of its indexes: in folders of its own, below the data folder. */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EisError } from '../common/errors.js';

export interface IndexFolderOptions {
  readonly dataDir: string;
  readonly model: string;
  /** Counted from 0, of how many. */
  readonly shard: { readonly index: number; readonly of: number };
}

/** The folders `<dataDir>/index/<model>.<i>of<n>.<pid>.<random>` of a pod: replicas on one machine do not meet. */
export class IndexFolders {
  readonly #parent: string;
  readonly #prefix: string;
  /** Of this process. */
  readonly #inUse = new Set<string>();

  constructor({ dataDir, model, shard }: IndexFolderOptions) {
    this.#parent = join(dataDir, 'index');
    this.#prefix = `${model}.${shard.index}of${shard.of}.`;
  }

  /** @throws EisError EIS_INDEX_FILE */
  create(): string {
    try {
      mkdirSync(this.#parent, { recursive: true });
      return this.#make();
    } catch (error) {
      throw new EisError('EIS_INDEX_FILE', { path: this.#parent, detail: (error as Error).message }, { cause: error });
    }
  }

  /** Takes over what pods of this shard left that do not live any more; of several that try at once, one gets a folder. */
  claimLeft(): string[] {
    return namesIn(this.#parent)
      .filter((name) => name.startsWith(this.#prefix) && !this.#inUse.has(join(this.#parent, name)) && !isAlive(Number(name.slice(this.#prefix.length).split('.')[0])))
      .flatMap((name) => {
        try {
          const claimed = this.#make();
          renameSync(join(this.#parent, name), claimed);
          return [claimed];
        } catch {
          return [];
        }
      });
  }

  /** A folder is not used any more. */
  release(folder: string): void {
    this.#inUse.delete(folder);
  }

  #make(): string {
    const folder = mkdtempSync(join(this.#parent, `${this.#prefix}${process.pid}.`));
    this.#inUse.add(folder);
    return folder;
  }
}

/** Nothing depends on it. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
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
