/**
 * What a pod keeps of a shard for its next start: the index, what is known of its images, and where the follower was, of
 * one moment. It is a cache: whatever is wrong with it, the store has everything.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EisError } from '../common/errors.js';
import type { SlotRange } from '../common/slots.js';
import type { LiveVersion } from '../common/store/store.js';
import { Catalog } from './catalog.js';
import type { FollowerState } from './follower.js';
import { readSnapshotFile, writeSnapshotFile, type SectionReader } from './snapshot-file.js';
import type { VectorIndex } from './vector-index.js';

/** A new one whenever what is written changes. */
const FORMAT = 5;

/** Tombstones are kept for 30 days: whoever was away for longer might miss that an image was removed. */
export const SNAPSHOT_AGE_MAX_MS = 29 * 24 * 60 * 60 * 1000;

/** What a snapshot is of: another shard, model, version or algorithm can do nothing with it. */
export interface SnapshotSubject extends LiveVersion {
  readonly model: string;
  readonly slots: SlotRange;
  readonly algorithm: string;
}

interface Contents {
  readonly format: number;
  /** Numbers lie in the file as they do in memory. */
  readonly isLittleEndian: boolean;
  readonly subject: SnapshotSubject;
  /** When the shard was known to have all that the store had: ms since the epoch. */
  readonly freshAt: number;
  readonly follower: FollowerState;
  /** Its sections come first, the index's follow. */
  readonly catalog: unknown;
  readonly index: unknown;
}

export interface FrozenShard {
  /**
   * Writes it beside what was saved before, and takes its place. To be called once.
   *
   * @throws what the disk throws: then what was saved before still is
   */
  save(): Promise<void>;
}

/** A shard between two polls of its follower. */
export interface ShardParts {
  readonly index: VectorIndex;
  readonly catalog: Catalog;
  readonly follower: { state(): FollowerState };
  readonly freshAt: number;
}

/**
 * Holds a shard as it is, between two polls of its follower; writing it does not hold those up.
 *
 * @returns undefined for an index that cannot be saved
 */
export function freezeShard(subject: SnapshotSubject, { index, catalog, follower, freshAt }: ShardParts): FrozenShard | undefined {
  const frozen = index.freeze?.();
  if (!frozen) return undefined;
  const state = follower.state();
  const frozenCatalog = catalog.freeze();
  return {
    async save() {
      let isSaved = false;
      try {
        await writeSnapshotFile(snapshotPath(frozen.folder), async (writer) => {
          const contents = { format: FORMAT, isLittleEndian: isLittleEndian(), subject, freshAt, follower: state, catalog: await frozenCatalog.write(writer) };
          return { ...contents, index: await frozen.write(writer) } satisfies Contents;
        });
        isSaved = true;
      } finally {
        frozenCatalog.end();
        frozen.end(isSaved);
      }
    },
  };
}

export interface RestoredShard {
  readonly index: VectorIndex;
  readonly catalog: Catalog;
  readonly follower: FollowerState;
}

/**
 * The shard that was saved in a folder.
 *
 * @param restoreIndex makes the index, in that folder
 * @throws EisError EIS_SNAPSHOT_INVALID, with what is wrong with it; what the disk throws
 */
export async function restoreShard(folder: string, subject: SnapshotSubject, { now, restoreIndex }: { readonly now: number; readonly restoreIndex: (contents: unknown, reader: SectionReader) => Promise<VectorIndex> }): Promise<RestoredShard> {
  return readSnapshotFile(snapshotPath(folder), async (said, reader) => {
    const contents = said as Contents;
    checkContents(contents, subject, now);
    const catalog = await Catalog.restore(contents.catalog, reader);
    const index = await restoreIndex(contents.index, reader);
    if (index.size === catalog.size) return { index, catalog, follower: contents.follower };
    await index.close();
    throw invalid(`it has ${index.size} vectors for ${catalog.size} images.`);
  });
}

/** Whether a folder has a snapshot, sound or not. */
export function hasSnapshot(folder: string): boolean {
  return existsSync(snapshotPath(folder));
}

function checkContents({ format, isLittleEndian: isLittle, subject: found, freshAt }: Contents, subject: SnapshotSubject, now: number): void {
  if (format !== FORMAT || isLittle !== isLittleEndian()) throw invalid('it was written by another release, or on another kind of machine.');
  for (const key of ['model', 'version', 'dim', 'algorithm'] as const) if (found[key] !== subject[key]) throw invalid(`it is of the ${key} ${found[key]}, not ${subject[key]}.`);
  if (JSON.stringify(found.slots) !== JSON.stringify(subject.slots)) throw invalid('it is of another shard.');
  if (now - freshAt > SNAPSHOT_AGE_MAX_MS) throw invalid('it is older than removals are remembered for.');
}

function snapshotPath(folder: string): string {
  return join(folder, 'snapshot');
}

function isLittleEndian(): boolean {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
}

function invalid(detail: string): EisError {
  return new EisError('EIS_SNAPSHOT_INVALID', { detail });
}
