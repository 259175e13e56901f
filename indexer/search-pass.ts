/**
 * A pass of searches over an index that is written to meanwhile, whatever its algorithm: the algorithm finds the best rows
 * of one moment, and what was removed until the answer is left out and made up for.
 */
import { SharedPass, type Passenger } from './shared-pass.js';
import type { Hit } from './vector-index.js';

/** One call of `VectorIndex.search`. */
export interface VectorSearch {
  readonly queries: number;
  /** In float64, which changes no value, so that no loop need convert them. */
  readonly vectors: readonly Float64Array[];
  readonly top: number;
  readonly accept: ((id: string) => boolean) | undefined;
}

/** A query as an algorithm gets it. */
export interface PassQuery {
  readonly vector: Float64Array;
  /** How many hits to find: more than the search's `top` when some may be gone after it. */
  readonly keep: number;
  /** Which ids are candidates; it does not throw. Undefined: all. */
  readonly accept: ((id: string) => boolean) | undefined;
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
  readonly accept: PassQuery['accept'];
  keep: number;
  /** What its predicate threw: the search is rejected with it. */
  failure?: { readonly error: unknown };
}

/**
 * Searches until every search of the batch is answered: again for those of which found ids were removed meanwhile, so
 * that fewer than `top` are left of what may be more. Each time more is kept in reserve, so it ends.
 */
async function runSearchPass(index: SearchedIndex, batch: readonly Passenger<VectorSearch, Hit[][]>[]): Promise<void> {
  let open = batch.map(openSearch);
  while (open.length > 0) {
    const moment = index.begin();
    try {
      const found = await moment.find(open.flatMap(({ passenger, keep, accept }) => passenger.request.vectors.map((vector) => ({ vector, keep, accept }))));
      let next = 0;
      open = open.filter((search) => !answer(index, search, found.slice(next, (next += search.passenger.request.queries))));
    } finally {
      moment.end();
    }
  }
}

function openSearch(passenger: Passenger<VectorSearch, Hit[][]>): OpenSearch {
  const { top, accept } = passenger.request;
  const search: OpenSearch = { passenger, keep: top, accept: accept && ((id) => ask(search, accept, id)) };
  return search;
}

function ask(search: OpenSearch, accept: (id: string) => boolean, id: string): boolean {
  if (search.failure) return false;
  try {
    return accept(id);
  } catch (error) {
    search.failure = { error };
    return false;
  }
}

/**
 * Makes masks of predicates, one for all queries that share one.
 *
 * @param mask which rows a predicate accepts
 */
export async function maskQueries<Query extends PassQuery>(queries: readonly Query[], mask: (accept: (id: string) => boolean) => Promise<Uint8Array>): Promise<(Query & { readonly mask: Uint8Array | undefined })[]> {
  const masks = new Map<PassQuery['accept'], Uint8Array>();
  for (const { accept } of queries) if (accept && !masks.has(accept)) masks.set(accept, await mask(accept));
  return queries.map((query) => ({ ...query, mask: masks.get(query.accept) }));
}

/** Settles a search by what was found for it, less what was removed since. False: it has to be searched again. */
function answer(index: SearchedIndex, search: OpenSearch, found: readonly (readonly Hit[])[]): boolean {
  const { top } = search.passenger.request;
  if (search.failure) {
    search.passenger.reject(search.failure.error);
    return true;
  }
  const held = found.map((hits) => hits.filter(({ id }) => index.has(id)));
  if (held.some((hits, q) => hits.length < top && (found[q] as Hit[]).length === search.keep)) {
    search.keep *= 2;
    return false;
  }
  search.passenger.resolve(held.map((hits) => hits.slice(0, top)));
  return true;
}
