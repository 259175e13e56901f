import { describe, expect, it } from 'vitest';
import { checkCollection, drawImages, mergeImages, parseGroups, queriesOfCopies, queriesOfLabels, type EvaluatedImage } from '../../evaluation/collection.js';
import { image } from './fixtures.js';

const numbered = (count: number): EvaluatedImage[] => Array.from({ length: count }, (_, i) => image(`i${i}`));

describe('mergeImages()', () => {
  it('makes one image of files with the same bytes, with the labels of all, whatever their order', () => {
    const files = [{ ...image('a', 'cats'), name: 'cats/1.png' }, image('b', 'dogs'), { ...image('a', 'pets'), name: 'pets/1.png' }];
    for (const order of [files, [...files].reverse()]) {
      expect(mergeImages(order).map(({ id, name, labels }) => [id, name, [...labels]])).toEqual([['b', 'b.png', ['dogs']], ['a', 'cats/1.png', ['cats', 'pets']]]);
    }
  });
});

describe('drawImages()', () => {
  it('draws the same for the same seed, others for another, and keeps the order', () => {
    const images = numbered(50);
    const drawn = drawImages(images, 20, 1);
    expect(drawn).toHaveLength(20);
    expect(drawImages([...images].reverse(), 20, 1).reverse()).toEqual(drawn);
    expect(drawImages(images, 20, 2)).not.toEqual(drawn);
    expect(images.filter((one) => drawn.includes(one))).toEqual(drawn);
  });

  it('adds to what it draws when more may be drawn', () => {
    const images = numbered(50);
    expect(drawImages(images, 30, 1)).toEqual(expect.arrayContaining(drawImages(images, 20, 1)));
    expect(drawImages(images, 100, 1)).toEqual(images);
  });
});

describe('queriesOfCopies()', () => {
  it('has each copy find its original alone', () => {
    const queries = queriesOfCopies([image('a'), image('b')], ['grey', 'flip']);
    expect(queries.map(({ id, alteration, relevant }) => [id, alteration, [...relevant]])).toEqual([['a/grey', 'grey', ['a']], ['a/flip', 'flip', ['a']], ['b/grey', 'grey', ['b']], ['b/flip', 'flip', ['b']]]);
  });
});

describe('queriesOfLabels()', () => {
  it('has each image find the others of its labels, and asks for none that is alone', () => {
    const queries = queriesOfLabels([image('a', 'cats'), image('b', 'cats', 'pets'), image('c', 'pets'), image('d', 'fish')]);
    expect(queries.map(({ id, relevant }) => [id, [...relevant]])).toEqual([['a', ['b']], ['b', ['a', 'c']], ['c', ['b']]]);
  });
});

describe('checkCollection()', () => {
  const two = [image('a', 'x'), image('b', 'x'), image('c', 'y')];
  const check = (images: EvaluatedImage[], depth: number, isLabelled: boolean): (() => void) => () => checkCollection(images, { depth, isLabelled });

  it('takes what can be judged', () => {
    expect(check(two, 2, true)).not.toThrow();
    expect(check(numbered(3), 3, false)).not.toThrow();
  });

  it.each([
    ['one class', [image('a', 'x'), image('b', 'x')], 1, true, /one class only, "x"/],
    ['no class', numbered(3), 1, true, /no class/],
    ['classes of one image each', [image('a', 'x'), image('b', 'y')], 1, true, /no class has two images/],
    ['k beyond the others', two, 3, true, /k is 3, and a search has only 2 images/],
    ['k beyond the collection', numbered(1), 2, false, /k is 2, and a search has only 1 image to/],
  ] as const)('refuses %s, saying what would be right', (_, images, depth, isLabelled, message) => {
    expect(check([...images], depth, isLabelled)).toThrow(expect.objectContaining({ code: 'EIS_EVALUATION', message: expect.stringMatching(message) as string }) as Error);
  });
});

describe('parseGroups()', () => {
  it('reads lists of paths by group', () => {
    expect([...parseGroups('\uFEFF{ "one": ["a.jpg", "b/c.jpg"], "two": [] }', 'groups.json')]).toEqual([['one', ['a.jpg', 'b/c.jpg']], ['two', []]]);
  });

  it.each([
    ['{ "one": ', /it is not JSON/],
    ['["a.jpg"]', /it is no object/],
    ['{ "one": "a.jpg" }', /group "one" is no list of paths/],
    ['{ "one": ["a.jpg", 7] }', /group "one" is no list of paths/],
    ['{ "one": [""] }', /group "one" is no list of paths/],
  ])('refuses %s and says how it is written', (text, message) => {
    expect(() => parseGroups(text, 'groups.json')).toThrow(message);
    expect(() => parseGroups(text, 'groups.json')).toThrow(/groups\.json is no groups file.*Write \{ "group": \["a\.jpg"/);
  });
});
