/** Keeps snapshots of a pod's shard in its local folders, and finds them at the next start. */
import type { Log } from '../common/log.js';
import type { SlotRange } from '../common/slots.js';
import type { LiveVersion } from '../common/store/store.js';
import { removeFolder, type IndexFolders } from './index-folder.js';
import { freezeShard, hasSnapshot, restoreShard, type FrozenShard, type RestoredShard, type ShardParts } from './shard-snapshot.js';
import type { SectionReader } from './snapshot-file.js';
import type { VectorIndex } from './vector-index.js';

/** Makes an index of what one like it saved in a folder. */
export type RestoreIndex = (options: { readonly live: LiveVersion; readonly folder: string }, contents: unknown, reader: SectionReader) => Promise<VectorIndex>;

export interface SnapshotKeeperOptions {
  readonly folders: IndexFolders;
  readonly model: string;
  readonly slots: SlotRange;
  readonly algorithm: string;
  readonly restoreIndex: RestoreIndex;
  readonly log: Log;
  /** ms since the epoch. */
  readonly now?: () => number;
}

export class SnapshotKeeper {
  readonly #options: Required<SnapshotKeeperOptions>;

  constructor(options: SnapshotKeeperOptions) {
    this.#options = { now: Date.now, ...options };
  }

  /**
   * The shard as a pod that is gone left it; undefined when none can be used, which the log says. What cannot be used
   * is removed.
   */
  async restore(live: LiveVersion): Promise<(RestoredShard & { readonly folder: string }) | undefined> {
    const { folders, restoreIndex, log, now } = this.#options;
    let found: (RestoredShard & { readonly folder: string }) | undefined;
    for (const folder of folders.claimLeft()) {
      try {
        if (!found && hasSnapshot(folder)) {
          found = { ...(await restoreShard(folder, this.#subject(live), { now: now(), restoreIndex: (contents, reader) => restoreIndex({ live, folder }, contents, reader) })), folder };
          continue;
        }
      } catch (error) {
        log.warn({ err: error, folder }, 'discarding a snapshot; the index is loaded from the store');
      }
      folders.release(folder);
      removeFolder(folder);
    }
    return found;
  }

  /** What was restored is not used after all: another attempt finds it again. */
  giveBack(folder: string): void {
    this.#options.folders.release(folder);
  }

  /** Holds a shard for saving: `freezeShard`. */
  freeze(live: LiveVersion, parts: ShardParts): FrozenShard | undefined {
    return freezeShard(this.#subject(live), parts);
  }

  #subject({ version, dim }: LiveVersion): Parameters<typeof freezeShard>[0] {
    const { model, slots, algorithm } = this.#options;
    return { model, version, dim, slots, algorithm };
  }
}
