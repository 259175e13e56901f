/**
 * One shard of one model as the pod holds it: loads the live version from the store, follows it, and when another
 * version goes live (or on `reload`) loads that beside the one that is searched and swaps. Versions never mix: index,
 * catalog and follower of a version are one `Shard`, and a search sees one shard.
 */
import { EisError, isEisError } from '../common/errors.js';
import { DEFAULT_LIMITS } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { Readiness } from '../common/http.js';
import { hasSlot, type SlotRange } from '../common/slots.js';
import type { LiveVersion, Store } from '../common/store/store.js';
import type { IndexHit } from '../common/wire.js';
import { Catalog, type CatalogEntry } from './catalog.js';
import { Follower, type ChangeKind } from './follower.js';
import type { SnapshotKeeper } from './snapshot-keeper.js';
import type { SearchOptions, VectorIndex } from './vector-index.js';

/** What happened, for whoever counts it. */
export interface HostObserver {
  changed(kind: ChangeKind): void;
  loaded(seconds: number): void;
  loadFailed(): void;
}

export interface IndexHostOptions {
  readonly model: string;
  readonly slots: SlotRange;
  readonly store: Store;
  /** A new, empty index for a version. */
  readonly createIndex: (live: LiveVersion) => VectorIndex;
  readonly log: Log;
  readonly observer: HostObserver;
  /** Keeps the shard for the pod's next start; undefined: it is loaded from the store each time. */
  readonly snapshots?: SnapshotKeeper | undefined;
  /** The least time between two of them. */
  readonly snapshotEveryMs?: number;
  /** Called when memory may be given back: that of an index that was swapped out and closed, and what loading one left. */
  readonly reclaim?: () => void;
  /** ms since the epoch. */
  readonly now?: () => number;
}

/** One version of the model, loaded. */
interface Shard {
  readonly live: LiveVersion;
  readonly index: VectorIndex;
  readonly catalog: Catalog;
  readonly follower: Follower;
  readonly loadedAt: number;
  /** When it last held all that the store held: when its first poll began. */
  readonly freshAt: number;
  readonly loadS: number;
  readonly kept: {
    /** Whether something was saved that a next start may use. */
    isSaved: boolean;
    /** What changed since. */
    changes: number;
    /** ms since the epoch. */
    savedAt: number;
  };
}

export interface HostAnswer {
  /** Empty while no version is held. */
  readonly modelVersion: string;
  /** One list for each query. */
  readonly hits: IndexHit[][];
}

export interface HostStats {
  readonly modelVersion: string;
  readonly dim: number;
  readonly vectors: number;
  readonly memoryBytes: number;
  readonly loadedAt: number | undefined;
  /** Seconds since the pod last knew everything that the store knew; since it started, while it never did. */
  readonly freshnessS: number;
}

export class IndexHost {
  readonly #options: Required<Omit<IndexHostOptions, 'snapshots'>> & Pick<IndexHostOptions, 'snapshots'>;
  readonly #closing = new AbortController();
  readonly #startedAt: number;
  #held: Shard | undefined;
  #polling: Promise<void> | undefined;
  #loading: Promise<Shard | undefined> | undefined;
  /** Of a load in the background; thrown by the next poll. */
  #loadFailure: { readonly error: unknown } | undefined;
  #freshAt: number | undefined;
  #isReady = false;
  #saving: Promise<void> | undefined;

  constructor(options: IndexHostOptions) {
    this.#options = { now: Date.now, reclaim: () => undefined, snapshotEveryMs: DEFAULT_LIMITS.snapshotEveryMs, ...options };
    this.#startedAt = this.#options.now();
  }

  /** Ready once the live version is loaded, or it is known that there is none yet; a version that comes later loads beside. */
  readiness(): Readiness {
    if (this.#isReady) return { ready: true, detail: `${this.stats().vectors} vectors` };
    return { ready: false, detail: this.#loading ? `Loading the vectors of model ${this.#options.model}.` : 'Waiting for the store.' };
  }

  get dim(): number {
    return this.#held?.index.dim ?? 0;
  }

  /**
   * One step of following: looks which version is live, starts loading it when it is another, applies what changed in
   * the one that is held. Calls share a step that is under way.
   *
   * @throws what the store threw, also while loading in the background
   */
  poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  /** Resolves when no load is under way. */
  async whenLoaded(): Promise<void> {
    await this.#loading?.catch(() => undefined);
  }

  /**
   * Loads the live version anew beside what is held, and swaps. Concurrent calls, and a load that is under way, are one.
   *
   * @returns how many vectors are held now, and how long loading took
   */
  async reload(): Promise<{ readonly modelVersion: string; readonly vectors: number; readonly loadS: number }> {
    const shard = await this.#load();
    return { modelVersion: shard?.live.version ?? '', vectors: shard?.index.size ?? 0, loadS: shard?.loadS ?? 0 };
  }

  /**
   * The best hits of each query with what is known of their images.
   *
   * @param modelVersion of the queries; undefined: not checked
   * @throws EisError EIS_MODEL_VERSION when another version is held, and what the index throws
   */
  async search(queries: readonly Float32Array[], options: SearchOptions & { readonly modelVersion?: string | undefined }): Promise<HostAnswer> {
    const shard = this.#held;
    if (!shard) return { modelVersion: '', hits: queries.map(() => []) };
    const { version } = shard.live;
    if (options.modelVersion !== undefined && options.modelVersion !== version) throw new EisError('EIS_MODEL_VERSION', { held: version, asked: options.modelVersion });
    const found = await this.#watch(shard.index.search(queries, options));
    return { modelVersion: version, hits: found.map((hits) => hits.flatMap(({ id, score }) => shard.catalog.describe(id, score))) };
  }

  /**
   * The vector of an image of this shard, and what is known of the image.
   *
   * @throws EisError EIS_IMAGE_UNKNOWN
   */
  async vector(id: string): Promise<{ readonly modelVersion: string; readonly vector: Float32Array; readonly image: CatalogEntry }> {
    const shard = hasSlot(this.#options.slots, id) ? this.#held : undefined;
    const vector = await (shard && this.#watch(shard.index.vector(id)));
    const image = shard?.catalog.get(id);
    if (!shard || !vector || !image) throw new EisError('EIS_IMAGE_UNKNOWN', { id });
    return { modelVersion: shard.live.version, vector, image };
  }

  stats(): HostStats {
    return {
      modelVersion: this.#held?.live.version ?? '',
      dim: this.dim,
      vectors: this.#held?.index.size ?? 0,
      memoryBytes: (this.#held?.index.memoryBytes ?? 0) + (this.#held?.catalog.memoryBytes ?? 0),
      loadedAt: this.#held?.loadedAt,
      freshnessS: Math.max(0, this.#options.now() - (this.#freshAt ?? this.#startedAt)) / 1000,
    };
  }

  /** Stops a load, waits for the poll and the searches under way, and lets go of everything. Polls have to have stopped. */
  async close(): Promise<void> {
    this.#closing.abort(new EisError('EIS_NOT_READY', { detail: 'This index pod is closing.' }));
    await this.#polling?.catch(() => undefined);
    await this.whenLoaded();
    await this.whenSaved();
    const shard = this.#held;
    this.#held = undefined;
    if (!shard) return;
    if (shard.kept.changes > 0) this.#save(shard);
    await this.whenSaved();
    await shard.index.close({ isKept: shard.kept.isSaved });
  }

  /** Resolves when no snapshot is being written. */
  async whenSaved(): Promise<void> {
    await this.#saving;
  }

  async #poll(): Promise<void> {
    this.#throwLoadFailure();
    const { store, model, now } = this.#options;
    const startedAt = now();
    const live = await store.liveVersion(model);
    const isCurrent = !live || isSame(live, this.#held?.live);
    if (isCurrent) this.#isReady = true;
    else this.#load().catch((error: unknown) => (this.#loadFailure = { error }));
    await (this.#held && this.#watch(this.#held.follower.poll()));
    if (!isCurrent) return;
    this.#freshAt = startedAt;
    const shard = this.#held;
    if (shard && shard.kept.changes > 0 && !this.#saving && startedAt - shard.kept.savedAt >= this.#options.snapshotEveryMs) this.#save(shard);
  }

  /** Holds a shard as it is now, and saves that beside what goes on. */
  #save({ live, index, catalog, follower, kept }: Shard): void {
    const { snapshots, log, now } = this.#options;
    const changes = kept.changes;
    const frozen = snapshots?.freeze(live, { index, catalog, follower, freshAt: this.#freshAt ?? 0 });
    if (!frozen) return;
    kept.savedAt = now();
    this.#saving = frozen
      .save()
      .then(() => {
        kept.isSaved = true;
        kept.changes -= changes;
      })
      .catch((error: unknown) => log.warn({ err: error }, 'the snapshot could not be written; the next start loads from the store'))
      .finally(() => {
        this.#saving = undefined;
      });
  }

  #throwLoadFailure(): void {
    const failure = this.#loadFailure;
    this.#loadFailure = undefined;
    if (failure) throw failure.error;
  }

  #load(): Promise<Shard | undefined> {
    this.#loading ??= this.#loadLive().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #loadLive(): Promise<Shard | undefined> {
    const { store, model, log, observer } = this.#options;
    try {
      const live = await store.liveVersion(model);
      if (!live) return undefined;
      const shard = await this.#loadShard(live);
      const before = this.#held;
      this.#held = shard;
      this.#freshAt = shard.freshAt;
      this.#isReady = true;
      observer.loaded(shard.loadS);
      log.info({ version: live.version, vectors: shard.index.size, loadS: shard.loadS, from: shard.kept.isSaved ? 'snapshot' : 'store' }, 'loaded');
      if (before) await this.#letGo(before);
      this.#options.reclaim();
      return shard;
    } catch (error) {
      observer.loadFailed();
      throw error;
    }
  }

  /** What an index answers or takes in; one that finds itself damaged is loaded anew. */
  async #watch<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (isEisError(error) && error.code === 'EIS_INDEX_DAMAGED' && !this.#loading) {
        this.#options.log.error({ err: error }, 'the index is damaged: loading it anew');
        this.#load().catch((failure: unknown) => (this.#loadFailure = { error: failure }));
      }
      throw error;
    }
  }

  async #letGo({ index }: Shard): Promise<void> {
    await this.whenSaved();
    await index.close();
  }

  async #loadShard(live: LiveVersion): Promise<Shard> {
    const { store, model, slots, createIndex, snapshots, observer, log, now } = this.#options;
    const started = performance.now();
    const restored = this.#held ? undefined : await snapshots?.restore(live);
    const { index, catalog } = restored ?? { index: createIndex(live), catalog: new Catalog() };
    const kept = { isSaved: restored !== undefined, changes: restored ? 0 : 1, savedAt: restored ? now() : 0 };
    const onChange = (kind: ChangeKind, id: string): void => {
      observer.changed(kind);
      kept.changes++;
      if (kind === 'refused') log.warn({ id, version: live.version }, 'the store holds a vector that does not fit its collection');
    };
    const follower = new Follower({ collection: store.collection(model, live), slots, index, catalog, now, onChange });
    try {
      if (restored) follower.resume(restored.follower);
      else await follower.load(this.#closing.signal);
      const freshAt = now();
      await follower.poll(); // what was written while it loaded, or since it was saved
      this.#closing.signal.throwIfAborted();
      return { live, index, catalog, follower, loadedAt: now(), freshAt, loadS: (performance.now() - started) / 1000, kept };
    } catch (error) {
      await index.close({ isKept: restored !== undefined });
      if (restored) snapshots?.giveBack(restored.folder);
      throw error;
    }
  }
}

function isSame(live: LiveVersion, held: LiveVersion | undefined): boolean {
  return held !== undefined && live.version === held.version && live.dim === held.dim;
}
