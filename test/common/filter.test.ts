import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileFilter, parseFilter, parseFilterText, type Filter } from '../../common/filter.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import type { Metadata } from '../../common/metadata.js';
import { filterArbitrary, matchesByWord, metadataArbitrary } from '../support/random-filters.js';

const CAT: Metadata = { tags: ['cat', 'garden'], year: 2021, title: 'Mia', draft: false };
const matches = (filter: unknown, metadata: Metadata = CAT): boolean => compileFilter(parseFilter(filter, DEFAULT_LIMITS))(metadata);

describe('compileFilter()', () => {
  it.each<[boolean, unknown]>([
    [true, {}],
    [true, { year: 2021 }],
    [false, { year: '2021' }],
    [true, { draft: false }],
    [false, { draft: 0 }],
    [true, { tags: 'cat' }],
    [false, { tags: 'dog' }],
    [true, { tags: { in: ['dog', 'cat'] } }],
    [false, { year: { in: ['2021', 2020] } }],
    [true, { year: { gte: 2021, lt: 2022 } }],
    [false, { year: { gt: 2021 } }],
    [false, { year: { lte: '3' } }],
    [true, { title: { gte: 'M', lt: 'N' } }],
    [true, { tags: { gte: 'g', lt: 'h' } }],
    [false, { tags: { gt: 'cat', lt: 'garden' } }],
    [true, { year: { exists: true }, place: { exists: false } }],
    [false, { year: { exists: false } }],
    [false, { place: { exists: false, gt: 1 } }],
    [false, { place: 'Ulm' }],
    [true, { not: { place: 'Ulm' } }],
    [true, { or: [{ year: 1 }, { title: 'Mia' }], and: [{ draft: false }, { not: { tags: 'dog' } }] }],
    [false, { or: [{ year: 1 }, { title: 'Leo' }] }],
    [false, { constructor: { exists: true } }],
  ])('says %s for %j', (expected, filter) => {
    expect(matches(filter)).toBe(expected);
  });

  it('finds nothing but what is not there in a list without texts', () => {
    expect([matches({ tags: { exists: true } }, { tags: [] }), matches({ tags: { gte: '' } }, { tags: [] })]).toEqual([true, false]);
  });

  it('says what its words say, of any filter and any metadata', () => {
    fc.assert(fc.property(filterArbitrary, fc.array(metadataArbitrary, { minLength: 1, maxLength: 8 }), (filter, all) => {
      const compiled = compileFilter(parseFilter(filter, { filterBytesMax: 1e6, filterDepthMax: 100 }));
      for (const metadata of all) expect(compiled(metadata)).toBe(matchesByWord(filter, metadata));
    }), { numRuns: 500, seed: 11 });
  });
});

describe('parseFilter()', () => {
  it.each<[string, unknown, RegExp]>([
    ['no object', 5, /not right at its beginning/],
    ['a list', [], /its beginning/],
    ['a list for a value', { tags: ['cat'] }, /at \/tags/],
    ['null', { tags: null }, /at \/tags/],
    ['an operator that is none', { year: { between: 1 } }, /at \/year\/between/],
    ['no operator', { year: {} }, /at \/year/],
    ['a range of booleans', { year: { gte: true } }, /at \/year\/gte/],
    ['an empty set', { year: { in: [] } }, /at \/year\/in/],
    ['"and" of one filter', { and: { year: 1 } }, /at \/and/],
    ['"or" of none', { or: [] }, /at \/or/],
    ['"not" of a list', { not: [{ year: 1 }] }, /at \/not/],
    ['an error that lies deep', { and: [{ year: 1 }, { not: { year: { gt: {} } } }] }, /at \/and\/1\/not\/year\/gt/],
    ['a name that metadata cannot have', { or: [{ $where: 'x' }] }, /asks for "\$where"/],
    ['a path', { 'a.b': 1 }, /asks for "a.b"/],
  ])('refuses %s, and says where and what would be right', (_name, filter, message) => {
    expect(() => parseFilter(filter, DEFAULT_LIMITS)).toThrow(expect.objectContaining({ code: 'EIS_FILTER_INVALID', statusCode: 400, message: expect.stringMatching(message) as string }));
    expect(() => parseFilter(filter, DEFAULT_LIMITS)).toThrow(/A filter is a JSON object like/);
  });

  it.each<[unknown, string]>([
    [5, 'at its beginning: A filter is an object like {"year": 2020}, and 5 is none.'],
    [{ year: { between: [1, 2] } }, 'at /year/between: "between" is none of gt, gte, lt, lte, in, exists. A range has two of them: {"gte": 2020, "lt": 2024}.'],
    [{ year: { '>=': 1 } }, 'Did you mean "gte"?'],
    [{ year: { $lte: 1 } }, 'Did you mean "lte"?'],
    [{ year: { exist: true } }, 'Did you mean "exists"?'],
    [{ year: { eq: 1 } }, 'Equality is the value alone: {"year": 2020}.'],
    [{ tags: ['cat'] }, 'at /tags: Of several values one is enough with "in": {"tags": {"in": ["cat"]}}.'],
    [{ tags: null }, 'Images that have no "tags" are found by {"tags": {"exists": false}}.'],
    [{ tags: {} }, 'That images have it at all is {"tags": {"exists": true}}.'],
    [{ year: { gte: true } }, '"gte" takes a number or a text, and true is neither: {"gte": 2020}.'],
    [{ tags: { in: 'cat' } }, '"in" takes a list of one text, number, true or false, or more: {"in": ["cat", "dog"]}.'],
    [{ tags: { exists: 'false' } }, '"exists" takes true or false without quotes, and "false" is neither.'],
    [{ or: { year: 1 } }, 'at /or: "or" takes a list of one filter or more: {"or": [{"year": 2020}, {"draft": false}]}.'],
    [{ not: [{ year: 1 }] }, 'at /not: "not" takes one filter, not a list: {"not": {"draft": true}}.'],
    [{ and: [{ year: 1 }, 'x'] }, 'at /and/1: A filter is an object'],
  ])('says of %j what would be right there', (filter, words) => {
    expect(() => parseFilter(filter, DEFAULT_LIMITS)).toThrow(words);
  });

  it('knows a fault in whatever the schema refuses', () => {
    fc.assert(fc.property(fc.dictionary(fc.constantFrom('year', 'and', 'or', 'not'), fc.jsonValue({ maxDepth: 3 }), { minKeys: 1, maxKeys: 2 }), (value) => {
      try {
        parseFilter(value, DEFAULT_LIMITS);
      } catch (error) {
        expect((error as Error).message).toMatch(/^The filter (is not right at .*: .* A filter is|asks for|has )/s);
      }
    }), { numRuns: 2_000, seed: 5 });
  });

  it('bounds bytes and depth', () => {
    const nest = (depth: number): Filter => (depth === 1 ? { year: 1 } : { not: nest(depth - 1) });
    const limits = { filterBytesMax: 60, filterDepthMax: 3 };
    expect(parseFilter(nest(3), limits)).toEqual(nest(3));
    expect(() => parseFilter(nest(4), limits)).toThrow(/more than 3 deep/);
    expect(() => parseFilter({ title: 'é'.repeat(30) }, limits)).toThrow(/has 72 bytes; at most 60/);
    expect(() => parseFilterText(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, DEFAULT_LIMITS)).toThrow(expect.objectContaining({ code: 'EIS_FILTER_INVALID' }));
    expect(() => parseFilterText(`${'{"not":'.repeat(50_000)}{}${'}'.repeat(50_000)}`, DEFAULT_LIMITS)).toThrow(expect.objectContaining({ code: 'EIS_FILTER_INVALID' }));
  });

  it('says what is no JSON', () => {
    expect(() => parseFilterText('{year: 1}', DEFAULT_LIMITS)).toThrow(/^The filter is not JSON: .*position 1.* double quotes.* in single ones: '{"year": 2020}'\. A filter is/);
  });
});
