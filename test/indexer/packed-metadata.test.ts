import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePackedFilter } from '../../indexer/packed-filter.js';
import { NameTable, packMetadata, unpackMetadata } from '../../indexer/packed-metadata.js';
import { filterArbitrary, matchesByWord, metadataArbitrary } from '../support/random-filters.js';

describe('Packed metadata', () => {
  it('is what was packed, its names in their order, and takes less than its JSON', () => {
    const metadata = { far: true, owner: -1.5, place: 'Łódź 🎈', public: false, tags: ['cat', '', 'ü'], untagged: [] };
    const names = new NameTable();
    const packed = packMetadata(metadata, names)!;
    expect(JSON.stringify(unpackMetadata(packed, names))).toBe(JSON.stringify(metadata));
    expect(packed.length).toBeLessThan(JSON.stringify(metadata).length);
    expect(unpackMetadata(packed, new NameTable(names.names))).toEqual(metadata);
  });

  it.each<[string, unknown]>([
    ['a value that metadata cannot have', { year: null }],
    ['half a character', { title: '\ud83c' }],
    ['half a character in a list', { tags: ['\ud83c'] }],
    ['a list of numbers', { tags: [1] }],
    ['a text that is too long', { title: 'x'.repeat(70_000) }],
    ['texts that are too long together', { a: 'x'.repeat(40_000), b: 'x'.repeat(40_000) }],
  ])('leaves %s to whoever packs', (_name, metadata) => {
    expect(packMetadata(metadata as never, new NameTable())).toBeUndefined();
  });

  it('leaves a name to whoever packs when all numbers are given', () => {
    const names = new NameTable(Array.from({ length: 2 ** 16 }, (_, i) => `n${i}`));
    expect(packMetadata({ n65535: 1 }, names)).toBeDefined();
    expect(packMetadata({ another: 1 }, names)).toBeUndefined();
  });
});

describe('compilePackedFilter()', () => {
  it('says what the words of a filter say, of any metadata, also with names that were not known when it was made', () => {
    fc.assert(fc.property(filterArbitrary, fc.array(metadataArbitrary, { minLength: 1, maxLength: 8 }), (filter, all) => {
      const names = new NameTable();
      const matches = compilePackedFilter(filter, names);
      for (const metadata of all) {
        const packed = Buffer.concat([Buffer.from('before'), packMetadata(metadata, names)!, Buffer.from('after')]);
        expect(matches({ bytes: packed, start: 6, end: packed.length - 5 })).toBe(matchesByWord(filter, metadata));
      }
    }), { numRuns: 1_000, seed: 12 });
  });
});
