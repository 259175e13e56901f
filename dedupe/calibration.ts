/**
 * From which margin on a pair is taken for copies, found from the images of one model themselves.
 *
 * Margins above zero (surroundings.ts) of nearest neighbours are of two kinds, and nobody says which is which: of non-copies,
 * whose number falls exponentially (the excess over a high level does: peaks over threshold, J. Pickands 1975), and of copies. How the
 * margins of copies are distributed is known from those that the perceptual hash vouches for: altered copies that the
 * collection itself holds. Expectation maximisation (A. Dempster et al. 1977) finds the share of non-copies and how fast
 * they fall off; then the threshold is the lowest margin at which no more than `FALSE_SHARE_MAX` of what is accepted are
 * expected to be non-copies (tail-area false discovery rate, B. Efron 2004). Among pairs that the hash vouches for,
 * non-copies are rarer: with their share found apart, a lower threshold gives the same rate.
 *
 * What it optimises is therefore recall at that rate; one false pair may join two groups, so the rate is low. With few data: where no copy
 * is vouched for, copies are taken to have any margin alike, and at most a tenth of a false pair is expected in all; with fewer than
 * `MARGINS_MIN` margins there is nothing to fit, and it gives none: then only what the hash vouches for may be accepted.
 */
const FALSE_SHARE_MAX = 0.001;
/** Expected in all: of a small collection a thousandth of what is accepted would be less than that. */
const FALSE_PAIRS_MAX = 0.1;
/** Fewer margins say nothing about a tail. */
export const MARGINS_MIN = 100;
const BINS = 20;
const ROUNDS_MAX = 300;
const CONVERGED = 1e-7;
const STEPS = 2_000;

export interface Calibration {
  /** The least margin of a pair that is taken for copies. */
  readonly threshold: number;
  /** The same of a pair whose hashes are near each other. */
  readonly vouchedThreshold: number;
  /** By so much margin the number of non-copies falls to 1/e. */
  readonly falloff: number;
  /** Of the pairs with a margin above zero, the share that are no copies. */
  readonly nonCopyShare: number;
  /** Margins that it was found from. */
  readonly margins: number;
}

export interface CalibrationInput {
  /** Of all pairs of nearest neighbours, each pair once; those of zero or less are left out. */
  readonly neighbours: readonly number[];
  /** Of the pairs that the perceptual hash vouches for. */
  readonly vouched: readonly number[];
}

/** A share of non-copies, exponentially distributed, and of copies. */
interface Mixture {
  readonly share: number;
  readonly falloff: number;
}

type Density = (margin: number) => number;

/** @returns undefined when there are fewer than `MARGINS_MIN` margins above zero */
export function calibrate({ neighbours, vouched }: CalibrationInput): Calibration | undefined {
  const margins = neighbours.filter((margin) => margin > 0);
  const near = vouched.filter((margin) => margin > 0);
  if (margins.length < MARGINS_MIN) return undefined;
  const copies = densityOf(near, [...margins, ...near].reduce((most, margin) => Math.max(most, margin), 0));
  const all = fit(margins, copies, { share: 0.5, falloff: median(margins) });
  const { share: vouchedShare } = fit(near, copies, { share: 0.5, falloff: all.falloff }, true);
  const threshold = thresholdOf(margins, all);
  const vouchedThreshold = Math.min(threshold, thresholdOf(near, { share: vouchedShare, falloff: all.falloff }));
  return { threshold, vouchedThreshold, falloff: all.falloff, nonCopyShare: all.share, margins: margins.length };
}

/** A histogram of margins; each bin has something, so that none is impossible. */
function densityOf(margins: readonly number[], most: number): Density {
  const width = (most / BINS) * (1 + Number.EPSILON * BINS);
  const binOf = (margin: number): number => Math.min(BINS - 1, Math.floor(margin / width));
  const counts = new Float64Array(BINS).fill(1);
  for (const margin of margins) counts[binOf(margin)] = (counts[binOf(margin)] as number) + 1;
  const total = (margins.length + BINS) * width;
  return (margin) => (counts[binOf(margin)] as number) / total;
}

/** Expectation maximisation of the share of non-copies and, unless it is fixed, of their falling off. */
function fit(margins: readonly number[], copies: Density, start: Mixture, isFixed = false): Mixture {
  let { share, falloff } = start;
  for (let round = 0; round < ROUNDS_MAX && margins.length > 0; round++) {
    let [weights, weighted] = [0, 0];
    for (const margin of margins) {
      const ofNonCopy = (share / falloff) * Math.exp(-margin / falloff);
      const weight = ofNonCopy / (ofNonCopy + (1 - share) * copies(margin));
      weights += weight;
      weighted += weight * margin;
    }
    const before = share;
    share = weights / margins.length;
    if (!isFixed && weights > 0) falloff = Math.max(weighted / weights, Number.MIN_VALUE);
    if (Math.abs(share - before) < CONVERGED) break;
  }
  return { share, falloff };
}

/** The lowest margin at which the non-copies that are expected above it are few enough of all that are. */
function thresholdOf(margins: readonly number[], { share, falloff }: Mixture): number {
  const sorted = Float64Array.from(margins).sort();
  const nonCopies = share * margins.length;
  // Where no more than FALSE_PAIRS_MAX are expected: no threshold need be higher.
  const most = Math.max(0, falloff * Math.log(nonCopies / FALSE_PAIRS_MAX));
  let accepted = sorted.length;
  for (let step = 0; step < STEPS; step++) {
    const margin = (most * step) / STEPS;
    while (accepted > 0 && (sorted[sorted.length - accepted] as number) <= margin) accepted--;
    if (nonCopies * Math.exp(-margin / falloff) <= FALSE_SHARE_MAX * accepted) return margin;
  }
  return most;
}

function median(values: readonly number[]): number {
  return Float64Array.from(values).sort()[values.length >> 1] as number;
}
