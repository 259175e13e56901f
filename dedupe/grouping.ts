/**
 * Groups of copies from pairs that were taken for copies. Pairs chain: a is like b, b like c, and after some steps nothing
 * of a is left. So a group is a star: all of it are copies of one in its middle, which is who has most copies (J. Aslam,
 * E. Pelekhov, D. Rus, "The Star Clustering Algorithm", 2004). Copies that are altered in two ways, a caption on the one and a border
 * around the other, are seldom seen to be alike, but both are seen to be like the original.
 *
 * Who stands for a group is another matter: the best picture, be it in the middle or not.
 */
export interface Member {
  readonly id: string;
  /** Width × height. */
  readonly pixels: number;
  /** ms since the epoch. */
  readonly createdAt: number;
}

export interface Group {
  /** Of the member that stands for the group: the largest picture, of those the oldest, of those the smallest id. */
  readonly canonical: string;
  /** All, the canonical one first, then by the same order. */
  readonly members: readonly string[];
}

/** Two ids that were taken for copies, in either order. */
export type Pair = readonly [a: string, b: string];

type Partners = ReadonlyMap<string, ReadonlySet<string>>;

/** Puts those first that stand for a group. */
export function compareMembers(a: Member, b: Member): number {
  return b.pixels - a.pixels || a.createdAt - b.createdAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/**
 * The groups of some images, in the order of their canonical members; who is alone is in none. The same for any order of
 * what is given.
 *
 * @param pairs of these images; what others are in is left out
 */
export function groupCopies(members: readonly Member[], pairs: readonly Pair[]): Group[] {
  const ids = new Set(members.map(({ id }) => id));
  const partners = partnersOf(pairs.filter(([a, b]) => ids.has(a) && ids.has(b)));
  const ranked = members.filter(({ id }) => partners.has(id)).sort(compareMembers).map(({ id }) => id);
  const middles = elect(starsOf(ranked, partners), partners);
  const stars = gather(ranked.map((id) => [id, middles.get(id) as string]));
  return stars.filter(({ members: { length } }) => length > 1).map(({ members: inside }) => ({ canonical: inside[0] as string, members: inside }));
}

/** Groups of ids that are known with what stands for them; each group in the order that they come in. */
export function gather(members: readonly (readonly [id: string, canonical: string])[]): Group[] {
  const groups = new Map<string, string[]>();
  for (const [id, canonical] of members) {
    const ids = groups.get(canonical);
    if (ids) ids.push(id);
    else groups.set(canonical, [id]);
  }
  return [...groups].map(([canonical, ids]) => ({ canonical, members: ids }));
}

/** The middle of each: who has most partners takes all that no other has yet. @param ranked who is first of equals */
function starsOf(ranked: readonly string[], partners: Partners): Map<string, string> {
  const middles = new Map<string, string>();
  const byPartners = [...ranked].sort((a, b) => sizeOf(partners, b) - sizeOf(partners, a)); // stable
  for (const middle of byPartners) {
    if (middles.has(middle)) continue;
    middles.set(middle, middle);
    for (const id of partners.get(middle) ?? []) if (!middles.has(id)) middles.set(id, middle);
  }
  return middles;
}

/**
 * Who came first took what has more partners in another group whose middle it is a copy of: that has it now. So one pair that was taken for
 * copies by mistake does not draw a picture away from its own.
 */
function elect(stars: ReadonlyMap<string, string>, partners: Partners): Map<string, string> {
  const elected = new Map<string, string>();
  for (const [id, middle] of stars) {
    const votes = new Map<string, number>();
    for (const partner of partners.get(id) ?? []) {
      const other = stars.get(partner) as string;
      votes.set(other, (votes.get(other) ?? 0) + 1);
    }
    const open = [...votes].filter(([other]) => stars.get(id) !== id && partners.get(id)?.has(other));
    const [best] = open.sort(([a, mine], [b, its]) => its - mine || Number(b === middle) - Number(a === middle) || (a < b ? -1 : 1));
    elected.set(id, best?.[0] ?? middle);
  }
  return elected;
}

function sizeOf(partners: Partners, id: string): number {
  return partners.get(id)?.size ?? 0;
}

function partnersOf(pairs: readonly Pair[]): Map<string, Set<string>> {
  const partners = new Map<string, Set<string>>();
  const add = (a: string, b: string): void => void (partners.get(a)?.add(b) ?? partners.set(a, new Set([b])));
  for (const [a, b] of pairs) {
    if (a === b) continue;
    add(a, b);
    add(b, a);
  }
  return partners;
}
