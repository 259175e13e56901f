/**
 * One version of a pod's shard, loaded: its vectors and what is known of their images, which follow the store together, and
 * are saved together for the pod's next start. Where one was saved it is loaded from there, else from the store.
 */
import type { Filter } from '../common/filter.js';
import { DEFAULT_LIMITS } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { SlotRange } from '../common/slots.js';
import type { LiveVersion, Store } from '../common/store/store.js';
import type { IndexGroup, IndexHit } from '../common/wire.js';
import { Catalog, type CatalogEntry } from './catalog.js';
import { FilterVerdicts } from './filter-verdicts.js';
import { Follower, type ChangeKind } from './follower.js';
import { searchGroups } from './group-search.js';
import type { FrozenShard, RestoredShard } from './shard-snapshot.js';
import type { SnapshotKeeper } from './snapshot-keeper.js';
import type { SearchOptions, VectorIndex } from './vector-index.js';

export interface ShardOptions {
  readonly model: string;
  readonly slots: SlotRange;
  readonly store: Store;
  /** A new, empty index for a version. */
  readonly createIndex: (live: LiveVersion) => VectorIndex;
  readonly log: Log;
  readonly observer: { changed(kind: ChangeKind): void };
  /** Keeps the shard for the pod's next start; undefined: it is loaded from the store each time. */
  readonly snapshots?: SnapshotKeeper | undefined;
  /** Memory for what filters of before say of each image. */
  readonly filterVerdictBytesMax?: number;
  /** ms since the epoch. */
  readonly now: () => number;
}

export interface ShardSearch extends Omit<SearchOptions, 'among'> {
  /** Only images whose metadata match: the top is the top of those. */
  readonly filter?: Filter | undefined;
  /** Whether of each group of near-duplicates only the best is answered. */
  readonly collapse?: boolean | undefined;
  /** Images that are passed over; with `collapse`, so that others of their groups are answered. */
  readonly without?: ReadonlySet<string> | undefined;
}

export interface GroupOptions {
  /** Members that are described. */
  readonly top: number;
  /** Images that are neither counted nor described. */
  readonly without: ReadonlySet<string>;
}

export class Shard {
  readonly live: LiveVersion;
  readonly #index: VectorIndex;
  readonly #catalog: Catalog;
  readonly #verdicts: FilterVerdicts;
  readonly #options: ShardOptions;
  readonly #follower: Follower;
  #freshAt = 0;
  #isSaved: boolean;
  /** What changed since it was saved. */
  #changes: number;
  /** ms since the epoch. */
  #savedAt: number;
  /** When the first change came that no snapshot holds, at the earliest; ms since the epoch. */
  #unsavedSince: number;
  #saving: Promise<void> | undefined;

  /** Empty, or as it was saved. */
  private constructor(live: LiveVersion, options: ShardOptions, restored: RestoredShard | undefined) {
    const { store, model, slots, createIndex, filterVerdictBytesMax = DEFAULT_LIMITS.filterVerdictBytesMax, now } = options;
    this.live = live;
    this.#index = restored?.index ?? createIndex(live);
    this.#catalog = restored?.catalog ?? new Catalog();
    this.#verdicts = new FilterVerdicts(this.#catalog, { bytesMax: filterVerdictBytesMax });
    this.#options = options;
    this.#isSaved = restored !== undefined;
    this.#changes = restored ? 0 : 1;
    this.#savedAt = restored ? now() : 0;
    this.#unsavedSince = now();
    this.#follower = new Follower({ collection: store.collection(model, live), slots, index: this.#index, catalog: this.#catalog, now, onChange: (kind, id) => this.#noteChange(kind, id) });
    if (restored) this.#follower.resume(restored.follower);
  }

  get dim(): number {
    return this.#index.dim;
  }

  /** How many images it has. */
  get size(): number {
    return this.#index.size;
  }

  get memoryBytes(): number {
    return this.#index.memoryBytes + this.#catalog.memoryBytes + this.#verdicts.memoryBytes;
  }

  /** When it last had all that the store had: when its last poll that succeeded began. ms since the epoch. */
  get freshAt(): number {
    return this.#freshAt;
  }

  /** Whether something was saved that the pod's next start may use. */
  get isSaved(): boolean {
    return this.#isSaved;
  }

  /** Age in seconds of the oldest change that no snapshot holds; 0: there is none, or no snapshots are kept. */
  get unsavedS(): number {
    return this.#options.snapshots && this.#changes > 0 ? Math.max(0, this.#options.now() - this.#unsavedSince) / 1000 : 0;
  }

  /**
   * Loads a version, with all that the store holds of it when this resolves.
   *
   * @param how.isFresh from the store, whatever was saved
   * @param how.signal stops it, with the signal's reason
   * @throws what the store, the index or the signal throws: then nothing of it is left, and what was saved stays saved
   */
  static async load(live: LiveVersion, options: ShardOptions, { isFresh, signal }: { readonly isFresh: boolean; readonly signal: AbortSignal }): Promise<Shard> {
    const { snapshots } = options;
    const restored = isFresh ? undefined : await snapshots?.restore(live);
    const shard = new Shard(live, options, restored);
    try {
      if (!restored) await shard.#follower.load(signal);
      await shard.poll(); // what was written while it loaded, or since it was saved
      signal.throwIfAborted();
      return shard;
    } catch (error) {
      await shard.#index.close({ isKept: restored !== undefined });
      if (restored) snapshots?.giveBack(restored.folder);
      throw error;
    }
  }

  /**
   * The best hits of each query with what is known of their images.
   *
   * @throws what `VectorIndex.search` throws
   */
  async search(queries: readonly Float32Array[], options: ShardSearch): Promise<IndexHit[][]> {
    const { filter, collapse, without, ...search } = options;
    const among = filter && (await this.#verdicts.hold(filter));
    try {
      const groupOf = collapse ? (id: string): string => this.#catalog.groupOf(id) : undefined;
      const found = await searchGroups(this.#index, queries, { ...search, without, groupOf, among });
      return found.map((hits) => hits.flatMap(({ id, score }) => this.#catalog.describe(id, score)));
    } finally {
      if (among) this.#verdicts.release(among);
    }
  }

  /** How many images of a group are here, and what is known of the first ones, by id. */
  group(canonical: string, { top, without }: GroupOptions): IndexGroup {
    const ids = [...this.#catalog.membersOf(canonical)].filter((id) => !without.has(id)).sort();
    return { canonical, count: ids.length, members: ids.slice(0, top).flatMap((id) => this.#catalog.describe(id, 0).map(({ url, urls, width, height }) => ({ id, url, urls, width, height }))) };
  }

  /**
   * The vector of an image, and what is known of the image; undefined for one that it does not have.
   *
   * @throws what `VectorIndex.vector` throws
   */
  async image(id: string): Promise<{ readonly vector: Float32Array; readonly image: CatalogEntry } | undefined> {
    const vector = await this.#index.vector(id);
    const image = this.#catalog.get(id);
    return vector && image && { vector, image };
  }

  /**
   * Applies what changed in the store: `Follower.poll`.
   *
   * @throws what the store or the index throws
   */
  async poll(): Promise<void> {
    const startedAt = this.#options.now();
    await this.#follower.poll();
    this.#freshAt = startedAt;
  }

  /** Holds it as it is now, between two polls, and saves that beside what goes on; if something changed, and the last time is so long ago. */
  save({ everyMs }: { readonly everyMs: number }): void {
    const { snapshots, now } = this.#options;
    if (this.#changes === 0 || this.#saving || now() - this.#savedAt < everyMs) return;
    const frozen = snapshots?.freeze(this.live, { index: this.#index, catalog: this.#catalog, follower: this.#follower, freshAt: this.#freshAt });
    if (!frozen) return;
    this.#savedAt = now();
    this.#saving = this.#write(frozen).finally(() => {
      this.#saving = undefined;
    });
  }

  /** Resolves when it is not being saved. */
  async whenSaved(): Promise<void> {
    await this.#saving;
  }

  /** Saves what changed, and lets go of all but what was saved. Polls have to have stopped. */
  async close(): Promise<void> {
    await this.whenSaved();
    this.save({ everyMs: 0 });
    await this.whenSaved();
    await this.#index.close({ isKept: this.#isSaved });
  }

  /** Lets go of it and of what was saved. Polls have to have stopped. */
  async discard(): Promise<void> {
    await this.whenSaved();
    await this.#index.close();
  }

  async #write(frozen: FrozenShard): Promise<void> {
    const [changes, frozenAt] = [this.#changes, this.#savedAt];
    try {
      await frozen.save();
      this.#isSaved = true;
      this.#changes -= changes;
      this.#unsavedSince = frozenAt;
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the snapshot could not be written; the next start loads from the store');
    }
  }

  #noteChange(kind: ChangeKind, id: string): void {
    this.#options.observer.changed(kind);
    if (this.#changes === 0) this.#unsavedSince = this.#options.now();
    this.#changes++;
    if (kind === 'refused') this.#options.log.warn({ id, version: this.live.version }, 'the store holds a vector that does not fit its collection');
  }
}
