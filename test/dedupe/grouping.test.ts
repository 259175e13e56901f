import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupCopies, type Member, type Pair } from '../../dedupe/grouping.js';

const member = (id: string, pixels = 100, createdAt = 0): Member => ({ id, pixels, createdAt });
const members = (ids: string): Member[] => [...ids].map((id) => member(id));
const pairsOf = (...pairs: string[]): Pair[] => pairs.map((pair) => [pair[0]!, pair[1]!]);

describe('groupCopies()', () => {
  it('leaves out who is alone, and pairs with others than these', () => {
    expect(groupCopies(members('abc'), pairsOf('ab', 'cx'))).toEqual([{ canonical: 'a', members: ['a', 'b'] }]);
    expect(groupCopies(members('abc'), [])).toEqual([]);
  });

  it('lets the largest picture stand for a group, of equal ones the oldest, then the smallest id', () => {
    const canonical = (all: Member[]): string | undefined => groupCopies(all, pairsOf('ab', 'bc', 'ac'))[0]?.canonical;
    expect(canonical([member('a', 1, 1), member('b', 2, 9), member('c', 1, 0)])).toBe('b');
    expect(canonical([member('a', 2, 5), member('b', 2, 3), member('c', 2, 4)])).toBe('b');
    expect(canonical(members('cba'))).toBe('a');
  });

  it('takes for one group what are copies of the same picture, though it does not stand for the group and they are not alike', () => {
    expect(groupCopies([member('a', 9), member('b', 1), member('c', 2)], pairsOf('ab', 'bc'))).toEqual([{ canonical: 'a', members: ['a', 'c', 'b'] }]);
  });

  it('does not drift along a chain', () => {
    const ids = Array.from({ length: 20 }, (_, i) => String.fromCharCode(97 + i));
    const groups = groupCopies(ids.map((id) => member(id)), ids.slice(1).map((id, i): Pair => [ids[i]!, id]));
    for (const { members: all } of groups) expect(all.length).toBeLessThanOrEqual(3);
    expect(groups.flatMap(({ members: all }) => all).length).toBeGreaterThan(10);
  });

  it('leaves a picture with those that it has most partners among, whatever one wrong pair says', () => {
    const own = ['ab', 'ac', 'ax', 'bc', 'bx', 'cx'];
    const others = ['de', 'df', 'dg', 'dh', 'di', 'ef'];
    expect(groupCopies(members('abcdefghix'), pairsOf(...own, ...others, 'dx'))).toEqual([{ canonical: 'a', members: ['a', 'b', 'c', 'x'] }, { canonical: 'd', members: ['d', 'e', 'f', 'g', 'h', 'i'] }]);
  });

  it('gives the same groups for any order, nobody in two, and everybody a copy of one of the group', () => {
    const ids = [...'abcdefghij'];
    const pair = fc.tuple(fc.constantFrom(...ids), fc.constantFrom(...ids));
    fc.assert(fc.property(fc.array(pair, { maxLength: 30 }), fc.array(fc.nat(3), { minLength: 10, maxLength: 10 }), (pairs, sizes) => {
      const all = ids.map((id, i) => member(id, sizes[i]));
      const groups = groupCopies(all, pairs);
      expect(groupCopies([...all].reverse(), [...pairs].reverse().map(([a, b]): Pair => [b, a]))).toEqual(groups);
      const grouped = groups.flatMap(({ members: inside }) => inside);
      expect(new Set(grouped).size).toBe(grouped.length);
      const isPair = (a: string, b: string): boolean => pairs.some(([one, other]) => (a === one && b === other) || (b === one && a === other));
      for (const { members: inside } of groups) expect(inside.some((middle) => inside.every((id) => id === middle || isPair(id, middle)))).toBe(true);
    }));
  });
});
