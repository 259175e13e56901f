/**
 * `kd_tree`: exact search by branch and bound over a k-d tree (`kd-tree.ts`, `kd-search.ts`). Its answers equal those of
 * a float64 scan, ties included.
 *
 * Writes are seen at once: new rows are loose and looked at one by one, removed ones are marked dead. When either become
 * many, a tree is built in a thread of its own while searches go on with those before; taking it over costs only what
 * changed meanwhile (`kd-row-store.ts`). Concurrent searches share a pass (`shared-pass.ts`), its
 * queries divided among worker threads.
 *
 * Of use up to about 10 dimensions: of 100,000 clustered unit vectors, a search scores 2 % in 2 dimensions, 5 % in 4
 * (some 3 times as fast as `brute`), 14 % in 8 (1.5 to 2 times); in 16 it scores 20 to 35 % and takes about as long as
 * `brute`; from 64 on it scores 60 % and more, and `brute` is faster. Figures: ARCHITECTURE.md.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { compareHits } from '../common/vector.js';
import { KdRowStore, type BuildPlan, type KdSnapshot } from './kd-row-store.js';
import type { KdFound, KdSearchTask } from './kd-search.js';
import { LEAF_ROWS_MAX } from './kd-tree.js';
import type { KdTreeWorkers } from './kd-tree-pool.js';
import { createSearchPasses, maskQueries, type PassQuery, type SearchMoment, type VectorSearch } from './search-pass.js';
import type { SharedPass } from './shared-pass.js';
import { mergeRanked } from './top-k.js';
import { checkEntries, checkLength, type Among, type Hit, type SearchOptions, type VectorEntry, type VectorIndex } from './vector-index.js';

/** Places that are looked at in one turn of the event loop. */
const MASK_SLICE = 2_048;
/** So many loose rows are scanned in less time than it takes to hand them to a thread. */
const CHANGES_MAX = 1_024;
/**
 * In more dimensions a tree rules out little, so threads share the rows of a query as they would for a scan. In fewer,
 * parts that do not know each other's best look at up to twice as many rows, and two threads are no sooner done than one.
 */
const DIM_WHOLE_MAX = 32;
/** A part of the tree for one worker is not made smaller than this: handing it over costs about as long as scanning it. */
const PART_BYTES_MIN = 1024 * 1024;

/** What one pass over the tree took. */
export interface KdSearchStats {
  readonly seconds: number;
  readonly queries: number;
  /** Rows that were scored, of all queries together. */
  readonly rowsVisited: number;
}

export interface KdTreeIndexOptions {
  readonly dim: number;
  /** The index's own: closed with it. */
  readonly workers: KdTreeWorkers;
  readonly onScan?: (stats: KdSearchStats) => void;
  /** Told of a tree that could not be built: searches go on with the one before, and the next write tries again. Default: a process warning. */
  readonly onBuildFailed?: (error: unknown) => void;
  /** So many loose or dead rows are not worth a new tree. */
  readonly changesMax?: number;
  /** Rows of a leaf; 2 or more. */
  readonly leafRowsMax?: number;
}

export class KdTreeIndex implements VectorIndex {
  readonly algorithm = 'kd_tree';
  readonly dim: number;
  readonly #options: Required<Omit<KdTreeIndexOptions, 'onScan'>> & Pick<KdTreeIndexOptions, 'onScan'>;
  readonly #rows: KdRowStore;
  readonly #passes: SharedPass<VectorSearch, Hit[][]>;
  #building: Promise<void> | undefined;
  #closed = false;

  constructor(options: KdTreeIndexOptions) {
    this.dim = options.dim;
    this.#options = { onBuildFailed: warn, changesMax: CHANGES_MAX, leafRowsMax: LEAF_ROWS_MAX, ...options };
    this.#rows = new KdRowStore(this.#options);
    this.#passes = createSearchPasses({ begin: () => this.#begin(), has: (id) => this.#rows.has(id) });
  }

  get size(): number {
    return this.#rows.size;
  }

  get memoryBytes(): number {
    return this.#rows.memoryBytes;
  }

  async upsert(entries: readonly VectorEntry[]): Promise<void> {
    checkEntries(entries, this.dim);
    this.#rows.put(entries);
    this.#rebuild();
  }

  async remove(ids: readonly string[]): Promise<void> {
    this.#rows.delete(ids);
    this.#rebuild();
  }

  async search(queries: readonly Float32Array[], { top, among, signal }: SearchOptions): Promise<Hit[][]> {
    for (const query of queries) checkLength(query, this.dim);
    return this.#passes.add({ queries: queries.length, vectors: queries.map((query) => new Float64Array(query)), top, among }, signal);
  }

  async vector(id: string): Promise<Float32Array | undefined> {
    return this.#rows.vector(id)?.slice();
  }

  /** No more rows are loose or dead than may be. */
  async settled(): Promise<void> {
    await this.#building;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#passes.close();
    await this.#options.workers.close();
    await this.#building;
    this.#rows.clear();
  }

  #rebuild(): void {
    const plan = this.#building || this.#closed ? undefined : this.#rows.planBuild();
    if (plan) this.#building = this.#build(plan);
  }

  /** Builds until nothing need be. It holds no snapshot: what a tree lists or what is loose is not written over before the next tree. */
  async #build(first: BuildPlan): Promise<void> {
    const { workers, leafRowsMax, onBuildFailed } = this.#options;
    try {
      for (let plan: BuildPlan | undefined = first; plan && !this.#closed; plan = this.#rows.planBuild()) {
        const { version, rows, places } = plan;
        this.#rows.adopt(await workers.build({ version, rows, places, leafRowsMax }), plan);
      }
    } catch (error) {
      if (!this.#closed) onBuildFailed(error);
    } finally {
      this.#building = undefined;
    }
  }

  #begin(): SearchMoment {
    const snapshot = this.#rows.snapshot();
    return { find: (queries) => this.#find(snapshot, queries), end: () => this.#rows.release() };
  }

  /** Which rows are of some ids, in shared memory; looked at in slices, so that the event loop is not held. */
  async #mask({ version, places, trees, loose }: KdSnapshot, among: Among): Promise<Uint8Array> {
    const mask = new Uint8Array(new SharedArrayBuffer(places));
    for (const list of [...trees.map((tree) => tree.places), loose]) {
      for (let i = 0; i < list.length; i++) {
        if (i % MASK_SLICE === MASK_SLICE - 1) await yieldToLoop();
        const place = list[i] as number;
        if (this.#rows.isAliveAt(place, version) && among.has(this.#rows.idAt(place))) mask[place] = 1;
      }
    }
    return mask;
  }

  async #find(snapshot: KdSnapshot, queries: readonly PassQuery[]): Promise<Hit[][]> {
    const { version, rows, trees, loose } = snapshot;
    if (snapshot.places === 0 || queries.length === 0) return queries.map(() => []);
    const started = performance.now();
    const masked = await maskQueries(queries, (among) => this.#mask(snapshot, among));
    const groups = divide(masked.map(({ vector, keep, mask }) => ({ vector, keep, mask })), this.#options.workers.threads);
    const level = this.#levelOfParts(snapshot, queries.length);
    const found = await Promise.all(groups.map((group) => Promise.all(Array.from({ length: 2 ** level }, (_, position) => {
      const task: KdSearchTask = { version, rows, queries: group, trees, level, position, loose: share(loose, position, 2 ** level) };
      return this.#options.workers.search(task);
    }))));
    const rowsVisited = found.flat().reduce((sum, part) => sum + part.rowsVisited, 0);
    this.#options.onScan?.({ seconds: (performance.now() - started) / 1000, queries: queries.length, rowsVisited });
    return groups.flatMap((group, g) => group.map(({ keep }, q) => this.#merge(found[g] as KdFound[], q, keep)));
  }

  /** The level whose subtrees are searched apart: the root's when there are queries enough for every thread. */
  #levelOfParts({ trees: [largest] }: KdSnapshot, queries: number): number {
    if (!largest || this.dim <= DIM_WHOLE_MAX) return 0;
    const bytes = largest.places.length * this.dim * Float32Array.BYTES_PER_ELEMENT;
    const parts = Math.min(Math.ceil(this.#options.workers.threads / queries), bytes / PART_BYTES_MIN);
    return Math.max(0, Math.min(largest.depth, Math.ceil(Math.log2(parts))));
  }

  #merge(parts: readonly KdFound[], query: number, keep: number): Hit[] {
    const lists = parts.map(({ ranked }) => {
      const { scores, keys } = ranked[query] as KdFound['ranked'][number];
      return Array.from(keys, (place, i): Hit => ({ id: this.#rows.idAt(place), score: scores[i] as number }));
    });
    return mergeRanked(lists, keep, compareHits);
  }
}

/** Splits queries into at most `count` groups of about one size. */
function divide<T>(queries: readonly T[], count: number): T[][] {
  const groups = Math.min(count, queries.length);
  return Array.from({ length: groups }, (_, i) => queries.slice(Math.floor((queries.length * i) / groups), Math.floor((queries.length * (i + 1)) / groups)));
}

function share(places: Uint32Array, part: number, parts: number): Uint32Array {
  return places.subarray(Math.floor((places.length * part) / parts), Math.floor((places.length * (part + 1)) / parts));
}

function warn(error: unknown): void {
  process.emitWarning(new Error('A kd-tree could not be built; searches go on with the one before.', { cause: error }));
}
