/**
 * The graph over an index's rows, which grows behind what is written: rows before an address stand in it, those after are
 * scanned, so a write is found at once and nothing waits for the graph. Whatever the graph cannot answer is left to a
 * scan of all rows, and so is everything while there is none: at the start, and when its thread failed.
 *
 * Nothing is removed from a graph. When much of it is dead, another is made of the living rows beside it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isEisError } from '../common/errors.js';
import type { GraphQuery, GraphSearch } from './graph-search.js';
import type { GraphKeeper } from './graph-thread.js';
import { graphBytes } from './neighbour-graph.js';
import { quantiseQuery } from './quantisation.js';
import type { RescoreQuery, RescoreRows } from './rescore.js';
import { hitsOf, type RescoredHits } from './rescore-queries.js';
import { addressOf, ID_BYTES, placeOf, readId, rowBytes } from './row-chunk.js';
import type { RowStore, Snapshot } from './row-store.js';
import type { ScanRange } from './scan.js';
import type { PassQuery } from './search-pass.js';
import type { Ranked } from './top-k.js';
import type { Hit } from './vector-index.js';

/** Rows that the graph is asked for at first, for each that is wanted. */
const OVER_FETCH = 3;
/** When too few of the rows that were found are candidates, so many times as many are asked for. */
const WIDENING = 4;
/** Beyond it, a scan is faster. */
const FETCH_MAX = 8_192;
/** Fewer rows are scanned in about the time that a graph takes. */
const ROWS_MIN = 1_000;
/** So much that the graph does not stand for is scanned beside it. */
const REST_BYTES_MAX = 32 * 1024 * 1024;
const DEAD_SHARE_MAX = 1 / 3;
const DEAD_MIN = 1_000;
/** Between two attempts after a failure. */
const RETRY_MS = 5_000;

interface Graph {
  readonly number: number;
  /** Living rows before this address stand in it. */
  covered: number;
  /** Dead ones included. */
  nodes: number;
}

/** What a graph stands for of a moment. */
interface Cover {
  readonly graph: number;
  /** The moment's living rows before this address stand in it. */
  readonly covered: number;
  /** The others. */
  readonly rest: readonly ScanRange[];
}

interface OpenQuery {
  readonly place: number;
  readonly query: PassQuery;
  reach: number;
}

export interface RowGraphOptions {
  readonly rows: RowStore;
  readonly openKeeper: () => GraphKeeper;
  /** Scores candidates: `rescoreQueries`. */
  readonly rescore: (queries: readonly RescoreQuery[]) => Promise<RescoredHits>;
  /** Told of a graph that failed: searches scan until another stands. Default: a process warning. */
  readonly onFailed?: ((error: unknown) => void) | undefined;
  readonly retryMs?: number | undefined;
  /** Fewer rows have no graph. */
  readonly rowsMin?: number | undefined;
}

export class RowGraph {
  readonly #options: RowGraphOptions;
  readonly #closing = new AbortController();
  /** By serial: chunks whose memory the keeper knows. */
  readonly #known = new Set<number>();
  #keeper: GraphKeeper | undefined;
  #current: Graph = { number: 0, covered: 0, nodes: 0 };
  #next: Graph | undefined;
  #growing: Promise<void> | undefined;
  #finding = 0;

  constructor(options: RowGraphOptions) {
    this.#options = options;
  }

  get memoryBytes(): number {
    const keeper = this.#keeper;
    return keeper ? [this.#current, this.#next].reduce((bytes, graph) => bytes + (graph ? graphBytes(graph.nodes, keeper.options) : 0), 0) : 0;
  }

  /** Sees to it that what was written comes into the graph, in time. */
  grow(): void {
    if (this.#growing || this.#closing.signal.aborted || this.#options.rows.size < (this.#options.rowsMin ?? ROWS_MIN)) return;
    this.#growing = this.#grow().finally(() => {
      this.#growing = undefined;
      if (this.#options.rows.rowsFrom(this.#current.covered)) this.grow(); // written in this very moment
    });
  }

  /** Resolves when every row stands in the graph, and no other graph is being made. */
  async whenGrown(): Promise<void> {
    await this.#growing;
  }

  /**
   * The best rows of each query as far as the graph finds them; undefined for those that it leaves to a scan.
   *
   * @throws EisError EIS_INDEX_DAMAGED of the vector file
   */
  async find(snapshot: Snapshot, queries: readonly PassQuery[]): Promise<{ readonly hits: readonly (Hit[] | undefined)[]; readonly rescored: number }> {
    const hits = queries.map((): Hit[] | undefined => undefined);
    let open = queries.map((query, place): OpenQuery => ({ place, query, reach: this.#reach(query) }));
    let rescored = 0;
    this.#finding++;
    try {
      while ((open = open.filter(({ query, reach }) => this.#suits(query, reach))).length > 0) {
        const cover = this.#coverOf(snapshot);
        const found = cover && (await this.#ask(snapshot, cover, open));
        if (!found) break;
        rescored += found.rescored;
        open = open.filter(({ place }, i) => !(hits[place] = found.hits[i]));
        for (const search of open) search.reach *= WIDENING;
      }
    } finally {
      this.#finding--;
    }
    return { hits, rescored };
  }

  /** Stops growing, and ends the graph's thread. Searches have to have ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#keeper?.close();
    await this.#growing;
  }

  /** More where much of the graph is dead. */
  #reach({ keep }: PassQuery): number {
    const living = Math.max(1, this.#options.rows.size);
    return Math.ceil(keep * OVER_FETCH * Math.max(1, this.#current.nodes / living));
  }

  #suits({ keep }: PassQuery, reach: number): boolean {
    return reach <= Math.min(FETCH_MAX, this.#current.nodes) && keep < this.#options.rows.size / 2;
  }

  /**
   * What the graph stands for of a moment, and the rows that it does not; undefined when those are too many for it. It
   * may have grown since the moment, or another may have taken its place: rows that came later are not the moment's.
   */
  #coverOf({ parts }: Snapshot): Cover | undefined {
    const { number, nodes } = this.#current;
    if (!this.#keeper || nodes === 0) return undefined;
    const end = Math.max(0, ...parts.map(({ memory: { serial }, rows }) => addressOf(serial, rows)));
    const covered = Math.min(this.#current.covered, end);
    const { serial, row } = placeOf(covered);
    const rest = parts
      .map(({ memory, rows, firstRow }) => ({ memory, firstRow, from: memory.serial < serial ? rows : memory.serial === serial ? Math.min(row, rows) : 0, to: rows }))
      .filter(({ from, to }) => from < to);
    const rows = rest.reduce((sum, { from, to }) => sum + to - from, 0);
    return rows * rowBytes(this.#options.rows.dim) <= REST_BYTES_MAX && rows < nodes ? { graph: number, covered, rest } : undefined;
  }

  /** Hits for each query, undefined for those that need a wider search; undefined when there is no graph any more. */
  async #ask({ version }: Snapshot, { graph, covered, rest }: Cover, open: readonly OpenQuery[]): Promise<{ readonly hits: (Hit[] | undefined)[]; readonly rescored: number } | undefined> {
    const queries = open.map(({ query: { vector, keep } }): GraphQuery => ({ vector, keep, quantised: quantiseQuery(vector) }));
    const search: GraphSearch = { version, covered, rest, queries, fetch: Math.max(...open.map(({ reach }) => reach)) };
    const isScored = open.length === 1 && !open[0]?.query.accept; // one way there and back instead of two
    for (const { memory: { serial } } of rest) this.#known.add(serial);
    const answer = await this.#trust((keeper) => keeper.search({ graph, search, fd: isScored ? this.#options.rows.fd : undefined }));
    if (!answer) return undefined;
    const { near, rescored } = answer;
    if (rescored) return { hits: near.map(({ ids }, i) => hitsOf(rescored.ranked[i] as Ranked, ids)), rescored: rescored.read };
    return this.#score(open.map(({ query: { vector, keep, accept } }, i) => ({ vector, keep, ...filterRows(near[i] as RescoreRows, accept) })));
  }

  /** Hits for the queries that have candidates enough. */
  async #score(queries: readonly RescoreQuery[]): Promise<{ readonly hits: (Hit[] | undefined)[]; readonly rescored: number }> {
    const isEnough = ({ slots, keep }: RescoreQuery): boolean => slots.length >= keep;
    const enough = queries.filter(isEnough);
    const { hits, rescored } = enough.length > 0 ? await this.#options.rescore(enough) : { hits: [], rescored: 0 };
    let next = 0;
    return { hits: queries.map((query) => (isEnough(query) ? hits[next++] : undefined)), rescored };
  }

  async #grow(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      if (!this.#keeper) this.#open();
      this.#dropChunks();
      if (!this.#next && this.#isWorn()) this.#next = { number: this.#current.number + 1, covered: 0, nodes: 0 };
      const isGrown = !(await this.#extend(this.#current)) && !(this.#next && (await this.#extendNext(this.#next)));
      if (!this.#keeper) await sleep(this.#options.retryMs ?? RETRY_MS, undefined, { signal }).catch(() => undefined);
      else if (isGrown) return;
    }
  }

  #open(): void {
    this.#keeper = this.#options.openKeeper();
    this.#known.clear();
    this.#current = { number: 0, covered: 0, nodes: 0 };
    this.#next = undefined;
  }

  /** Adds some rows that a graph does not have. False: it has all. */
  async #extend(graph: Graph): Promise<boolean> {
    const rows = this.#options.rows.rowsFrom(graph.covered);
    if (!rows) return false;
    const { memory: { serial } } = rows;
    this.#known.add(serial);
    const done = await this.#trust((keeper) => keeper.add({ graph: graph.number, ...rows }));
    if (!done) return true;
    graph.covered = addressOf(serial, done.next);
    graph.nodes += done.added;
    return true;
  }

  /** The same, of a graph that takes the place of the one that is searched once it has all. */
  async #extendNext(next: Graph): Promise<boolean> {
    if (await this.#extend(next)) return true;
    const { number } = this.#current;
    this.#current = next;
    this.#next = undefined;
    await this.#trust((keeper) => keeper.drop({ graph: number }));
    return true;
  }

  #isWorn(): boolean {
    const { nodes } = this.#current;
    const dead = nodes - this.#options.rows.size;
    return dead >= Math.max(DEAD_MIN, nodes * DEAD_SHARE_MAX);
  }

  /** Lets go of the memory of chunks that are gone; a search that runs may still look at them. */
  #dropChunks(): void {
    if (this.#finding > 0) return;
    for (const serial of this.#known) {
      if (this.#options.rows.hasChunk(serial)) continue;
      this.#known.delete(serial);
      this.#keeper?.drop({ serial }).catch(() => undefined); // a keeper that died holds none
    }
  }

  /** What the keeper answers; undefined when it failed, or ended. */
  async #trust<T>(ask: (keeper: GraphKeeper) => Promise<T>): Promise<T | undefined> {
    const keeper = this.#keeper;
    if (!keeper) return undefined;
    try {
      return await ask(keeper);
    } catch (error) {
      if (isEisError(error)) throw error;
      if (this.#keeper === keeper && !this.#closing.signal.aborted) this.#fail(keeper, error);
      return undefined;
    }
  }

  #fail(keeper: GraphKeeper, error: unknown): void {
    this.#keeper = undefined;
    this.#current = { number: 0, covered: 0, nodes: 0 };
    (this.#options.onFailed ?? warn)(error);
    keeper.close().catch(() => undefined);
    this.grow();
  }
}

function filterRows(rows: RescoreRows, accept: ((id: string) => boolean) | undefined): RescoreRows {
  if (!accept) return rows;
  const kept = Array.from(rows.slots.keys()).filter((i) => accept(readId(rows.ids, i)));
  const ids = Buffer.concat(kept.map((i) => rows.ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES)));
  const pick = <T extends Uint32Array | Float64Array>(values: T, Kind: { from(items: number[]): T }): T => Kind.from(kept.map((i) => values[i] as number));
  return { ids, slots: pick(rows.slots, Uint32Array), checksums: pick(rows.checksums, Uint32Array), uppers: pick(rows.uppers, Float64Array) };
}

function warn(error: unknown): void {
  process.emitWarning(new Error('The graph of an approximate index failed; its searches are exact and slower until another stands.', { cause: error }));
}
