/** Merges the hits of several shards into one ranking. */
import { compareHits } from '../common/vector.js';

interface Hit {
  readonly id: string;
  readonly score: number;
}

export interface MergeOptions<H extends Hit> {
  /** The hits of each shard, in any order. */
  readonly lists: readonly (readonly H[])[];
  readonly top: number;
  /** Ids that are left out. */
  readonly without?: ReadonlySet<string> | undefined;
  /** What names a hit's group, of which only the best stands; missing: every hit stands. */
  readonly groupOf?: ((hit: H) => string) | undefined;
}

/**
 * The best `top` hits of all lists, ranked by `compareHits`. An id that several lists hold (slots are moving from one
 * shard to another) stands once, with its best score. Scores are not changed. The lists come ranked, and the engine's
 * TimSort takes ranked stretches as they are: it merges rather than sorts.
 *
 * With groups it is exact when each list has the best of each of its best `top` groups: whatever stands before a group's
 * best in the whole ranking is of fewer than `top` groups, and in its own list too.
 */
export function mergeTop<H extends Hit>({ lists, top, without, groupOf }: MergeOptions<H>): H[] {
  const merged: H[] = [];
  const seen = new Set<string>();
  const groups = new Set<string>();
  for (const hit of lists.flat().sort(compareHits)) {
    if (merged.length >= top) break;
    if (without?.has(hit.id) || seen.has(hit.id)) continue;
    seen.add(hit.id);
    const group = groupOf?.(hit);
    if (group !== undefined && groups.has(group)) continue;
    if (group !== undefined) groups.add(group);
    merged.push(hit);
  }
  return merged;
}
