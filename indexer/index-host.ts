/**
 * One shard of one lane of a model as the pod holds it: loads the lane's version from the store, follows it, and when that
 * is another (or on `reload`) loads it beside the one that is searched and swaps. The version is the live one, but while
 * the model is embedded again (`lane-versions.ts`). Versions never mix: what is
 * held of one is a `Shard` (`shard.ts`), and an answer is of one shard.
 */
import { EisError, isEisError } from '../common/errors.js';
import type { Readiness } from '../common/http.js';
import type { Lane } from '../common/lanes.js';
import { DEFAULT_LIMITS } from '../common/limits.js';
import { hasSlot } from '../common/slots.js';
import { laneVersions } from '../common/store/lane-versions.js';
import type { LiveVersion } from '../common/store/store.js';
import type { IndexGroup, IndexHit } from '../common/wire.js';
import type { CatalogEntry } from './catalog.js';
import type { ChangeKind } from './follower.js';
import { Shard, type GroupOptions, type ShardOptions, type ShardSearch } from './shard.js';

/** What happened, for whoever counts it. */
export interface HostObserver {
  changed(kind: ChangeKind): void;
  loaded(seconds: number): void;
  loadFailed(): void;
}

export interface IndexHostOptions extends Omit<ShardOptions, 'now'> {
  /** Default: main. */
  readonly lane?: Lane;
  readonly observer: HostObserver;
  /** The least time between two snapshots. */
  readonly snapshotEveryMs?: number;
  /** Called when memory may be given back: that of an index that was swapped out and closed, and what loading one left. */
  readonly reclaim?: () => void;
  /** ms since the epoch. */
  readonly now?: () => number;
}

export interface HostAnswer {
  /** Empty while no version is held. */
  readonly modelVersion: string;
  /** One list for each query. */
  readonly hits: IndexHit[][];
}

/** What a load came to. */
export interface Loaded {
  /** Empty when there is no version to hold. */
  readonly modelVersion: string;
  /** How many are held. */
  readonly vectors: number;
  readonly loadS: number;
}

export interface HostStats {
  readonly modelVersion: string;
  /** The version that is searched, as the store said it last; empty while none is known. */
  readonly liveVersion: string;
  readonly dim: number;
  readonly vectors: number;
  readonly memoryBytes: number;
  readonly loadedAt: number | undefined;
  /** Seconds since the pod last knew everything that the store knew; since it started, while it never did. */
  readonly freshnessS: number;
  /** Age of the oldest change that no snapshot holds; 0: every change is held, or no snapshots are kept. */
  readonly unsavedS: number;
}

export class IndexHost {
  readonly #options: Required<Omit<IndexHostOptions, 'snapshots'>> & Pick<IndexHostOptions, 'snapshots'>;
  readonly #closing = new AbortController();
  #held: Shard | undefined;
  #liveVersion = '';
  #loadedAt: number | undefined;
  #polling: Promise<void> | undefined;
  #loading: Promise<Loaded> | undefined;
  /** Of a load in the background; thrown by the next poll. */
  #loadFailure: { readonly error: unknown } | undefined;
  /** When the pod last knew everything that the store knew; at first, when it started. */
  #freshAt: number;
  #isReady = false;

  constructor(options: IndexHostOptions) {
    this.#options = { lane: 'main', now: Date.now, reclaim: () => undefined, snapshotEveryMs: DEFAULT_LIMITS.snapshotEveryMs, filterVerdictBytesMax: DEFAULT_LIMITS.filterVerdictBytesMax, ...options };
    this.#freshAt = this.#options.now();
  }

  /** Ready once its version is loaded, or it is known that there is none yet; a version that comes later loads beside. */
  readiness(): Readiness {
    if (this.#isReady) return { ready: true, detail: `${this.stats().vectors} vectors` };
    return { ready: false, detail: this.#loading ? `Loading the vectors of model ${this.#options.model}.` : 'Waiting for the store.' };
  }

  get dim(): number {
    return this.#held?.dim ?? 0;
  }

  /**
   * One step of following: looks which version its lane has, starts loading it when it is another, applies what changed in
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
   * Loads its version anew beside what is held, and swaps. Concurrent calls, and a load that is under way, are one.
   *
   * @throws what the store threw
   */
  reload(): Promise<Loaded> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /**
   * To be asked before anything else about a query, whose length may be wrong for no other reason.
   *
   * @param asked the version that it is of; undefined: not checked
   * @throws EisError EIS_MODEL_VERSION when another version is held
   */
  requireVersion(asked: string | undefined): void {
    const held = this.#held?.live.version;
    if (asked !== undefined && held !== undefined && asked !== held) throw new EisError('EIS_MODEL_VERSION', { held, asked });
  }

  /**
   * The best hits of each query with what is known of their images.
   *
   * @param modelVersion of the queries; undefined: not checked
   * @throws EisError EIS_MODEL_VERSION when another version is held, and what the index throws
   */
  async search(queries: readonly Float32Array[], options: ShardSearch & { readonly modelVersion?: string | undefined }): Promise<HostAnswer> {
    const shard = this.#held;
    if (!shard) return { modelVersion: '', hits: queries.map(() => []) };
    const { version } = shard.live;
    this.requireVersion(options.modelVersion);
    return { modelVersion: version, hits: await this.#watch(shard.search(queries, options)) };
  }

  /** What of each group of near-duplicates is in this shard. @param options of `Shard.group` */
  groups(canonicals: readonly string[], options: GroupOptions): { readonly modelVersion: string; readonly groups: IndexGroup[] } {
    const shard = this.#held;
    return { modelVersion: shard?.live.version ?? '', groups: shard ? canonicals.map((canonical) => shard.group(canonical, options)) : [] };
  }

  /**
   * The vector of an image of this shard, and what is known of the image.
   *
   * @throws EisError EIS_IMAGE_UNKNOWN
   */
  async vector(id: string): Promise<{ readonly modelVersion: string; readonly vector: Float32Array; readonly image: CatalogEntry }> {
    const shard = hasSlot(this.#options.slots, id) ? this.#held : undefined;
    const found = await (shard && this.#watch(shard.image(id)));
    if (!shard || !found) throw new EisError('EIS_IMAGE_UNKNOWN', { id });
    return { modelVersion: shard.live.version, ...found };
  }

  stats(): HostStats {
    return {
      modelVersion: this.#held?.live.version ?? '',
      liveVersion: this.#liveVersion,
      dim: this.dim,
      vectors: this.#held?.size ?? 0,
      memoryBytes: this.#held?.memoryBytes ?? 0,
      loadedAt: this.#loadedAt,
      freshnessS: Math.max(0, this.#options.now() - this.#freshAt) / 1000,
      unsavedS: this.#held?.unsavedS ?? 0,
    };
  }

  /** Stops a load, waits for the poll and the searches under way, and lets go of everything. Polls have to have stopped. */
  async close(): Promise<void> {
    this.#closing.abort(new EisError('EIS_NOT_READY', { detail: 'This index pod is closing.' }));
    await this.#polling?.catch(() => undefined);
    await this.whenLoaded();
    const shard = this.#held;
    this.#held = undefined;
    await shard?.close();
  }

  /** Resolves when no snapshot of what is held is being written. */
  async whenSaved(): Promise<void> {
    await this.#held?.whenSaved();
  }

  async #poll(): Promise<void> {
    const failure = this.#loadFailure;
    this.#loadFailure = undefined;
    if (failure) throw failure.error;
    const { now, snapshotEveryMs } = this.#options;
    const startedAt = now();
    const live = await this.#version();
    const isCurrent = !live || isSame(live, this.#held?.live);
    if (isCurrent) this.#isReady = true;
    else this.#reloadBeside();
    await (this.#held && this.#watch(this.#held.poll()));
    if (!isCurrent) return;
    this.#freshAt = startedAt;
    this.#held?.save({ everyMs: snapshotEveryMs });
  }

  /** What it is to hold now. */
  async #version(): Promise<LiveVersion | undefined> {
    const { store, model, lane } = this.#options;
    const { held, live } = await laneVersions(store, model, lane);
    this.#liveVersion = live?.version ?? '';
    return held;
  }

  #reloadBeside(): void {
    this.reload().catch((error: unknown) => (this.#loadFailure = { error }));
  }

  async #load(): Promise<Loaded> {
    const { log, observer, now } = this.#options;
    try {
      const live = await this.#version();
      if (!live) return { modelVersion: '', vectors: 0, loadS: 0 };
      const started = performance.now();
      const before = this.#held;
      const shard = await Shard.load(live, this.#options, { isFresh: before !== undefined, signal: this.#closing.signal });
      const loadS = (performance.now() - started) / 1000;
      this.#held = shard;
      this.#loadedAt = now();
      this.#freshAt = shard.freshAt;
      this.#isReady = true;
      observer.loaded(loadS);
      log.info({ version: live.version, vectors: shard.size, loadS, from: shard.isSaved ? 'snapshot' : 'store' }, 'loaded');
      await this.#polling?.catch(() => undefined); // what it reads may still go into the one before
      await before?.discard();
      this.#options.reclaim();
      return { modelVersion: live.version, vectors: shard.size, loadS };
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
        this.#reloadBeside();
      }
      throw error;
    }
  }
}

function isSame(live: LiveVersion, held: LiveVersion | undefined): boolean {
  return held !== undefined && live.version === held.version && live.dim === held.dim;
}
