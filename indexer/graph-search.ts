/**
 * A search by a graph, as the thread that owns it does it: the graph says which rows may be near, those that are dead or
 * that it does not stand for are left out, what it does not know yet is scanned, and what is known of the scores from the
 * codes (quantisation.ts) is told with them, so that few vectors have to be read.
 */
import type { NeighbourGraph } from './neighbour-graph.js';
import { quantiseRow, type QuantisedQuery } from './quantisation.js';
import type { RescoreQuery } from './rescore.js';
import { ID_BYTES, placeOf, type ChunkViews } from './row-chunk.js';
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
  /** How many rows the graph is asked for. */
  readonly fetch: number;
  readonly queries: readonly GraphQuery[];
}

/** What is to be scored. */
export type NearRows = Omit<RescoreQuery, 'vector' | 'keep'>;

interface Place {
  readonly views: ChunkViews;
  readonly row: number;
  /** What the score is at most. */
  readonly upper: number;
}

/**
 * The rows that may be near each query.
 *
 * @param chunks by serial: those that the graph has rows of
 */
export function searchGraph(graph: NeighbourGraph, chunks: ReadonlyMap<number, ChunkViews>, search: GraphSearch, threads: number): NearRows[] {
  const { fetch, queries, version, rest } = search;
  const near = graph.search(joinCodes(queries), fetch, threads);
  const restViews = rest.map(({ memory: { serial } }) => chunks.get(serial) as ChunkViews);
  const scanned = rest.length > 0 ? scan({ version, queries: queries.map(({ quantised, keep }) => ({ quantised, keep, mask: undefined })), ranges: rest, scratch: 0 }) : [];
  return queries.map((query, q) => {
    const places = (near[q] as readonly number[]).flatMap((key) => look(key, query.quantised, chunks, search));
    scanned[q]?.rows.forEach((row, i) => {
      const range = rest.findLastIndex(({ firstRow, from }) => firstRow + from <= row);
      places.push({ views: restViews[range] as ChunkViews, row: row - (rest[range] as ScanRange).firstRow, upper: scanned[q]?.uppers[i] as number });
    });
    return describe(places);
  });
}

/** A row of the graph, unless it is not one of the search's moment. */
function look(key: number, { codes, scale, perError, perNorm }: QuantisedQuery, chunks: ReadonlyMap<number, ChunkViews>, { version, covered }: GraphSearch): Place[] {
  const { serial, row } = placeOf(key);
  const views = chunks.get(serial);
  if (!views || key >= covered) return [];
  const died = views.diedAt[row] as number;
  if (died !== 0 && died <= version) return [];
  let sum = 0;
  for (let i = 0, at = row * views.stride; i < codes.length; i++, at++) sum += (codes[i] as number) * (views.codes[at] as number);
  const score = sum * ((views.scales[row] as number) * scale);
  return [{ views, row, upper: score + perError * (views.errors[row] as number) + perNorm * (views.norms[row] as number) }];
}

function joinCodes(queries: readonly GraphQuery[]): Int8Array {
  const dim = queries[0]?.vector.length ?? 0;
  const codes = new Int8Array(queries.length * dim);
  queries.forEach(({ vector }, q) => quantiseRow(Float32Array.from(vector), codes, q * dim));
  return codes;
}

function describe(places: readonly Place[]): NearRows {
  const ids = new Uint8Array(places.length * ID_BYTES);
  places.forEach(({ views, row }, i) => ids.set(views.ids.subarray(row * ID_BYTES, (row + 1) * ID_BYTES), i * ID_BYTES));
  return {
    uppers: Float64Array.from(places, ({ upper }) => upper),
    slots: Uint32Array.from(places, ({ views, row }) => views.slots[row] as number),
    checksums: Uint32Array.from(places, ({ views, row }) => views.checksums[row] as number),
    ids,
  };
}
