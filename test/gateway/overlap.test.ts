import { describe, expect, it } from 'vitest';
import { overlapAt } from '../../gateway/overlap.js';

const ranked = (ids: string): { id: string }[] => [...ids].map((id) => ({ id }));

describe('overlapAt()', () => {
  it.each([
    ['the same images in any order', 3, 'abc', 'cab', 1],
    ['two of four', 4, 'abcd', 'xbya', 0.5],
    ['none', 2, 'ab', 'cd', 0],
    ['only what stands among the first k', 2, 'abcd', 'cdab', 0],
    ['as many as there are, where there are fewer than k', 10, 'abcd', 'abc', 0.75],
    ['nothing against something', 3, '', 'abc', 0],
  ])('compares %s', (_what, k, one, other, overlap) => {
    expect([overlapAt(k, ranked(one), ranked(other)), overlapAt(k, ranked(other), ranked(one))]).toEqual([overlap, overlap]);
  });

  it('says nothing of two empty rankings', () => {
    expect(overlapAt(10, [], [])).toBeUndefined();
  });
});
