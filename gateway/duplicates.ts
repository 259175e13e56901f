/**
 * What the results of a search stand for: the near-duplicates that were left out of it. Members of a group lie in any shard,
 * and one that is far down in its shard's ranking is not among its hits, so the shards are asked for the groups by name;
 * only when there are groups among the results.
 */
import type { DuplicateImage, GroupsAnswer, SearchResult } from '../common/wire.js';
import { browserUrl } from './browser-url.js';

/** A result before it is said what it stands for. */
export interface GroupedResult {
  readonly result: SearchResult;
  /** Undefined: it is alone. */
  readonly canonical: string | undefined;
}

export interface DuplicatesOptions {
  /** Images that are named, of each result. */
  readonly imagesMax: number;
  /** Images that are none of the results' own: those that were searched with. */
  readonly without: ReadonlySet<string>;
}

/** The ids that the groups of some results are asked for by. */
export function groupsOf(results: readonly GroupedResult[]): string[] {
  return results.flatMap(({ canonical }) => canonical ?? []);
}

/**
 * The results with what each stands for.
 *
 * @param answers of the shards that answered; what another holds is not counted
 */
export function withDuplicates(results: readonly GroupedResult[], answers: readonly GroupsAnswer[], { imagesMax, without }: DuplicatesOptions): SearchResult[] {
  const groups = new Map<string, { count: number; members: Map<string, DuplicateImage> }>();
  for (const { canonical, count, members } of answers.flatMap((answer) => answer.groups)) {
    const group = groups.get(canonical) ?? { count: 0, members: new Map<string, DuplicateImage>() };
    groups.set(canonical, group);
    group.count += count;
    for (const member of members) group.members.set(member.id, member);
  }
  return results.map(({ result, canonical }) => {
    const group = canonical === undefined ? undefined : groups.get(canonical);
    if (!group) return result;
    const own = 1 + [...without].filter((id) => group.members.has(id)).length;
    const images = [...group.members.values()].filter(({ id }) => id !== result.id && !without.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1));
    const count = Math.max(images.length, group.count - own);
    if (count === 0) return result;
    return { ...result, duplicates: { count, images: images.slice(0, imagesMax).map((image) => ({ ...image, url: browserUrl(image.id, image.urls) })) } };
  });
}
