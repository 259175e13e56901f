import { describe, expect, it } from 'vitest';
import { preprocess } from '../../../functions/models/preprocess.js';

const ONE = { height: 1, width: 1, channels: 3 } as const;
const numbers = (kind: Parameters<typeof preprocess>[2], pixel = [255, 0, 51]): number[] => [...preprocess(Uint8Array.from(pixel), ONE, kind)].map((value) => +value.toFixed(4));

describe('preprocess()', () => {
  it('scales to the range that its name says', () => {
    expect(numbers('[-1,1]')).toEqual([1, -1, -0.6]);
    expect(numbers('[0,1]')).toEqual([1, 0, 0.2]);
    expect(numbers('raw')).toEqual([255, 0, 51]);
  });

  it('gives caffe networks BGR less the mean of ImageNet', () => {
    expect(numbers('caffe')).toEqual([-52.939, -116.779, 131.32]);
  });

  it('gives torch networks RGB less the mean of ImageNet, by its deviation', () => {
    expect(numbers('torch')).toEqual([2.2489, -2.0357, -0.9156]);
  });

  it('gives grey networks the luma', () => {
    const grey = preprocess(Uint8Array.from([255, 255, 255, 255, 0, 0]), { height: 1, width: 2, channels: 1 }, '[0,1]');
    expect([...grey].map((value) => +value.toFixed(3))).toEqual([1, 0.299]);
  });
});
