import { describe, expect, it } from 'vitest';
import { hasSameValues, latestMetadata, parseMetadata, valuesOf } from '../../common/metadata.js';

const LIMITS = { metadataBytesMax: 200, metadataKeysMax: 3 };
const parse = (value: unknown): unknown => parseMetadata(value, { where: 'of image number 3', ...LIMITS });

describe('parseMetadata()', () => {
  it('takes texts, numbers, booleans and lists of texts, in the order of their names', () => {
    const parsed = parse({ tags: ['cat', ''], 'dc:year': 2024.5, été: false });
    expect(parsed).toEqual({ 'dc:year': 2024.5, tags: ['cat', ''], été: false });
    expect(JSON.stringify(parsed)).toBe('{"dc:year":2024.5,"tags":["cat",""],"été":false}');
    expect(parse({})).toEqual({});
  });

  it.each<[string, unknown, RegExp]>([
    ['a list', [], /is not an object/],
    ['null', null, /is not an object/],
    ['a text', 'x', /is not an object/],
    ['too many names', { a: 1, b: 2, c: 3, d: 4 }, /has 4 names; at most 3/],
    ['too many bytes', { a: 'é'.repeat(100) }, /has 208 bytes as JSON; at most 200/],
    ['a value that is null', { a: null }, /has null as "a"/],
    ['an object in it', { a: { b: 1 } }, /has \{"b":1\} as "a"/],
    ['a list of numbers', { a: [1] }, /has \[1\] as "a"/],
    ['a list in a list', { a: [['x']] }, /as "a"/],
    ['a number that is not finite', JSON.parse('{"a":1e999}'), /as "a"/],
    ['half a character', { a: '\ud800' }, /as "a"/],
    ['a name of MongoDB', { $set: 1 }, /has the name "\$set"/],
    ['a path for a name', { 'a.b': 1 }, /has the name "a.b"/],
    ['an empty name', { '': 1 }, /has the name ""/],
    ['a name that is long', { ['a'.repeat(65)]: 1 }, /has the name "a+/],
    ['a word of filters', { and: 1 }, /words of filters/],
    ['the prototype', JSON.parse('{"__proto__":1}'), /has the name "__proto__"/],
  ])('refuses %s, and says of which image', (_name, value, message) => {
    expect(() => parse(value)).toThrow(expect.objectContaining({ code: 'EIS_METADATA_INVALID', statusCode: 400, message: expect.stringMatching(message) as string }));
    expect(() => parse(value)).toThrow(/^The metadata of image number 3 /);
  });
});

describe('latestMetadata()', () => {
  const [early, late] = [{ values: { a: 1 }, givenAt: 1 }, { values: { b: 2 }, givenAt: 2 }];

  it('is what was given last, whichever is written last, and what stands where nothing is given', () => {
    expect([latestMetadata(early, late), latestMetadata(late, early), latestMetadata(undefined, early), latestMetadata(early, undefined), latestMetadata(undefined, undefined)]).toEqual([late, late, early, early, undefined]);
  });

  it('is what is written last of what was given in one millisecond', () => {
    const other = { ...late, values: { c: 3 } };
    expect(latestMetadata(late, other)).toBe(other);
  });

  it('tells a change from the same again, and none from none', () => {
    expect([hasSameValues(early, { ...early, givenAt: 9 }), hasSameValues(early, late), hasSameValues(undefined, { values: {}, givenAt: 1 })]).toEqual([true, false, true]);
    expect([valuesOf(early), valuesOf({ values: {}, givenAt: 1 }), valuesOf(undefined)]).toEqual([{ a: 1 }, undefined, undefined]);
  });
});
