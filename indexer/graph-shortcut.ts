/**
 * Answers searches by the graph over an index's rows (`row-graph.ts`), as far as it can: what it finds is scored exactly, and
 * where too few of it live it is asked for more. What the graph cannot answer is left to a scan of all rows: few rows, a large
 * top, a search among some ids, and all while there is no graph.
 */
import type { Shortcut } from './exact-index.js';
import type { GraphQuery, GraphSearch } from './graph-search.js';
import { quantiseQuery } from './quantisation.js';
import type { RescoreQuery, RescoreRows } from './rescore.js';
import { hitsOf, rescoreQueries, type RescoredHits } from './rescore-queries.js';
import { addressOf, placeOf, rowBytes } from './row-chunk.js';
import type { RowGraph, StandingGraph } from './row-graph.js';
import type { RowStore, Snapshot } from './row-store.js';
import type { Scanner } from './scan-pool.js';
import type { ScanRange } from './scan.js';
import type { PassQuery } from './search-pass.js';
import type { Ranked } from './top-k.js';
import type { Hit } from './vector-index.js';

/** Rows that the graph is asked for at first, for each that is wanted. */
const OVER_FETCH = 3;
/** When too few of the rows that were found live, so many times as many are asked for. */
const WIDENING = 4;
/** Beyond it, a scan is faster. */
const FETCH_MAX = 8_192;
/** So much that the graph does not stand for is scanned beside it. */
const REST_BYTES_MAX = 32 * 1024 * 1024;

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

/** By query that was asked; undefined for one that needs a wider search. */
interface Found {
  readonly hits: readonly (Hit[] | undefined)[];
  readonly rescored: number;
}

export class GraphShortcut {
  readonly #graph: RowGraph;
  readonly #rows: RowStore;
  readonly #scanner: Scanner;

  /** @param options.rows those that the graph is of */
  constructor({ graph, rows, scanner }: { readonly graph: RowGraph; readonly rows: RowStore; readonly scanner: Scanner }) {
    this.#graph = graph;
    this.#rows = rows;
    this.#scanner = scanner;
  }

  /**
   * The best rows of each query as far as the graph finds them; undefined for those that it leaves to a scan.
   *
   * @param snapshot is held until this settles
   * @throws EisError EIS_INDEX_DAMAGED of the vector file
   */
  async find(snapshot: Snapshot, queries: readonly PassQuery[]): ReturnType<Shortcut> {
    const hits = queries.map((): Hit[] | undefined => undefined);
    let open = queries.map((query, place): OpenQuery => ({ place, query, reach: this.#reach(query) }));
    let rescored = 0;
    this.#graph.hold();
    try {
      for (let graph = this.#graph.current; graph; graph = this.#graph.current) {
        const { nodes } = graph;
        open = open.filter((search) => this.#suits(search, nodes));
        const cover = open.length > 0 ? coverOf(graph, snapshot, this.#rows.dim) : undefined;
        const found = cover && (await this.#ask(snapshot, cover, open));
        if (!found) break;
        rescored += found.rescored;
        open = open.filter(({ place }, i) => !(hits[place] = found.hits[i]));
        for (const search of open) search.reach *= WIDENING;
      }
    } finally {
      this.#graph.release();
    }
    return { hits, rescored };
  }

  /** More where much of the graph is dead. */
  #reach({ keep }: PassQuery): number {
    const living = Math.max(1, this.#rows.size);
    return Math.ceil(keep * OVER_FETCH * Math.max(1, (this.#graph.current?.nodes ?? 0) / living));
  }

  #suits({ query: { keep, among }, reach }: OpenQuery, nodes: number): boolean {
    return !among && reach <= Math.min(FETCH_MAX, nodes) && keep < this.#rows.size / 2;
  }

  /** Undefined when the graph is gone. */
  async #ask({ version }: Snapshot, { graph, covered, rest }: Cover, open: readonly OpenQuery[]): Promise<Found | undefined> {
    const queries = open.map(({ query: { vector, keep } }): GraphQuery => ({ vector, keep, quantised: quantiseQuery(vector) }));
    const search: GraphSearch = { version, covered, rest, queries, fetch: Math.max(...open.map(({ reach }) => reach)) };
    const isScored = open.length === 1; // one way there and back instead of two
    const answer = await this.#graph.search({ graph, search, fd: isScored ? this.#rows.fd : undefined });
    if (!answer) return undefined;
    const { near, rescored } = answer;
    const found = open.map(({ query: { vector, keep } }, i): RescoreQuery => ({ vector, keep, ...(near[i] as RescoreRows) }));
    if (!rescored) return this.#score(found);
    return { hits: found.map((query, i) => (isEnough(query) ? hitsOf(rescored.ranked[i] as Ranked, query.ids) : undefined)), rescored: rescored.read };
  }

  /** Hits for the queries that have candidates enough. */
  async #score(queries: readonly RescoreQuery[]): Promise<Found> {
    const enough = queries.filter(isEnough);
    const { hits, rescored }: RescoredHits = enough.length > 0 ? await rescoreQueries(this.#scanner, this.#rows.fd, enough) : { hits: [], rescored: 0 };
    let next = 0;
    return { hits: queries.map((query) => (isEnough(query) ? hits[next++] : undefined)), rescored };
  }
}

function isEnough({ slots, keep }: RescoreQuery): boolean {
  return slots.length >= keep;
}

/**
 * What a graph stands for of a moment, and the rows that it does not; undefined when those are too many for it. It may
 * have grown since the moment, or another may have taken its place: rows that came later are not the moment's.
 */
function coverOf({ number, nodes, covered: standing }: StandingGraph, { parts }: Snapshot, dim: number): Cover | undefined {
  const end = Math.max(0, ...parts.map(({ memory: { serial }, rows }) => addressOf(serial, rows)));
  const covered = Math.min(standing, end);
  const { serial, row } = placeOf(covered);
  const rest = parts
    .map(({ memory, rows, firstRow }) => ({ memory, firstRow, from: memory.serial < serial ? rows : memory.serial === serial ? Math.min(row, rows) : 0, to: rows }))
    .filter(({ from, to }) => from < to);
  const rows = rest.reduce((sum, { from, to }) => sum + to - from, 0);
  return rows * rowBytes(dim) <= REST_BYTES_MAX && rows < nodes ? { graph: number, covered, rest } : undefined;
}
