import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareHits } from '../../common/vector.js';
import { mergeTop } from '../../gateway/merge.js';
import { searchGroups } from '../../indexer/group-search.js';
import type { Matching } from '../../indexer/filter-verdicts.js';
import type { Hit, SearchOptions } from '../../indexer/vector-index.js';

interface Grouped extends Hit {
  readonly group: string;
}

const IDS = [...'abcdefghijklmnopqrstuvwxyz'];
/** A ranking of some images, many of them in a few groups, with ties. */
const ranking = fc.shuffledSubarray(IDS, { minLength: 0 }).chain((ids) =>
  fc.array(fc.tuple(fc.constantFrom(0, 0.25, 0.5, 0.75, 1), fc.option(fc.constantFrom('A', 'B', 'C'), { nil: undefined })), { minLength: ids.length, maxLength: ids.length }).map((facts) =>
    ids.map((id, i): Grouped => ({ id, score: facts[i]![0], group: facts[i]![1] ?? id })).sort(compareHits),
  ),
);

/** The first of each group in all that there is. */
function collapsed(hits: readonly Grouped[], { top, without }: { readonly top: number; readonly without?: ReadonlySet<string> }): Grouped[] {
  const left = [...hits].sort(compareHits).filter(({ id }) => !without?.has(id));
  return left.filter(({ group }, i) => left.findIndex((other) => other.group === group) === i).slice(0, top);
}

async function searchIn(hits: readonly Grouped[], options: { readonly top: number; readonly without?: ReadonlySet<string> }, depths: number[] = []): Promise<Hit[]> {
  const groups = new Map(hits.map(({ id, group }) => [id, group]));
  const index = {
    size: hits.length,
    search: async (queries: readonly Float32Array[], { top }: { readonly top: number }) => {
      depths.push(top);
      return queries.map(() => hits.slice(0, top));
    },
  };
  const [found] = await searchGroups(index, [new Float32Array(1)], { ...options, groupOf: (id) => groups.get(id) as string });
  return found as Hit[];
}

describe('searchGroups()', () => {
  it('answers what collapsing the whole ranking answers', async () => {
    await fc.assert(fc.asyncProperty(ranking, fc.integer({ min: 1, max: 12 }), fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 4 }).map((ids) => new Set(ids)), async (hits, top, without) => {
      expect(await searchIn(hits, { top, without })).toEqual(collapsed(hits, { top, without }));
    }));
  });

  it('looks no deeper than it has to', async () => {
    const alone = IDS.map((id, i): Grouped => ({ id, score: -i, group: id }));
    const depths: number[] = [];
    await searchIn(alone, { top: 5 }, depths);
    expect(depths).toEqual([5]);
  });

  it('looks on below a group that is larger than what was asked for', async () => {
    const hits = IDS.map((id, i): Grouped => ({ id, score: -i, group: i < 20 ? 'A' : id }));
    expect((await searchIn(hits, { top: 3 })).map(({ id }) => id)).toEqual(['a', 'u', 'v']);
  });

  it('answers several queries, each as far as it needs', async () => {
    const rankings = [IDS.map((id, i) => ({ id, score: -i })), [...IDS].reverse().map((id, i) => ({ id, score: -i }))];
    const index = { size: IDS.length, search: async (queries: readonly Float32Array[], { top }: { readonly top: number }) => queries.map((query) => (rankings[query[0] as number] as Hit[]).slice(0, top)) };
    const found = await searchGroups(index, [Float32Array.of(0), Float32Array.of(1)], { top: 2, groupOf: (id) => (id < 'f' ? 'A' : id) });
    expect(found.map((hits) => hits.map(({ id }) => id))).toEqual([['a', 'f'], ['z', 'y']]);
  });
});

describe('searchGroups() of what matches a filter', () => {
  const matchingOf = (ids: ReadonlySet<string>): Matching => ({ size: ids.size, has: (id) => ids.has(id), pieces: () => [] });
  const searchAmong = async (hits: readonly Grouped[], among: Matching, options: { readonly top: number; readonly without?: ReadonlySet<string> }, asked: string[] = []): Promise<Hit[]> => {
    const index = {
      size: hits.length,
      search: async (queries: readonly Float32Array[], { top, among: only }: SearchOptions) => {
        asked.push(only ? 'among' : `all to ${top}`);
        return queries.map(() => hits.filter(({ id }) => !only || only.has(id)).slice(0, top));
      },
    };
    const groups = new Map(hits.map(({ id, group }) => [id, group]));
    const [found] = await searchGroups(index, [new Float32Array(1)], { ...options, among, groupOf: (id) => groups.get(id) as string });
    return found as Hit[];
  };

  it('answers what collapsing the ranking of what matches answers', async () => {
    await fc.assert(fc.asyncProperty(ranking, fc.uniqueArray(fc.constantFrom(...IDS)), fc.integer({ min: 1, max: 12 }), fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 4 }).map((ids) => new Set(ids)), async (hits, matching, top, without) => {
      const ids = new Set(matching.filter((id) => hits.some((hit) => hit.id === id)));
      expect(await searchAmong(hits, matchingOf(ids), { top, without })).toEqual(collapsed(hits.filter(({ id }) => ids.has(id)), { top, without }));
    }));
  });

  const many = Array.from({ length: 4_000 }, (_, i): Grouped => ({ id: String(i), score: -i, group: String(i) }));
  const idsWhere = (matches: (i: number) => boolean): ReadonlySet<string> => new Set(many.flatMap(({ id }, i) => (matches(i) ? [id] : [])));

  it('passes over what does not match where much does, searches among the few, and not at all where nothing matches', async () => {
    const [half, few, none]: string[][] = [[], [], []];
    expect(await searchAmong(many, matchingOf(idsWhere((i) => i % 2 === 0)), { top: 2 }, half)).toHaveLength(2);
    expect(await searchAmong(many, matchingOf(idsWhere((i) => i % 1_000 === 0)), { top: 2 }, few)).toHaveLength(2);
    expect(await searchAmong(many, matchingOf(new Set()), { top: 2 }, none)).toEqual([]);
    expect([half, few, none]).toEqual([[expect.stringMatching(/^all to \d+$/)], ['among'], []]);
  });

  it('searches among what matches where much does, but none of it is near', async () => {
    const asked: string[] = [];
    const hits = await searchAmong(many, matchingOf(idsWhere((i) => i >= 2_000)), { top: 3 }, asked);
    expect(hits.map(({ id }) => id)).toEqual(['2000', '2001', '2002']);
    expect(asked.at(-1)).toBe('among');
    expect(asked.length).toBeGreaterThan(1);
  });
});

describe('searchGroups() of shards, merged', () => {
  it('equals collapsing the ranking of all', async () => {
    await fc.assert(fc.asyncProperty(ranking, fc.array(fc.nat(2), { minLength: IDS.length, maxLength: IDS.length }), fc.integer({ min: 1, max: 8 }), fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 4 }).map((ids) => new Set(ids)), async (hits, shardOf, top, without) => {
      const shards = [0, 1, 2].map((shard) => hits.filter(({ id }) => shardOf[IDS.indexOf(id)] === shard));
      const lists = await Promise.all(shards.map((shard) => searchIn(shard, { top, without })));
      expect(mergeTop({ lists: lists as Grouped[][], top, without, groupOf: ({ group }) => group })).toEqual(collapsed(hits, { top, without }));
    }));
  });
});
