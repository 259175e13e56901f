import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseByWeight } from '../../gateway/traffic.js';

const uniform = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const choices = (...weights: number[]): { name: number; weight: number }[] => weights.map((weight, name) => ({ name, weight }));

describe('chooseByWeight()', () => {
  it('chooses in proportion to the weights', () => {
    const counts = [0, 0, 0];
    for (let i = 0; i < 1_000; i++) (counts[chooseByWeight(choices(1, 0, 3), () => i / 1_000)!.name] as number)++;
    expect(counts).toEqual([250, 0, 750]);
  });

  it('never chooses one of weight 0 while another has more', () => {
    fc.assert(fc.property(fc.array(fc.constantFrom(0, 0.1, 1, 7), { minLength: 1 }).filter((weights) => weights.some((weight) => weight > 0)), uniform, (weights, random) => {
      expect(chooseByWeight(choices(...weights), () => random)?.weight).toBeGreaterThan(0);
    }));
  });

  it('takes weights of 0 everywhere as equal', () => {
    expect([0, 0.5, 0.99].map((random) => chooseByWeight(choices(0, 0, 0), () => random)?.name)).toEqual([0, 1, 2]);
  });

  it('has nothing to choose from nothing', () => {
    expect(chooseByWeight([], () => 0.5)).toBeUndefined();
  });
});
