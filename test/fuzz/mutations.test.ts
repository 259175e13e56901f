import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../support/seeded-random.js';
import { lengthFields, mendPng, mutate, MUTATIONS, type MutationName } from './mutations.js';

const bytes = Buffer.from(Uint8Array.from({ length: 500 }, (_, i) => i & 255));
const other = Buffer.alloc(300, 7);
const NAMES = Object.keys(MUTATIONS) as MutationName[];
const picture = sharp({ create: { width: 9, height: 9, channels: 3, background: '#369' } });

describe('MUTATIONS', () => {
  it.each(NAMES.filter((name) => name !== 'editLength'))('%s gives other bytes, the same for the same seed, and leaves what it was given', (name) => {
    const before = Buffer.from(bytes);
    const results = Array.from({ length: 20 }, (_, seed) => [0, 1].map(() => MUTATIONS[name]({ bytes, other, random: new SeededRandom(seed) })));
    for (const [first, second] of results) expect(first!.equals(second!)).toBe(true);
    expect(results.some(([first]) => !first!.equals(bytes))).toBe(true);
    expect(bytes.equals(before)).toBe(true);
  });

  it.each(NAMES)('%s takes no bytes, and one', (name) => {
    for (const few of [Buffer.alloc(0), Buffer.of(1)]) for (let seed = 0; seed < 20; seed++) expect(Buffer.isBuffer(MUTATIONS[name]({ bytes: few, other: few, random: new SeededRandom(seed) }))).toBe(true);
  });

  it('editLength changes a length and nothing else', async () => {
    const png = await picture.clone().png().toBuffer();
    const fields = lengthFields(png);
    for (let seed = 0; seed < 50; seed++) {
      const edited = MUTATIONS.editLength({ bytes: png, other, random: new SeededRandom(seed) });
      const changed = [...edited.keys()].filter((at) => edited[at] !== png[at]);
      expect(changed.every((at) => fields.some((field) => at >= field.at && at < field.at + field.size))).toBe(true);
    }
  });
});

describe('lengthFields()', () => {
  it('finds the parts of every format that has them', async () => {
    for (const format of ['jpeg', 'png', 'webp', 'avif'] as const) expect(lengthFields(await picture.clone().toFormat(format).toBuffer()).length, format).toBeGreaterThan(format === 'webp' ? 0 : 1);
    expect(lengthFields(await picture.clone().gif().toBuffer())).toEqual([]);
  });

  it('ends where a length says that nothing follows', () => {
    expect(lengthFields(Buffer.from('\0\0\0\0ftypavif', 'latin1'))).toHaveLength(1);
  });
});

it('mendPng() makes checksums right', async () => {
  const png = await picture.clone().png().toBuffer();
  const damaged = Buffer.from(png).fill(0, 29, 33);
  expect(mendPng(damaged).equals(png)).toBe(true);
});

it('mutate() says what it did, and repeats it by its seed', () => {
  const one = mutate({ bytes, other, random: new SeededRandom(4) });
  expect(one).toEqual(mutate({ bytes, other, random: new SeededRandom(4) }));
  expect(one.mutations.length).toBeGreaterThan(0);
});
