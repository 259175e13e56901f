import { describe, expect, it } from 'vitest';
import { overlapAt } from '../../common/overlap.js';

describe('overlapAt()', () => {
  it.each([
    ['the same images in any order', 3, 'abc', 'cab', 1],
    ['two of four', 4, 'abcd', 'xbya', 0.5],
    ['none', 2, 'ab', 'cd', 0],
    ['only what stands among the first k', 2, 'abcd', 'cdab', 0],
    ['as many as there are, where there are fewer than k', 10, 'abcd', 'abc', 0.75],
    ['nothing against something', 3, '', 'abc', 0],
    ['two of the first three', 3, 'abcd', 'cbxa', 2 / 3],
    ['the same four in the other order', 4, 'abcd', 'dcba', 1],
    ['both whole, where both have fewer than k', 10, 'ab', 'ba', 1],
    ['two against the four that they are of', 10, 'abcd', 'ab', 0.5],
  ])('compares %s', (_what, k, one, other, overlap) => {
    expect([overlapAt(k, [...one], [...other]), overlapAt(k, [...other], [...one])]).toEqual([overlap, overlap]);
  });

  it('says nothing of two empty rankings', () => {
    expect(overlapAt(10, [], [])).toBeUndefined();
  });
});
