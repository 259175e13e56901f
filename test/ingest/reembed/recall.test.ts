import { describe, expect, it } from 'vitest';
import { COPIES_MIN, describeRecall, isClearLoss, lossOf, summariseRecall, type CopyOutcome } from '../../../ingest/reembed/recall.js';

const times = (count: number, outcome: CopyOutcome): CopyOutcome[] => Array.from({ length: count }, () => outcome);
const BOTH = { former: 0, next: 0 };
const FORMER = { former: 0, next: 4 };
const NEXT = { former: undefined, next: 0 };

/** Of 200 copies, so many that only one of both versions finds. */
const measured = (lost: number, gained: number) => summariseRecall([...times(lost, FORMER), ...times(gained, NEXT), ...times(200 - lost - gained, BOTH)], 0);

describe('summariseRecall()', () => {
  it('counts what either version finds first and among ten, and what only one finds first', () => {
    const outcomes = [BOTH, FORMER, FORMER, NEXT, { former: 9, next: 10 }, { former: undefined, next: undefined }];
    expect(summariseRecall(outcomes, 3)).toEqual({ copies: 6, passed_over: 3, former: { at_1: 3, at_10: 4 }, next: { at_1: 2, at_10: 4 }, lost: 2, gained: 1 });
    expect(lossOf(summariseRecall(outcomes, 3))).toBeCloseTo(1 / 6);
    expect(lossOf(summariseRecall([], 0))).toBe(0);
  });
});

describe('isClearLoss()', () => {
  it('is one where chance gives as much or more to one of both less than once in a hundred times', () => {
    // One-sided exact binomial: P(7 of 7) = 0.0078, P(6 of 6) = 0.0156, P(≥ 12 of 14) = 0.0065, P(≥ 11 of 14) = 0.0287.
    expect([measured(7, 0), measured(12, 2)].map((each) => isClearLoss(each, 0))).toEqual([true, true]);
    expect([measured(6, 0), measured(11, 3), measured(40, 40), measured(0, 30), measured(0, 0)].map((each) => isClearLoss(each, 0))).toEqual([false, false, false, false, false]);
    expect([measured(125, 75), measured(115, 85)].map((each) => isClearLoss(each, 0))).toEqual([true, false]);
  });

  it('is none where as much may be lost, and none on few copies', () => {
    expect([0.08, 0.09, 0.1].map((maxLoss) => isClearLoss(measured(20, 2), maxLoss))).toEqual([true, false, false]);
    expect([COPIES_MIN - 1, COPIES_MIN].map((count) => isClearLoss(summariseRecall(times(count, FORMER), 0), 0))).toEqual([false, true]);
  });
});

describe('describeRecall()', () => {
  it('has both versions side by side, and says when there is too little to say', () => {
    expect(describeRecall(summariseRecall([...times(20, BOTH), ...times(20, FORMER)], 2))).toBe('Of 40 altered copies of stored images, the former version finds 100.0 % first and 100.0 % among 10, the new one 50.0 % and 100.0 %. 2 images were passed over, whose pictures could not be had again.');
    expect(describeRecall(summariseRecall([], 0))).toBe(`Only 0 altered copies of stored images could be searched for, too few to tell which version finds more: at least ${COPIES_MIN} are needed.`);
  });
});
