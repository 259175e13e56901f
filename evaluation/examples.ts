/** Queries to look at: those that a run answered best, and worst. */
import { compare, type Query } from './collection.js';
import { depthOf, precisionOf, type Hit, type Places, type Run } from './runs.js';

export interface Example {
  readonly query: Query;
  readonly averagePrecision: number;
  readonly hits: readonly Hit[];
}

/**
 * Ordered by average precision, then by how far the first right answer scores above the first wrong one, then by id. Of one
 * image there is one example at most, so that they show different things; none is among the best and the worst.
 */
export function findExamples(queries: readonly Query[], run: Run, { places, best: bestCount, worst: worstCount }: { readonly places: Places; readonly best: number; readonly worst: number }): { readonly best: Example[]; readonly worst: Example[] } {
  const ordered = queries
    .map((query) => ({ query, hits: run.answers.get(query.id) ?? [], averagePrecision: precisionOf(query, run, depthOf(places)) }))
    .map((example) => ({ ...example, margin: marginOf(example) }))
    .sort((a, b) => b.averagePrecision - a.averagePrecision || b.margin - a.margin || compare(a.query.id, b.query.id));
  const worst = takeImages([...ordered].reverse(), worstCount, new Set());
  const best = takeImages(ordered, bestCount, new Set(worst.map(({ query }) => query.id)));
  return { best, worst };
}

function marginOf({ query, hits }: Pick<Example, 'query' | 'hits'>): number {
  const right = hits.find(({ id }) => query.relevant.has(id))?.score ?? -1;
  const wrong = hits.find(({ id }) => !query.relevant.has(id))?.score ?? -1;
  return right - wrong;
}

function takeImages(examples: readonly Example[], count: number, taken: ReadonlySet<string>): Example[] {
  const images = new Set<string>();
  return examples
    .filter(({ query }) => !taken.has(query.id) && !images.has(query.image.id) && images.add(query.image.id))
    .slice(0, count)
    .map(({ query, averagePrecision, hits }) => ({ query, averagePrecision, hits }));
}
