import { describe, expect, it } from 'vitest';
import { ByteCollector } from '../../common/byte-collector.js';
import { SeededRandom } from '../support/seeded-random.js';

const collect = (pieces: readonly Buffer[]): ByteCollector => {
  const collected = new ByteCollector();
  for (const piece of pieces) collected.add(piece);
  return collected;
};

describe('ByteCollector', () => {
  it('gives what was added, in its order, whatever the sizes', () => {
    const random = new SeededRandom(6);
    for (let round = 0; round < 50; round++) {
      const sizes = Array.from({ length: random.between(0, 60) }, () => random.between(0, random.next() < 0.3 ? 100_000 : 20_000));
      const pieces = sizes.map((size, i) => Buffer.alloc(size, `${i}.`));
      const collected = collect(pieces);
      expect(collected.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
      expect(collected.whole().equals(Buffer.concat(pieces))).toBe(true);
    }
  });

  it('does not take what a small piece becomes later', () => {
    const piece = Buffer.from('before');
    const collected = collect([piece]);
    piece.write('behind');
    expect(collected.whole().toString()).toBe('before');
  });

  it('holds a million pieces of one byte in little more than their bytes', () => {
    const collected = new ByteCollector();
    const before = process.memoryUsage();
    for (let i = 0; i < 1_000_000; i++) collected.add(Buffer.from([i & 255]));
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    expect(heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(50_000_000);
    expect(collected.whole()).toHaveLength(1_000_000);
  });
});
