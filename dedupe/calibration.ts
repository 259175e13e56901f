/**
 * Which pairs are taken for copies, found from the images of one model themselves. Two things speak for a pair: its margin
 * (surroundings.ts) and in how few bits its perceptual hashes differ. The nearer the hashes, the less margin is asked for.
 *
 * Margins above zero of nearest neighbours are of non-copies and of copies, and nobody says which is which. Those of non-copies
 * fall off exponentially (the excess over a high level does: peaks over threshold, J. Pickands 1975), in all images alike;
 * those of copies are distributed as those are that the hash vouches for: were any distribution open to them, small families
 * of similar pictures would be taken for copies. By the distance of their hashes the pairs are parted into strata, which differ in
 * the share of non-copies. Expectation maximisation (A. Dempster et al. 1977) finds the falling off, the shares and the
 * distribution of the copies, as in record linkage, where several fields of two records are compared (I. Fellegi, A. Sunter 1969;
 * W. Winkler 1988). The threshold of a stratum is the margin above which no more non-copies are expected than `FALSE_SHARE_MAX` of
 * its copies (false discovery rate, B. Efron 2004; by strata, L. Sun et al. 2006).
 *
 * What it optimises is therefore recall at that rate; one false pair may join two groups, so the rate is low. With few data: at most
 * `FALSE_PAIRS_MAX` false pairs are expected in a stratum; with fewer than `MARGINS_MIN` margins there is nothing to
 * fit, and it gives none: then only what the hash vouches for may be accepted.
 */
import { LOOKS_ALIKE_BITS } from './hash-index.js';
import { median } from './median.js';

/** Bits that the hashes of a stratum's pairs differ in at most. Beyond the last but one, hashes say nothing. */
export const STRATA = [2, LOOKS_ALIKE_BITS, 8, 12, 16, 20, 64] as const;

const FALSE_SHARE_MAX = 0.002;
/** Of few copies the share would be less than that, and the threshold out of reach. */
const FALSE_PAIRS_MAX = 0.1;
/** Fewer margins say nothing about a tail. */
export const MARGINS_MIN = 100;
const BINS = 20;
/** Of each bin: pairs whose margins are that near each other are fitted as one, so that a round costs the same for any number of pairs. */
const CELLS = 50;
const ROUNDS_MAX = 300;
const CONVERGED = 1e-6;

/** What speaks for two pictures being copies. */
export interface Evidence {
  /** Undefined where the surroundings of none are known. */
  readonly margin: number | undefined;
  /** Bits that their hashes differ in. */
  readonly distance: number;
}

export interface Calibration {
  /** The least margin of a pair that is taken for copies, of each of `STRATA`. */
  readonly thresholds: readonly number[];
  /** By so much margin the number of non-copies falls to 1/e. */
  readonly falloff: number;
  /** Of the pairs with a margin above zero, the share that are no copies, of each of `STRATA`. */
  readonly nonCopyShares: readonly number[];
  /** Margins that it was found from. */
  readonly margins: number;
}

/** Pairs of one stratum whose margins are next to the same. */
interface Cell {
  readonly stratum: number;
  /** Of the histogram of the copies' margins. */
  readonly bin: number;
  /** Pairs. */
  readonly count: number;
  /** Their mean. */
  readonly margin: number;
}

interface Mixture {
  readonly falloff: number;
  readonly shares: readonly number[];
  /** Density of the copies' margins, by bin. */
  readonly copies: readonly number[];
}

/**
 * @param pairs of nearest neighbours, each pair once; those without a margin above zero are left out
 * @returns undefined when there are fewer than `MARGINS_MIN` margins above zero
 */
export function calibrate(pairs: readonly Evidence[]): Calibration | undefined {
  const above = pairs.flatMap(({ margin, distance }) => (margin !== undefined && margin > 0 ? [{ margin, stratum: stratumOf(distance) }] : []));
  if (above.length < MARGINS_MIN) return undefined;
  const width = (above.reduce((most, { margin }) => Math.max(most, margin), 0) / BINS) * (1 + Number.EPSILON * BINS);
  const cells = cellsOf(above, width);
  const counts = countByStratum(cells);
  const { falloff, shares } = fit(cells, { counts, width, falloff: median(above.map(({ margin }) => margin)) as number });
  return { thresholds: counts.map((count, stratum) => thresholdOf(count, shares[stratum] as number, falloff)), falloff, nonCopyShares: shares, margins: above.length };
}

/** Without a calibration, what the hash vouches for is taken for copies as far as their surroundings do not speak against it. */
export function isCopy({ margin, distance }: Evidence, calibration: Calibration | undefined): boolean {
  if (!calibration) return distance <= LOOKS_ALIKE_BITS && (margin === undefined || margin > 0);
  return margin !== undefined && margin > (calibration.thresholds[stratumOf(distance)] as number);
}

function stratumOf(distance: number): number {
  return STRATA.findIndex((most) => distance <= most);
}

function cellsOf(pairs: readonly { readonly margin: number; readonly stratum: number }[], width: number): Cell[] {
  const sums = new Map<number, { count: number; margins: number }>();
  for (const { margin, stratum } of pairs) {
    const key = stratum * BINS * CELLS + Math.min(BINS * CELLS - 1, Math.floor((margin / width) * CELLS));
    const sum = sums.get(key) ?? { count: 0, margins: 0 };
    sums.set(key, { count: sum.count + 1, margins: sum.margins + margin });
  }
  return [...sums].map(([key, { count, margins }]) => ({ stratum: Math.floor(key / (BINS * CELLS)), bin: Math.floor(key / CELLS) % BINS, count, margin: margins / count }));
}

function isVouched({ stratum }: Cell): boolean {
  return (STRATA[stratum] as number) <= LOOKS_ALIKE_BITS;
}

/** Starts from what the hash vouches for as the copies, and goes on until the shares stand still. */
function fit(cells: readonly Cell[], { counts, width, falloff }: { readonly counts: readonly number[]; readonly width: number; readonly falloff: number }): Mixture {
  const vouched = cells.map((cell) => (isVouched(cell) ? cell.count : 0));
  let mixture: Mixture = { falloff, shares: STRATA.map(() => 0.5), copies: densityOf(cells, vouched, width) };
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = mixture.shares;
    mixture = improve(cells, mixture, { counts, width });
    if (mixture.shares.every((share, stratum) => Math.abs(share - (before[stratum] as number)) < CONVERGED)) break;
  }
  return mixture;
}

/** One round: how likely each pair is a non-copy, and the mixture that this makes likeliest. */
function improve(cells: readonly Cell[], { falloff, shares, copies }: Mixture, { counts, width }: { readonly counts: readonly number[]; readonly width: number }): Mixture {
  const sums = STRATA.map(() => 0.5); // of half a pair, so that no share is zero or one
  let [nonCopies, margins] = [0, 0];
  const copiesOf = cells.map(({ margin, stratum, bin, count }) => {
    const share = shares[stratum] as number;
    const ofNonCopy = (share / falloff) * Math.exp(-margin / falloff);
    const weight = (count * ofNonCopy) / (ofNonCopy + (1 - share) * (copies[bin] as number));
    sums[stratum] = (sums[stratum] as number) + weight;
    nonCopies += weight;
    margins += weight * margin;
    return count - weight;
  });
  return {
    falloff: nonCopies > 0 ? Math.max(margins / nonCopies, Number.MIN_VALUE) : falloff,
    shares: counts.map((count, stratum) => (sums[stratum] as number) / (count + 1)),
    copies: densityOf(cells, copiesOf.map((count, i) => (isVouched(cells[i] as Cell) ? count : 0)), width),
  };
}

/** A histogram of weighted margins; each bin has something, so that none is impossible. */
function densityOf(cells: readonly Cell[], weights: readonly number[], width: number): number[] {
  const sums = new Array<number>(BINS).fill(1);
  for (const [i, { bin }] of cells.entries()) sums[bin] = (sums[bin] as number) + (weights[i] as number);
  const total = sums.reduce((sum, one) => sum + one, 0) * width;
  return sums.map((sum) => sum / total);
}

function countByStratum(cells: readonly Cell[]): number[] {
  const counts = STRATA.map(() => 0);
  for (const { stratum, count } of cells) counts[stratum] = (counts[stratum] as number) + count;
  return counts;
}

/** The margin above which no more non-copies are expected than may be. */
function thresholdOf(count: number, nonCopyShare: number, falloff: number): number {
  const wrong = Math.max(FALSE_SHARE_MAX * (1 - nonCopyShare) * count, FALSE_PAIRS_MAX);
  return Math.max(0, falloff * Math.log((nonCopyShare * count) / wrong)); // of none, -Infinity
}
