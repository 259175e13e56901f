/**
 * A search that passes over some images, and answers one image of each group of near-duplicates. Exactly: the ranking is taken as
 * far down as it takes for so many groups to be among it, so what is answered is the top of the whole ranking with those images
 * left out, and all but the first of each group.
 */
import type { Hit, SearchOptions, VectorIndex } from './vector-index.js';

export interface GroupSearchOptions extends SearchOptions {
  /** What an image's group is named by; an image that is alone is a group of its own. Default: each is. */
  readonly groupOf?: ((id: string) => string) | undefined;
  /** Images that are passed over, before their groups have their first. */
  readonly without?: ReadonlySet<string> | undefined;
}

/** How much further down is looked each time. */
const DEEPER = 2;

/**
 * The best hit of each of the best `top` groups, for each query, best first.
 *
 * @throws what `VectorIndex.search` throws
 */
export async function searchGroups(index: Pick<VectorIndex, 'search'>, queries: readonly Float32Array[], { groupOf = (id) => id, without, top, ...options }: GroupSearchOptions): Promise<Hit[][]> {
  const answers = queries.map((): Hit[] => []);
  let open = [...queries.keys()];
  for (let depth = top + (without?.size ?? 0); open.length > 0; depth *= DEEPER) {
    const found = await index.search(open.map((q) => queries[q] as Float32Array), { ...options, top: depth });
    open.forEach((q, i) => (answers[q] = firstOfGroups(found[i] as Hit[], { groupOf, without, top })));
    open = open.filter((q, i) => (answers[q] as Hit[]).length < top && (found[i] as Hit[]).length >= depth);
  }
  return answers;
}

function firstOfGroups(hits: readonly Hit[], { groupOf, without, top }: Pick<GroupSearchOptions, 'without' | 'top'> & { readonly groupOf: (id: string) => string }): Hit[] {
  const seen = new Set<string>();
  const first: Hit[] = [];
  for (const hit of hits) {
    if (first.length >= top) break;
    const group = groupOf(hit.id);
    if (without?.has(hit.id) || seen.has(group)) continue;
    seen.add(group);
    first.push(hit);
  }
  return first;
}
