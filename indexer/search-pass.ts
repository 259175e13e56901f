/**
 * A pass of searches over an index that is written to meanwhile, whatever its algorithm: the algorithm finds the best rows
 * of one moment, and what was removed until the answer is left out and made up for.
 */
import { SharedPass, type Passenger } from './shared-pass.js';
import type { Among, Hit } from './vector-index.js';

/** One call of `VectorIndex.search`. */
export interface VectorSearch {
  readonly queries: number;
  /** In float64, which changes no value, so that no loop need convert them. */
  readonly vectors: readonly Float64Array[];
  readonly top: number;
  readonly among: Among | undefined;
}

/** A query as an algorithm gets it. */
export interface PassQuery {
  readonly vector: Float64Array;
  /** How many hits to find: more than the search's `top` when some may be gone after it. */
  readonly keep: number;
  /** Which ids are candidates; undefined: all. */
  readonly among: Among | undefined;
}

/** The rows of one moment, and how the best of them are found. */
export interface SearchMoment {
  /** The best rows of each query, best first. */
  find(queries: readonly PassQuery[]): Promise<Hit[][]>;
  /** Called once, when nothing of the moment is read any more. */
  end(): void;
}

export interface SearchedIndex {
  begin(): SearchMoment;
  has(id: string): boolean;
}

const QUERIES_PER_PASS_MAX = 64;
const QUERIES_WAITING_MAX = 1_024;

/** The passes that the searches of an index share. */
export function createSearchPasses(index: SearchedIndex): SharedPass<VectorSearch, Hit[][]> {
  return new SharedPass({ queriesPerPassMax: QUERIES_PER_PASS_MAX, queriesWaitingMax: QUERIES_WAITING_MAX, run: (batch) => runSearchPass(index, batch) });
}

interface OpenSearch {
  readonly passenger: Passenger<VectorSearch, Hit[][]>;
  keep: number;
}

/**
 * Searches until every search of the batch is answered: again for those of which found ids were removed meanwhile, so
 * that fewer than `top` are left of what may be more. Each time more is kept in reserve, so it ends.
 */
async function runSearchPass(index: SearchedIndex, batch: readonly Passenger<VectorSearch, Hit[][]>[]): Promise<void> {
  let open = batch.map((passenger): OpenSearch => ({ passenger, keep: passenger.request.top }));
  while (open.length > 0) {
    const moment = index.begin();
    try {
      const found = await moment.find(open.flatMap(({ passenger: { request: { vectors, among } }, keep }) => vectors.map((vector) => ({ vector, keep, among }))));
      let next = 0;
      open = open.filter((search) => !answer(index, search, found.slice(next, (next += search.passenger.request.queries))));
    } finally {
      moment.end();
    }
  }
}

/**
 * Makes masks of what queries are among, one for all that share one.
 *
 * @param mask which rows are of these ids
 */
export async function maskQueries<Query extends PassQuery>(queries: readonly Query[], mask: (among: Among) => Promise<Uint8Array>): Promise<(Query & { readonly mask: Uint8Array | undefined })[]> {
  const masks = new Map<PassQuery['among'], Uint8Array>();
  for (const { among } of queries) if (among && !masks.has(among)) masks.set(among, await mask(among));
  return queries.map((query) => ({ ...query, mask: masks.get(query.among) }));
}

/** Settles a search by what was found for it, less what was removed since. False: it has to be searched again. */
function answer(index: SearchedIndex, search: OpenSearch, found: readonly (readonly Hit[])[]): boolean {
  const { top } = search.passenger.request;
  const held = found.map((hits) => hits.filter(({ id }) => index.has(id)));
  if (held.some((hits, q) => hits.length < top && (found[q] as Hit[]).length === search.keep)) {
    search.keep *= 2;
    return false;
  }
  search.passenger.resolve(held.map((hits) => hits.slice(0, top)));
  return true;
}
