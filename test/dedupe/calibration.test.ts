import { describe, expect, it } from 'vitest';
import { calibrate, MARGINS_MIN } from '../../dedupe/calibration.js';
import { SeededRandom } from '../support/seeded-random.js';

interface Drawn {
  readonly margin: number;
  readonly isCopy: boolean;
}

/** Margins of non-copies that fall off exponentially, and of copies anywhere up to 0.5. */
function draw({ nonCopies, copies, falloff, seed = 1 }: { readonly nonCopies: number; readonly copies: number; readonly falloff: number; readonly seed?: number }): Drawn[] {
  const random = new SeededRandom(seed);
  return [
    ...Array.from({ length: nonCopies }, () => ({ margin: -falloff * Math.log(1 - random.next()), isCopy: false })),
    ...Array.from({ length: copies }, () => ({ margin: 0.5 * random.next(), isCopy: true })),
  ];
}

const marginsOf = (drawn: readonly Drawn[]): number[] => drawn.map(({ margin }) => margin);

function rates(drawn: readonly Drawn[], threshold: number): { precision: number; recall: number } {
  const accepted = drawn.filter(({ margin }) => margin > threshold);
  const right = accepted.filter(({ isCopy }) => isCopy).length;
  return { precision: right / Math.max(1, accepted.length), recall: right / drawn.filter(({ isCopy }) => isCopy).length };
}

describe('calibrate()', () => {
  it('finds the share of non-copies and how they fall off', () => {
    const drawn = draw({ nonCopies: 9_000, copies: 3_000, falloff: 0.012 });
    const calibration = calibrate({ neighbours: marginsOf(drawn), vouched: marginsOf(draw({ nonCopies: 0, copies: 500, falloff: 1, seed: 2 })) })!;
    expect(calibration.nonCopyShare).toBeCloseTo(0.75, 1);
    expect(calibration.falloff).toBeCloseTo(0.012, 3);
    expect(calibration.margins).toBe(12_000);
  });

  it('accepts few non-copies, and most copies, whatever the scale of a model', () => {
    for (const falloff of [0.004, 0.012, 0.03]) {
      const drawn = draw({ nonCopies: 9_000, copies: 3_000, falloff, seed: 3 });
      const { threshold } = calibrate({ neighbours: marginsOf(drawn), vouched: marginsOf(draw({ nonCopies: 0, copies: 500, falloff: 1, seed: 4 })) })!;
      const { precision, recall } = rates(drawn, threshold);
      expect(precision).toBeGreaterThan(0.995);
      expect(recall).toBeGreaterThan(1 - (12 * falloff) / 0.5);
    }
  });

  it('asks less of pairs that the hash vouches for', () => {
    const drawn = draw({ nonCopies: 9_000, copies: 3_000, falloff: 0.012 });
    const vouched = draw({ nonCopies: 50, copies: 1_000, falloff: 0.012, seed: 5 });
    const { threshold, vouchedThreshold } = calibrate({ neighbours: marginsOf(drawn), vouched: marginsOf(vouched) })!;
    expect(vouchedThreshold).toBeLessThan(threshold);
    expect(rates(vouched, vouchedThreshold).precision).toBeGreaterThan(0.99);
  });

  it('accepts next to nothing where there are no copies', () => {
    const drawn = draw({ nonCopies: 5_000, copies: 0, falloff: 0.012 });
    const { threshold } = calibrate({ neighbours: marginsOf(drawn), vouched: [] })!;
    expect(drawn.filter(({ margin }) => margin > threshold).length).toBeLessThanOrEqual(2);
  });

  it('leaves margins of zero and less out, and says so when too few are left', () => {
    const few = marginsOf(draw({ nonCopies: MARGINS_MIN - 1, copies: 0, falloff: 0.01 }));
    expect(calibrate({ neighbours: [...few, ...few.map((margin) => -margin), 0], vouched: [] })).toBeUndefined();
    expect(calibrate({ neighbours: [...few, 0.01], vouched: [] })).toBeDefined();
  });
});
