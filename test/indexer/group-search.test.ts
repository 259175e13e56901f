import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareHits } from '../../common/vector.js';
import { mergeTop } from '../../gateway/merge.js';
import { searchGroups } from '../../indexer/group-search.js';
import type { Hit } from '../../indexer/vector-index.js';

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
    const index = { search: async (queries: readonly Float32Array[], { top }: { readonly top: number }) => queries.map((query) => (rankings[query[0] as number] as Hit[]).slice(0, top)) };
    const found = await searchGroups(index, [Float32Array.of(0), Float32Array.of(1)], { top: 2, groupOf: (id) => (id < 'f' ? 'A' : id) });
    expect(found.map((hits) => hits.map(({ id }) => id))).toEqual([['a', 'f'], ['z', 'y']]);
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
