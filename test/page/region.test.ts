import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { between, format, grow, MIDDLE, move, parse, pull, SIDE_MIN, toPixels, type Corner, type Region } from '../../gateway/public/region.js';

const share = fc.double({ min: -0.5, max: 1.5, noNaN: true });
const point = fc.record({ x: share, y: share });
const region = fc.tuple(point, point).map(([a, b]) => between(a, b)).filter((made) => made !== undefined);
const EPSILON = 1e-9;

function expectInside({ x, y, width, height }: Region): void {
  expect(Math.min(x, y)).toBeGreaterThanOrEqual(-EPSILON);
  expect(Math.max(x + width, y + height)).toBeLessThanOrEqual(1 + EPSILON);
  expect(Math.min(width, height)).toBeGreaterThanOrEqual(SIDE_MIN - EPSILON);
}

describe('a region', () => {
  it('stays inside the image and large enough, however it is moved, grown or pulled', () => {
    fc.assert(fc.property(region, point, fc.constantFrom<Corner>('nw', 'ne', 'sw', 'se'), (of, by, corner) => {
      for (const changed of [of, move(of, by), grow(of, by), pull(of, corner, by)]) expectInside(changed);
    }));
  });

  it('is drawn from any corner, and is none when it is a slip of the hand', () => {
    expect(between({ x: 0.75, y: 0.25 }, { x: 0.25, y: 0.5 })).toEqual({ x: 0.25, y: 0.25, width: 0.5, height: 0.25 });
    expect(between({ x: 0.5, y: 0.5 }, { x: 0.51, y: 0.9 })).toBeUndefined();
  });

  it('keeps the opposite corner when one is pulled', () => {
    const { x, y, width, height } = pull(MIDDLE, 'nw', { x: 0.5, y: 0.1 });
    expect([x, y]).toEqual([0.5, 0.1]);
    expect(x + width).toBeCloseTo(0.8);
    expect(y + height).toBeCloseTo(0.8);
  });

  it('is whole pixels of the image, at least one', () => {
    fc.assert(fc.property(region, fc.integer({ min: 1, max: 9_000 }), fc.integer({ min: 1, max: 9_000 }), (of, width, height) => {
      const pixels = toPixels(of, { width, height });
      expect(Object.values(pixels).every(Number.isInteger)).toBe(true);
      expect(Math.min(pixels.width, pixels.height)).toBeGreaterThanOrEqual(1);
    }));
    expect(toPixels({ x: 0.5, y: 0, width: 0.5, height: 1 }, { width: 301, height: 10 })).toEqual({ x: 151, y: 0, width: 150, height: 10 });
  });

  it('is the same after it stood in an address', () => {
    fc.assert(fc.property(region, (of) => {
      const read = parse(format(of))!;
      expectInside(read);
      for (const side of ['x', 'y', 'width', 'height'] as const) expect(read[side]).toBeCloseTo(of[side], 3);
    }));
  });

  it.each([null, '', '1', 'a,b,c,d', '0,0,1', '0,0,2,1', '-1,0,1,1', '0.5,0.5,0.6,0.1', '0,0,0.001,1', '0,0,NaN,1', '0,0,1,1,1'])('is none from the address %j', (text) => {
    expect(parse(text)).toBeUndefined();
  });
});
