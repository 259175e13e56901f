/**
 * Groups of copies from pairs that were taken for copies. Pairs chain: a is like b, b like c, and after some steps nothing
 * of a is left. So a group is what can be reached from its canonical member, as far as each member is itself near that one.
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

/** How near a picture is to one that may stand for it: what is above `least` is near enough. */
export interface Nearness {
  readonly least: number;
  readonly of: (id: string, canonical: string) => Promise<number>;
}

type Partners = ReadonlyMap<string, ReadonlySet<string>>;

/** Puts those first that stand for a group. */
export function compareMembers(a: Member, b: Member): number {
  return b.pixels - a.pixels || a.createdAt - b.createdAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/**
 * The groups of some images, in the order of their canonical members; who is alone is in none. The same for any order of
 * what is given.
 *
 * @param pairs of these images: what is one with a canonical member is near it
 */
export async function groupCopies(members: readonly Member[], pairs: readonly Pair[], nearness: Nearness): Promise<Group[]> {
  const partners = partnersOf(pairs);
  const ranked = members.filter(({ id }) => partners.has(id)).sort(compareMembers).map(({ id }) => id);
  const known = new Set(ranked);
  const canonicalOf = new Map<string, string>();
  for (const canonical of ranked) {
    if (canonicalOf.has(canonical)) continue;
    const reached = await reach(canonical, { partners, isFree: (id) => known.has(id) && !canonicalOf.has(id), nearness });
    for (const id of reached) canonicalOf.set(id, canonical);
  }
  await moveToNearest(canonicalOf, { ranked, partners, nearness });
  return gather(ranked.map((id) => [id, canonicalOf.get(id) as string])).filter(({ members: { length } }) => length > 1);
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

/** What is reached from a canonical member, itself among it. */
async function reach(canonical: string, { partners, isFree, nearness }: { readonly partners: Partners; readonly isFree: (id: string) => boolean; readonly nearness: Nearness }): Promise<Set<string>> {
  const direct = partners.get(canonical);
  const reached = new Set([canonical]);
  const refused = new Set<string>();
  for (const id of reached) { // a set's iteration comes to what is added meanwhile
    for (const next of partners.get(id) ?? []) {
      if (reached.has(next) || refused.has(next) || !isFree(next)) continue;
      if (direct?.has(next) || (await nearness.of(next, canonical)) > nearness.least) reached.add(next);
      else refused.add(next);
    }
  }
  return reached;
}

/** Larger pictures came first, and took what is still nearer to another canonical member: that has it now. */
async function moveToNearest(canonicalOf: Map<string, string>, { ranked, partners, nearness }: { readonly ranked: readonly string[]; readonly partners: Partners; readonly nearness: Nearness }): Promise<void> {
  for (const id of ranked) {
    const canonical = canonicalOf.get(id) as string;
    const others = [...(partners.get(id) ?? [])].filter((other) => other !== canonical && canonicalOf.get(other) === other).sort();
    if (canonical === id || others.length === 0) continue;
    let best = { canonical, nearness: await nearness.of(id, canonical) };
    for (const other of others) {
      const found = await nearness.of(id, other);
      if (found > best.nearness) best = { canonical: other, nearness: found };
    }
    canonicalOf.set(id, best.canonical);
  }
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
