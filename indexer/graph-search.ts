/**
 * A search by a graph, as the thread that owns it does it: the graph says which rows may be near, those that are dead or
 * that it does not stand for are left out, what it does not know yet is scanned, and what is known of the scores from the
 * codes (quantisation.ts) is told with them, so that few vectors have to be read.
 */
import type { NeighbourGraph } from './neighbour-graph.js';
import { quantiseRow, type QuantisedQuery } from './quantisation.js';
import { describeCandidates, type Candidate, type RescoreRows } from './rescore.js';
import { placeOf, type ChunkViews } from './row-chunk.js';
import { scan, type ScanRange } from './scan.js';

export interface GraphQuery {
  readonly vector: Float64Array;
  readonly quantised: QuantisedQuery;
  readonly keep: number;
}

export interface GraphSearch {
  readonly version: number;
  /** The graph has the living rows before this address; others that it may have are not looked at. */
  readonly covered: number;
  /** The rows from there on. */
  readonly rest: readonly ScanRange[];
  /** How many rows the graph is asked for at first. */
  readonly fetch: number;
  readonly queries: readonly GraphQuery[];
}

interface Place extends Candidate {
  /** What the codes may be wrong by. */
  readonly error: number;
}

/** How many times as many rows are asked for when what was found leaves it open whether there are better ones. */
const WIDENING = 2;
/** Beyond so many times what was asked for at first, it is left at that. */
const WIDENING_MAX = 8;

/**
 * The rows that may be near each query. The graph is asked for more while, as far as codes can tell, the last row that it
 * found could be among the best: then so could the next.
 *
 * @param chunks by serial: those that the graph has rows of
 */
export function searchGraph(graph: NeighbourGraph, chunks: ReadonlyMap<number, ChunkViews>, search: GraphSearch, threads: number): RescoreRows[] {
  const { queries, rest } = search;
  const found = queries.map((): Place[] => []);
  let open = [...queries.keys()];
  for (let { fetch } = search; open.length > 0; fetch *= WIDENING) {
    const near = graph.search(joinCodes(open.map((q) => queries[q] as GraphQuery)), fetch, threads);
    near.forEach((keys, i) => (found[open[i] as number] = keys.flatMap((key) => look(key, (queries[open[i] as number] as GraphQuery).quantised, chunks, search))));
    const isLast = fetch >= graph.size || fetch * WIDENING > search.fetch * WIDENING_MAX;
    open = isLast ? [] : open.filter((q) => isOpen(found[q] as readonly Place[], (queries[q] as GraphQuery).keep));
  }
  if (rest.length > 0) addRest(found, chunks, search);
  return found.map(describeCandidates);
}

/** Whether rows that are further than all of these could be among the best. */
function isOpen(places: readonly Place[], keep: number): boolean {
  const last = places.at(-1);
  if (!last || places.length < keep) return true;
  const lowers = Float64Array.from(places, ({ upper, error }) => upper - 2 * error).sort();
  return !(last.upper < (lowers[lowers.length - keep] as number));
}

/** What a scan finds among the rows that the graph does not stand for. */
function addRest(found: readonly Place[][], chunks: ReadonlyMap<number, ChunkViews>, { version, queries, rest }: GraphSearch): void {
  const views = rest.map(({ memory: { serial } }) => chunks.get(serial) as ChunkViews);
  const scanned = scan({ version, queries: queries.map(({ quantised, keep }) => ({ quantised, keep, mask: undefined })), ranges: rest, scratch: 0 });
  scanned.forEach(({ rows, uppers }, q) => rows.forEach((row, i) => {
    const range = rest.findLastIndex(({ firstRow, from }) => firstRow + from <= row);
    found[q]?.push({ views: views[range] as ChunkViews, row: row - (rest[range] as ScanRange).firstRow, upper: uppers[i] as number, error: 0 });
  }));
}

/** A row of the graph, unless it is not one of the search's moment. */
function look(key: number, { codes, scale, perError, perNorm }: QuantisedQuery, chunks: ReadonlyMap<number, ChunkViews>, { version, covered }: GraphSearch): Place[] {
  const { serial, row } = placeOf(key);
  const views = chunks.get(serial);
  if (!views || key >= covered) return [];
  const died = views.diedAt[row] as number;
  if (died !== 0 && died <= version) return [];
  const { stride, codes: rowCodes } = views;
  let sum = 0;
  for (let i = 0, at = row * stride; i < stride; i++, at++) sum += (codes[i] as number) * (rowCodes[at] as number);
  const score = sum * ((views.scales[row] as number) * scale);
  const error = perError * (views.errors[row] as number) + perNorm * (views.norms[row] as number);
  return [{ views, row, upper: score + error, error }];
}

function joinCodes(queries: readonly GraphQuery[]): Int8Array {
  const dim = queries[0]?.vector.length ?? 0;
  const codes = new Int8Array(queries.length * dim);
  queries.forEach(({ vector }, q) => quantiseRow(new Float32Array(vector), codes, q * dim));
  return codes;
}
