/**
 * Whether the new version of a model finds images as well as the former one: altered copies of stored images (cropped,
 * turned, compressed…) are searched for in both, and each is to find its original. Every copy is searched for in both, so
 * what counts is only where they differ.
 */
import type { RecallMeasurement } from '../../common/store/store.js';

/** Of a copy in one version: how many images were more alike to it than its original; undefined: the original was not among those that were found. */
export type Place = number | undefined;

export interface CopyOutcome {
  readonly former: Place;
  readonly next: Place;
}

/** Fewer copies say too little: of as many, one that loses a third and gains none is noticed nine times of ten; of 204, one that loses a twentieth. */
export const COPIES_MIN = 30;
/** Of two versions that are equally good, one in a hundred is stopped for nothing. */
const SIGNIFICANCE = 0.01;
const NEAREST = 10;

/** @param passedOver images that no copy could be made of */
export function summariseRecall(outcomes: readonly CopyOutcome[], passedOver: number): RecallMeasurement {
  const count = (isSo: (outcome: CopyOutcome) => boolean): number => outcomes.filter(isSo).length;
  return {
    copies: outcomes.length,
    passed_over: passedOver,
    former: { at_1: count(({ former }) => isAmong(former, 1)), at_10: count(({ former }) => isAmong(former, NEAREST)) },
    next: { at_1: count(({ next }) => isAmong(next, 1)), at_10: count(({ next }) => isAmong(next, NEAREST)) },
    lost: count(({ former, next }) => isAmong(former, 1) && !isAmong(next, 1)),
    gained: count(({ former, next }) => !isAmong(former, 1) && isAmong(next, 1)),
  };
}

function isAmong(place: Place, k: number): boolean {
  return place !== undefined && place < k;
}

/** Whether it was measured on enough copies to say anything. */
export function isEnough({ copies }: RecallMeasurement): boolean {
  return copies >= COPIES_MIN;
}

/** The share of the copies that the new version finds less than the former one; negative where it finds more. */
export function lossOf({ lost, gained, copies }: RecallMeasurement): number {
  return copies === 0 ? 0 : (lost - gained) / copies;
}

/**
 * Whether the new version finds clearly fewer copies: by more than may be, and by more than chance explains. That is McNemar's
 * test in its exact, one-sided form (Q. McNemar, "Note on the sampling error of the difference between correlated
 * proportions or percentages", Psychometrika 12, 1947): of the copies that only one version finds, each version would have
 * half if they were equally good.
 *
 * @param maxLoss as `lossOf`
 */
export function isClearLoss(measured: RecallMeasurement, maxLoss: number): boolean {
  return isEnough(measured) && lossOf(measured) > maxLoss && atLeast(measured.lost, measured.lost + measured.gained) < SIGNIFICANCE;
}

/** The probability of `heads` or more heads when a coin is thrown `throws` times. */
function atLeast(heads: number, throws: number): number {
  let term = 0.5 ** throws; // all heads
  let sum = 0;
  for (let k = throws; k >= heads; k--) {
    sum += term;
    term *= k / (throws - k + 1);
  }
  return sum;
}

/** Both versions side by side, as a sentence. */
export function describeRecall({ copies, passed_over, former, next }: RecallMeasurement): string {
  const share = (found: number): string => `${((100 * found) / copies).toFixed(1)} %`;
  const left = passed_over > 0 ? ` ${passed_over} images were passed over, whose pictures could not be had again.` : '';
  if (copies < COPIES_MIN) return `Only ${copies} altered copies of stored images could be searched for, too few to tell which version finds more: at least ${COPIES_MIN} are needed.${left}`;
  return `Of ${copies} altered copies of stored images, the former version finds ${share(former.at_1)} first and ${share(former.at_10)} among ${NEAREST}, the new one ${share(next.at_1)} and ${share(next.at_10)}.${left}`;
}
