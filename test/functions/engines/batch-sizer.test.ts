import { describe, expect, it } from 'vitest';
import { BatchSizer } from '../../../functions/engines/batch-sizer.js';

interface Driven {
  readonly sizer: BatchSizer;
  /** Makes so many calls while so many images wait, each taking what the rule says; returns their sizes. */
  readonly run: (calls: number, waiting: number, rule: (images: number, call: number) => number) => number[];
}

function drive(imagesMax = 8): Driven {
  const sizer = new BatchSizer({ imagesMax });
  let call = 0;
  return {
    sizer,
    run: (calls, waiting, rule) => Array.from({ length: calls }, () => {
      const images = sizer.next(waiting);
      sizer.record(images, rule(images, call++));
      return images;
    }),
  };
}

const share = (sizes: readonly number[], size: number): number => sizes.filter((each) => each === size).length / sizes.length;

/** A call costs something, and each of its images. */
const withOverhead = (images: number): number => 4 + 6 * images;
const oneByOne = (images: number): number => 10 * images;

describe('BatchSizer', () => {
  it('takes images one by one until it knows better, and never more than wait', () => {
    const { run } = drive();
    expect(run(3, 8, withOverhead)).toEqual([1, 1, 1]);
    expect(Math.max(...run(100, 1, withOverhead))).toBe(1);
    expect(Math.max(...run(200, 3, withOverhead))).toBe(2);
  });

  it('finds the size that is fastest for each image, and stays with it', () => {
    const { sizer, run } = drive();
    run(100, 8, withOverhead);
    expect(sizer.best).toBe(8);
    expect(share(run(300, 8, withOverhead), 8)).toBeGreaterThan(0.95);
    expect(share(run(100, 5, withOverhead), 4)).toBeGreaterThan(0.95);
  });

  it('stays with single images where more at once are not clearly faster', () => {
    const { sizer, run } = drive();
    run(100, 8, (images) => oneByOne(images) * (images === 1 ? 1 : 0.97));
    expect(sizer.best).toBe(1);
    expect(share(run(300, 8, oneByOne), 1)).toBeGreaterThan(0.95);
  });

  it('is not misled by the first call of a size, or by some that other work made long', () => {
    const { sizer, run } = drive();
    const seen = new Map<number, number>();
    run(400, 8, (images, call) => {
      const nth = (seen.get(images) ?? 0) + 1;
      seen.set(images, nth);
      return withOverhead(images) * (nth === 1 ? 50 : call % 5 === 0 ? 3 : 1);
    });
    expect(sizer.best).toBe(8);
  });

  it('notices when another size becomes the fastest', () => {
    const { sizer, run } = drive();
    run(200, 8, withOverhead);
    run(2_000, 8, (images) => (images === 8 ? 200 : withOverhead(images)));
    expect(sizer.best).toBe(4);
    run(4_000, 8, (images) => (images === 1 ? 1 : 100 * images));
    expect(sizer.best).toBe(1);
  });

  it('takes no more than memory allows, and begins no call that would take too long', () => {
    expect(Math.max(...drive(3).run(200, 8, withOverhead))).toBe(2);
    expect(Math.max(...drive(0).run(200, 8, withOverhead))).toBe(1);
    const slow = (images: number): number => 60 + 20 * images;
    const sizes = drive().run(400, 8, slow);
    expect(Math.max(...sizes.slice(100).map(slow))).toBeLessThanOrEqual(250);
    expect(drive().run(100, 8, (images) => 200 * images).every((images) => images === 1)).toBe(true);
  });

  it('decides the same on the same durations', () => {
    const noisy = (images: number, call: number): number => withOverhead(images) * (1 + ((call * 7) % 10) / 20);
    expect(drive().run(500, 8, noisy)).toEqual(drive().run(500, 8, noisy));
  });
});
