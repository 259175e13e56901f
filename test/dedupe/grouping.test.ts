import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupCopies, type Member, type Nearness, type Pair } from '../../dedupe/grouping.js';

const member = (id: string, pixels = 100, createdAt = 0): Member => ({ id, pixels, createdAt });
const members = (ids: string): Member[] => [...ids].map((id) => member(id));
const pairsOf = (...pairs: string[]): Pair[] => pairs.map((pair) => [pair[0]!, pair[1]!]);
const never: Nearness = { least: 0, of: async () => -1 };
const always: Nearness = { least: 0, of: async () => 1 };

describe('groupCopies()', () => {
  it('leaves out who is alone', async () => {
    expect(await groupCopies(members('abc'), pairsOf('ab'), never)).toEqual([{ canonical: 'a', members: ['a', 'b'] }]);
    expect(await groupCopies(members('abc'), [], always)).toEqual([]);
  });

  it('lets the largest picture stand for a group, of equal ones the oldest, then the smallest id', async () => {
    const canonical = async (all: Member[]): Promise<string | undefined> => (await groupCopies(all, pairsOf('ab', 'bc', 'ac'), never))[0]?.canonical;
    expect(await canonical([member('a', 1, 1), member('b', 2, 9), member('c', 1, 0)])).toBe('b');
    expect(await canonical([member('a', 2, 5), member('b', 2, 3), member('c', 2, 4)])).toBe('b');
    expect(await canonical(members('cba'))).toBe('a');
  });

  it('takes in what is reached over others only when it is near the canonical member', async () => {
    expect(await groupCopies(members('abc'), pairsOf('ab', 'bc'), always)).toEqual([{ canonical: 'a', members: ['a', 'b', 'c'] }]);
    expect(await groupCopies(members('abc'), pairsOf('ab', 'bc'), never)).toEqual([{ canonical: 'a', members: ['a', 'b'] }]);
  });

  it('does not drift along a chain', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => String.fromCharCode(97 + i));
    const place = (id: string): number => id.charCodeAt(0);
    const nearness: Nearness = { least: -2.5, of: async (id, canonical) => -Math.abs(place(id) - place(canonical)) };
    const groups = await groupCopies(ids.map((id) => member(id)), ids.slice(1).map((id, i): Pair => [ids[i]!, id]), nearness);
    for (const { canonical, members: all } of groups) for (const id of all) expect(Math.abs(place(id) - place(canonical))).toBeLessThanOrEqual(2);
    expect(groups.flatMap(({ members: all }) => all).sort()).toEqual(ids.slice(0, 3 * Math.floor(20 / 3)).concat(ids.slice(18)).sort());
  });

  it('gives a picture to the canonical member that it is nearest to, not to the largest that has it', async () => {
    const nearness: Nearness = { least: 0.5, of: async (id, canonical) => (id === 'x' && canonical === 'b' ? 0.9 : 0.1) };
    const all = [member('a', 9), member('b', 8), member('c', 1), member('d', 1), member('x', 1)];
    expect(await groupCopies(all, pairsOf('ac', 'ax', 'bx', 'bd'), nearness)).toEqual([{ canonical: 'a', members: ['a', 'c'] }, { canonical: 'b', members: ['b', 'd', 'x'] }]);
  });

  it('gives the same groups for any order, nobody in two, and everybody near the canonical member', async () => {
    const ids = [...'abcdefghij'];
    const pair = fc.tuple(fc.constantFrom(...ids), fc.constantFrom(...ids));
    await fc.assert(fc.asyncProperty(fc.array(pair, { maxLength: 30 }), fc.array(fc.nat(3), { minLength: 10, maxLength: 10 }), fc.nat(1000), async (pairs, sizes, seed) => {
      const all = ids.map((id, i) => member(id, sizes[i]));
      const nearness: Nearness = { least: 0.5, of: async (a, b) => ((a.charCodeAt(0) * b.charCodeAt(0) * 31 + seed) % 100) / 100 };
      const groups = await groupCopies(all, pairs, nearness);
      expect(await groupCopies([...all].reverse(), [...pairs].reverse().map(([a, b]): Pair => [b, a]), nearness)).toEqual(groups);
      const grouped = groups.flatMap(({ members: inside }) => inside);
      expect(new Set(grouped).size).toBe(grouped.length);
      for (const { canonical, members: inside } of groups) {
        for (const id of inside) {
          const isPair = pairs.some(([a, b]) => (a === id && b === canonical) || (b === id && a === canonical));
          if (id !== canonical) expect(isPair || (await nearness.of(id, canonical)) > nearness.least).toBe(true);
        }
      }
    }));
  });
});
