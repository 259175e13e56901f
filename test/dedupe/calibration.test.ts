import { describe, expect, it } from 'vitest';
import { calibrate, isCopy, MARGINS_MIN, STRATA, type Evidence } from '../../dedupe/calibration.js';
import { SeededRandom } from '../support/seeded-random.js';

interface Drawn extends Evidence {
  readonly margin: number;
  readonly isCopy: boolean;
}

/** Margins of non-copies that fall off exponentially, and of copies anywhere up to 0.5; all with hashes as far from each other. */
function draw({ nonCopies, copies, falloff, distance = 30, seed = 1 }: { readonly nonCopies: number; readonly copies: number; readonly falloff: number; readonly distance?: number; readonly seed?: number }): Drawn[] {
  const random = new SeededRandom(seed);
  return [
    ...Array.from({ length: nonCopies }, () => ({ margin: -falloff * Math.log(1 - random.next()), distance, isCopy: false })),
    ...Array.from({ length: copies }, () => ({ margin: 0.5 * random.next(), distance, isCopy: true })),
  ];
}

/** Pairs without anything to be said by their hashes, and some that these vouch for. */
const drawWithVouched = (options: Parameters<typeof draw>[0]): Drawn[] => [...draw(options), ...draw({ nonCopies: 0, copies: 500, falloff: 1, distance: 0, seed: 9 })];

function rates(drawn: readonly Drawn[], calibration: ReturnType<typeof calibrate>): { precision: number; recall: number } {
  const accepted = drawn.filter((pair) => isCopy(pair, calibration));
  const right = accepted.filter(({ isCopy: isRight }) => isRight).length;
  return { precision: right / Math.max(1, accepted.length), recall: right / drawn.filter(({ isCopy: isRight }) => isRight).length };
}

describe('calibrate()', () => {
  it('finds the share of non-copies and how they fall off', () => {
    const calibration = calibrate(drawWithVouched({ nonCopies: 9_000, copies: 3_000, falloff: 0.012 }))!;
    expect(calibration.nonCopyShares.at(-1)).toBeCloseTo(0.75, 1);
    expect(calibration.nonCopyShares[0]).toBeLessThan(0.05);
    expect(calibration.falloff).toBeCloseTo(0.012, 3);
    expect(calibration.margins).toBe(12_500);
  });

  it('accepts few non-copies, and most copies, whatever the scale of a model', () => {
    for (const falloff of [0.004, 0.012, 0.03]) {
      const drawn = drawWithVouched({ nonCopies: 9_000, copies: 3_000, falloff, seed: 3 });
      const { precision, recall } = rates(drawn, calibrate(drawn));
      expect(precision).toBeGreaterThan(0.995);
      expect(recall).toBeGreaterThan(1 - (12 * falloff) / 0.5);
    }
  });

  it('asks the less margin the nearer the hashes are', () => {
    const distances = [1, 6, 14, 30];
    const drawn = distances.flatMap((distance, i) => draw({ nonCopies: 10 ** (i + 1), copies: 1_000, falloff: 0.012, distance, seed: i }));
    const calibration = calibrate(drawn)!;
    const asked = distances.map((distance) => calibration.thresholds[STRATA.findIndex((most) => distance <= most)]!);
    expect(asked).toEqual([...asked].sort((a, b) => a - b));
    expect(asked.at(-1)).toBeGreaterThan(3 * asked[0]!);
    expect(rates(drawn, calibration).precision).toBeGreaterThan(0.995);
  });

  it('does not take families of similar pictures for copies, which are nearer to each other than that', () => {
    const random = new SeededRandom(5);
    const families = Array.from({ length: 3_000 }, (): Evidence => ({ margin: 0.25 + 0.2 * random.next(), distance: 30 }));
    const vouched = Array.from({ length: 300 }, (): Evidence => ({ margin: 0.65 + 0.1 * random.next(), distance: 1 }));
    const calibration = calibrate([...draw({ nonCopies: 6_000, copies: 0, falloff: 0.03 }), ...families, ...vouched]);
    expect(families.filter((pair) => isCopy(pair, calibration)).length).toBeLessThan(30);
    expect(vouched.every((pair) => isCopy(pair, calibration))).toBe(true);
  });

  it('accepts next to nothing where there are no copies', () => {
    const drawn = draw({ nonCopies: 5_000, copies: 0, falloff: 0.012 });
    const calibration = calibrate(drawn);
    expect(drawn.filter((pair) => isCopy(pair, calibration)).length).toBeLessThanOrEqual(2);
  });

  it('leaves pairs without a margin above zero out, and says so when too few are left', () => {
    const few = draw({ nonCopies: MARGINS_MIN - 1, copies: 0, falloff: 0.01 });
    expect(calibrate([...few, ...few.map(({ margin }) => ({ margin: -margin, distance: 0 })), { margin: 0, distance: 0 }, { margin: undefined, distance: 0 }])).toBeUndefined();
    expect(calibrate([...few, { margin: 0.01, distance: 30 }])).toBeDefined();
  });
});

describe('isCopy()', () => {
  it('goes by the hash alone where there is no calibration, unless the surroundings speak against it', () => {
    expect([undefined, 0.01, 0].map((margin) => isCopy({ margin, distance: 4 }, undefined))).toEqual([true, true, false]);
    expect(isCopy({ margin: 0.9, distance: 5 }, undefined)).toBe(false);
  });

  it('takes no pair whose surroundings are not known where others are', () => {
    expect(isCopy({ margin: undefined, distance: 0 }, calibrate(draw({ nonCopies: 200, copies: 0, falloff: 0.01 })))).toBe(false);
  });
});
