/**
 * A pass of searches over an index that is written to meanwhile, whatever its algorithm: predicates are asked first, the
 * algorithm finds the best rows of one moment, and what was removed until the answer is left out and made up for.
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
  /** By the moment's numbers of rows: 1 for candidates. Undefined: every row is one. */
  readonly mask: Uint8Array | undefined;
}

/** The rows of one moment, and how the best of them are found. */
export interface SearchMoment {
  /** Which rows a predicate accepts. */
  mask(accept: (id: string) => boolean): Promise<Uint8Array>;
  /** The best rows of each query, best first. */
  find(queries: readonly PassQuery[]): Promise<Hit[][]>;
  /** Called once, when nothing of the moment is read any more. */
  end(): void;
}

export interface SearchedIndex {
  begin(): SearchMoment;
  has(id: string): boolean;
}

export const QUERIES_PER_PASS_MAX = 64;
export const QUERIES_WAITING_MAX = 1_024;

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
      const masked = await maskAll(moment, open);
      const found = await moment.find(masked.flatMap(({ queries }) => queries));
      let next = 0;
      open = masked.flatMap(({ search, queries }) => {
        const hits = found.slice(next, (next += queries.length));
        return answer(index, search, hits) ? [] : [search];
      });
    } finally {
      moment.end();
    }
  }
}

/** The queries of each search; one whose predicate throws is rejected and left out. */
async function maskAll(moment: SearchMoment, open: readonly OpenSearch[]): Promise<{ search: OpenSearch; queries: PassQuery[] }[]> {
  const masked: { search: OpenSearch; queries: PassQuery[] }[] = [];
  for (const search of open) {
    const { vectors, accept } = search.passenger.request;
    try {
      const mask = accept && (await moment.mask(accept));
      masked.push({ search, queries: vectors.map((vector) => ({ vector, keep: search.keep, mask })) });
    } catch (error) {
      search.passenger.reject(error);
    }
  }
  return masked;
}

/** Answers a search with what was found for it, less what was removed since. False: it has to be searched again. */
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
