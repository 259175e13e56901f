/**
 * Answers the searches of an approximate index, those of a moment together: the graph says which rows may be near, what
 * is dead or not accepted is left out, and the vectors of the others are scored (`rescore.ts`).
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { HeldGraph, HnswGraphs } from './hnsw-graphs.js';
import type { HnswRows } from './hnsw-rows.js';
import type { GraphKeeper } from './hnsw-thread.js';
import type { RescoreQuery } from './rescore.js';
import type { VectorSearch } from './search-pass.js';
import type { Passenger } from './shared-pass.js';
import type { FinishedScan, Hit } from './vector-index.js';

/** Rows that the graph is asked for, for each that is wanted: it makes up for what the graph ranks wrongly, and for dead rows. */
const OVER_FETCH = 8;
/** When too few of the rows that were found are candidates, so many times as many are asked for. */
const WIDENING = 4;
/** Beyond it, every candidate is scored instead: a graph that is asked for much is slower than that. */
const FETCH_MAX = 8_192;
/** An index of at most so many rows scores every one: it is exact, in about the time that a graph takes. */
const ROWS_WITHOUT_GRAPH = 1_000;
/** Slots that are gone through in one turn of the event loop. */
const SLOTS_PER_TURN = 2_048;

type SearchPassenger = Passenger<VectorSearch, Hit[][]>;

/** What the searches of a pass see. */
interface Moment {
  readonly graph: HeldGraph;
  readonly version: number;
}

interface OpenSearch {
  readonly passenger: SearchPassenger;
  /** How many rows the graph is asked for, and how many are kept of those that are scored. */
  reach: number;
  /** Whether all candidates are scored, without the graph. */
  isWhole: boolean;
}

/** A search with the rows that are to be scored for each of its queries. */
interface Found {
  readonly search: OpenSearch;
  readonly slots: readonly Uint32Array[];
}

export interface HnswSearcherOptions {
  readonly keeper: GraphKeeper;
  readonly rows: HnswRows;
  readonly graphs: HnswGraphs;
  /** Of the file of the vectors. */
  readonly fd: number;
  readonly onScan?: ((scan: FinishedScan) => void) | undefined;
}

export class HnswSearcher {
  readonly #options: HnswSearcherOptions;

  constructor(options: HnswSearcherOptions) {
    this.#options = options;
  }

  /**
   * Searches until every search of the batch is answered: more widely for those of which too few rows are left.
   *
   * @throws EisError EIS_INDEX_DAMAGED, EIS_ENGINE_UNAVAILABLE
   */
  async run(batch: readonly SearchPassenger[]): Promise<void> {
    const { graphs, rows } = this.#options;
    const moment: Moment = { graph: graphs.hold(), version: rows.version };
    try {
      let open = batch.map((passenger) => this.#open(passenger));
      while (open.length > 0) open = await this.#searchOnce(moment, open);
    } finally {
      graphs.release();
    }
  }

  #open(passenger: SearchPassenger): OpenSearch {
    const { rows, keeper } = this.#options;
    const { top } = passenger.request;
    const reach = Math.max(top * OVER_FETCH, keeper.options.expansionSearch);
    return { passenger, reach, isWhole: rows.size <= ROWS_WITHOUT_GRAPH || top >= rows.size / 2 };
  }

  /** The searches that are still open. */
  async #searchOnce(moment: Moment, open: readonly OpenSearch[]): Promise<OpenSearch[]> {
    const started = performance.now();
    const near = await this.#findNear(moment, open.filter(({ isWhole }) => !isWhole));
    const found: Found[] = [];
    const again: OpenSearch[] = [];
    for (const search of open) {
      const { top } = search.passenger.request;
      try {
        const slots = search.isWhole ? await this.#findAll(search, moment) : this.#filter(search, near.get(search) as Uint32Array[], moment);
        if (search.isWhole || slots.every(({ length }) => length >= top)) found.push({ search, slots });
        else again.push(widen(search, moment));
      } catch (error) {
        search.passenger.reject(error);
      }
    }
    const hits = await this.#rescore(found, started);
    found.forEach(({ search, slots }, i) => {
      if (!this.#answer(search, slots, hits[i] as Hit[][])) again.push(widen(search, moment));
    });
    return again;
  }

  /** The rows that the graph finds for each query, by search. */
  async #findNear({ graph }: Moment, open: readonly OpenSearch[]): Promise<Map<OpenSearch, Uint32Array[]>> {
    const queries = open.flatMap(({ passenger, reach }) => passenger.request.vectors.map((vector) => ({ vector, fetch: Math.min(reach, graph.rows) })));
    const near = queries.length === 0 ? [] : await this.#options.keeper.search({ graph: graph.number, queries });
    let next = 0;
    return new Map(open.map((search) => [search, near.slice(next, (next += search.passenger.request.queries))]));
  }

  /** Those that a search may answer. */
  #filter({ passenger }: OpenSearch, near: readonly Uint32Array[], { version }: Moment): Uint32Array[] {
    const { rows } = this.#options;
    const { accept } = passenger.request;
    return near.map((slots) => slots.filter((slot) => rows.isSeen(slot, version) && (!accept || accept(rows.id(slot)))));
  }

  /** All rows that a search may answer, for each query the same; gone through in parts, so that the event loop is not held. */
  async #findAll({ passenger }: OpenSearch, { version }: Moment): Promise<Uint32Array[]> {
    const { rows } = this.#options;
    const { accept, vectors } = passenger.request;
    const all: number[] = [];
    for (const part of rows.seen(version, SLOTS_PER_TURN)) {
      for (const slot of part) if (!accept || accept(rows.id(slot))) all.push(slot);
      if (part.length > 0) await yieldToLoop();
    }
    const slots = Uint32Array.from(all);
    return vectors.map(() => slots);
  }

  /** The best of what was found, for each query of each search. */
  async #rescore(found: readonly Found[], started: number): Promise<Hit[][][]> {
    if (found.length === 0) return [];
    const { keeper, rows, fd, onScan } = this.#options;
    const described = new Map<Uint32Array, Omit<RescoreQuery, 'vector' | 'keep'>>();
    const queries = found.flatMap(({ search: { passenger, reach }, slots }) => slots.map((some, q): RescoreQuery => {
      const description = described.get(some) ?? describe(rows, some);
      described.set(some, description);
      return { vector: passenger.request.vectors[q] as Float64Array, keep: reach, ...description };
    }));
    const { ranked, read } = await keeper.rescore({ fd, queries });
    onScan?.({ seconds: (performance.now() - started) / 1000, queries: queries.length, rescored: read });
    const hits = queries.map(({ slots }, q) => Array.from(ranked[q]?.keys ?? [], (key, i): Hit => ({ id: rows.id(slots[key] as number), score: ranked[q]?.scores[i] as number })));
    let next = 0;
    return found.map(({ slots }) => hits.slice(next, (next += slots.length)));
  }

  /** Answers a search with what was scored, less what was removed since. False: too few are left of what may be more. */
  #answer({ passenger, reach, isWhole }: OpenSearch, slots: readonly Uint32Array[], scored: readonly (readonly Hit[])[]): boolean {
    const { top } = passenger.request;
    const held = scored.map((hits) => hits.filter(({ id }) => this.#options.rows.has(id)));
    const isCut = (q: number): boolean => !isWhole || (slots[q] as Uint32Array).length > reach;
    if (held.some((hits, q) => hits.length < top && isCut(q))) return false;
    passenger.resolve(held.map((hits) => hits.slice(0, top)));
    return true;
  }
}

/** Makes a search look at more rows the next time. */
function widen(search: OpenSearch, { graph }: Moment): OpenSearch {
  search.reach *= WIDENING;
  search.isWhole ||= search.reach > FETCH_MAX || search.reach >= graph.rows;
  return search;
}

/** Rows with what it takes to score them: nothing is known of what their scores are at most. */
function describe(rows: HnswRows, slots: Uint32Array): Omit<RescoreQuery, 'vector' | 'keep'> {
  return { uppers: new Float64Array(slots.length).fill(Infinity), slots, checksums: slots.map((slot) => rows.checksum(slot)), ids: rows.joinIds(slots) };
}
