/**
 * A search that answers not whatever is nearest: it passes over some images, answers one image of each group of near-duplicates, or
 * only images that match a filter. Exactly: the ranking is taken as far down as it takes for so many to be found, so what is answered
 * is the top of the whole ranking with the others left out, and all but the first of each group.
 *
 * What a filter leaves out is passed over, too, where it matches many; where it matches few, or many of which none are near, the index
 * is searched among those that match.
 */
import type { Matching } from './filter-verdicts.js';
import type { Hit, SearchOptions, VectorIndex } from './vector-index.js';

export interface GroupSearchOptions extends SearchOptions {
  /** What an image's group is named by; an image that is alone is a group of its own. Default: each is. */
  readonly groupOf?: ((id: string) => string) | undefined;
  /** Images that are passed over, before their groups have their first. */
  readonly without?: ReadonlySet<string> | undefined;
  /** Only these are answered. */
  readonly among?: Matching | undefined;
}

/** How much further down is looked each time. */
const DEEPER = 2;
/** The same, once, where what a filter leaves out is passed over: what was not found there either is far away. */
const DEEPER_PASSING = 8;
/** To rank one hit more costs about as much as to look up so many of the images that match, which a search among them takes. */
const LOOKUPS_PER_HIT = 50;

/**
 * The best hit of each of the best `top` groups, for each query, best first.
 *
 * @throws what `VectorIndex.search` throws
 */
export async function searchGroups(index: Pick<VectorIndex, 'search' | 'size'>, queries: readonly Float32Array[], { groupOf = (id) => id, without, among, top, ...options }: GroupSearchOptions): Promise<Hit[][]> {
  const answers = queries.map((): Hit[] => []);
  let open = among?.size === 0 ? [] : [...queries.keys()];
  const least = top + (without?.size ?? 0);
  let depth = among ? depthAmong(least, among.size / index.size) : least;
  const depthMax = depth * DEEPER_PASSING;
  let only = among;
  for (; open.length > 0; depth *= only ? DEEPER_PASSING : DEEPER) {
    if (only && (depth > depthMax || depth * LOOKUPS_PER_HIT > only.size)) [only, depth] = [undefined, least];
    const found = await index.search(open.map((q) => queries[q] as Float32Array), { ...options, top: depth, among: only ? undefined : among });
    open.forEach((q, i) => (answers[q] = firstOfGroups(found[i] as Hit[], { groupOf, without, only, top })));
    open = open.filter((q, i) => (answers[q] as Hit[]).length < top && (found[i] as Hit[]).length >= depth);
  }
  return answers;
}

/** How deep so many of a share of all images mostly lie: two standard deviations more than on average. */
function depthAmong(count: number, share: number): number {
  return Math.ceil((count + 2 * Math.sqrt(count) + 2) / share);
}

interface Passing extends Pick<GroupSearchOptions, 'without' | 'top'> {
  readonly groupOf: (id: string) => string;
  readonly only: Matching | undefined;
}

function firstOfGroups(hits: readonly Hit[], { groupOf, without, only, top }: Passing): Hit[] {
  const seen = new Set<string>();
  const first: Hit[] = [];
  for (const hit of hits) {
    if (first.length >= top) break;
    const group = groupOf(hit.id);
    if (without?.has(hit.id) || seen.has(group) || only?.has(hit.id) === false) continue;
    seen.add(group);
    first.push(hit);
  }
  return first;
}
