import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareHits } from '../../common/vector.js';
import { mergeTop } from '../../gateway/merge.js';

const hit = fc.record({ id: fc.constantFrom(...'abcdefghijkl'), score: fc.constantFrom(-1, -0.5, 0, 0.25, 0.5, 1) });
const lists = fc.array(fc.array(hit, { maxLength: 12 }), { maxLength: 6 });
const disjoint = fc.uniqueArray(hit, { selector: ({ id }) => id }).chain((hits) => fc.array(fc.nat(3), { minLength: hits.length, maxLength: hits.length }).map((shards) => [0, 1, 2, 3].map((shard) => hits.filter((_, i) => shards[i] === shard))));

describe('mergeTop()', () => {
  it('equals a sort of the union', () => {
    fc.assert(fc.property(disjoint, fc.nat(20), (shards, top) => {
      expect(mergeTop({ lists: shards, top })).toEqual(shards.flat().sort(compareHits).slice(0, top));
    }));
  });

  it('finds the same from the top X of each shard as from everything', () => {
    fc.assert(fc.property(disjoint, fc.nat(8), (shards, top) => {
      const best = shards.map((list) => [...list].sort(compareHits).slice(0, top));
      expect(mergeTop({ lists: best, top })).toEqual(mergeTop({ lists: shards, top }));
    }));
  });

  it('does not depend on the order of the shards or of their hits', () => {
    fc.assert(fc.property(lists, fc.nat(20), (shards, top) => {
      const reversed = shards.map((list) => [...list].reverse()).reverse();
      expect(mergeTop({ lists: reversed, top })).toEqual(mergeTop({ lists: shards, top }));
    }));
  });

  it('names an id once, with its best score', () => {
    fc.assert(fc.property(lists, (shards) => {
      const merged = mergeTop({ lists: shards, top: Infinity });
      expect(merged.map(({ id }) => id).sort()).toEqual([...new Set(shards.flat().map(({ id }) => id))].sort());
      for (const { id, score } of merged) expect(score).toBe(Math.max(...shards.flat().filter((other) => other.id === id).map((other) => other.score)));
    }));
  });

  it('breaks ties by id', () => {
    expect(mergeTop({ lists: [[{ id: 'b', score: 0.5 }], [{ id: 'a', score: 0.5 }], [{ id: 'c', score: 0.5 }]], top: 2 })).toEqual([{ id: 'a', score: 0.5 }, { id: 'b', score: 0.5 }]);
  });

  it('fills the places of the ids that are left out', () => {
    const shards = [[{ id: 'a', score: 1 }, { id: 'c', score: 0.2 }], [{ id: 'b', score: 0.5 }]];
    expect(mergeTop({ lists: shards, top: 2, without: new Set(['a']) }).map(({ id }) => id)).toEqual(['b', 'c']);
    expect(mergeTop({ lists: shards, top: 2, without: new Set(['a', 'b']) }).map(({ id }) => id)).toEqual(['c']);
  });

  it('changes none of its input', () => {
    const shards = [[{ id: 'b', score: 0 }, { id: 'a', score: 1 }]];
    mergeTop({ lists: shards, top: 1 });
    expect(shards).toEqual([[{ id: 'b', score: 0 }, { id: 'a', score: 1 }]]);
  });
});
