import { describe, expect, it } from 'vitest';
import { perceptualHash } from '../../functions/phash.js';
import { seededRandom } from './support/tiny-model.js';

const SIZE = 64;

function picture(value: (x: number, y: number) => number, width = SIZE, height = SIZE): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => value((Math.floor(i / 3) % width) / width, Math.floor(i / 3 / width) / height));
}

function bitsApart(a: string, b: string): number {
  return [...(BigInt(`0x${a}`) ^ BigInt(`0x${b}`)).toString(2)].filter((bit) => bit === '1').length;
}

const scene = (x: number, y: number): number => 128 + 60 * Math.sin(7 * x + 2 * y) + 50 * Math.cos(5 * y * (1 + x));

describe('perceptualHash()', () => {
  it('is 16 hexadecimal digits, the same for the same pixels', () => {
    const hash = perceptualHash(picture(scene), SIZE, SIZE);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(perceptualHash(picture(scene), SIZE, SIZE)).toBe(hash);
  });

  it('hardly changes with size, brightness and noise', () => {
    const random = seededRandom(3);
    const hash = perceptualHash(picture(scene), SIZE, SIZE);
    expect(bitsApart(hash, perceptualHash(picture(scene, 200, 120), 200, 120))).toBeLessThanOrEqual(6);
    expect(bitsApart(hash, perceptualHash(picture((x, y) => scene(x, y) * 0.8 + 20), SIZE, SIZE))).toBeLessThanOrEqual(4);
    expect(bitsApart(hash, perceptualHash(picture((x, y) => scene(x, y) + 8 * random()), SIZE, SIZE))).toBeLessThanOrEqual(6);
  });

  it('differs in about half the bits between unlike pictures', () => {
    expect(bitsApart(perceptualHash(picture(scene), SIZE, SIZE), perceptualHash(picture((x, y) => scene(1 - x, y)), SIZE, SIZE))).toBeGreaterThan(16);
  });

  it('knows no structure in a single colour', () => {
    expect(perceptualHash(picture(() => 77), SIZE, SIZE)).toBe('0000000000000000');
  });

  it('puts the lowest frequencies of each direction where the DCT has them', () => {
    const horizontal = BigInt(`0x${perceptualHash(picture((x, y) => 128 + 60 * Math.cos(Math.PI * x) * Math.cos(Math.PI * y)), SIZE, SIZE)}`);
    expect(horizontal >> 63n).toBe(1n);
  });
});
