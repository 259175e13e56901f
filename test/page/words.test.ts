import { describe, expect, it } from 'vitest';
import { addressOf, count, describeAnswer, describeMissing, describeRegion, describeSize, describeSource, describeTimings, isOwnImage, nameOf } from '../../gateway/public/words.js';

const ID = 'ab12cd34'.repeat(8);
const ANSWER = {
  model: 'builtin', query: { id: ID }, results: [{ id: ID, score: 1, url: '', urls: [] }], partial: false,
  shards: { total: 2, ok: 2, failed: [] }, index: { vectors: 12_345, freshness_s: 0 }, timings_ms: { embed: 41.27, fan_out: 9.04, merge: 0.061, total: 50.4 },
};

describe('nameOf()', () => {
  it.each([
    [`eis://${ID}#holiday/my%20dog.jpg`, 'my dog.jpg'],
    [`eis://${ID}#100%25.jpg`, '100%.jpg'],
    [`eis://${ID}#broken%.jpg`, 'broken%.jpg'],
    [`eis://${ID}`, 'ab12cd34'],
    [`gs://bucket/images/ab/${ID}#holiday/my%20dog.jpg`, 'my dog.jpg'],
    [`gs://bucket/ab/${ID}`, 'ab12cd34'],
    ['https://example.com/a/b.png?size=2#top', 'b.png'],
    ['https://example.com/', 'example.com'],
    ['gs://bucket/folder/c.jpg', 'c.jpg'],
    ['', 'ab12cd34'],
  ])('calls %s %s', (source, name) => {
    expect(nameOf(source, ID)).toBe(name);
  });
});

describe('addressOf()', () => {
  it.each([
    ['https://example.com/a.jpg', 'https://example.com/a.jpg'],
    [`eis://${ID}#a.jpg`, `images/${ID}`],
    [`gs://bucket/ab/${ID}#a.jpg`, `images/${ID}`],
    [`gs://bucket/cd/${ID}#a.jpg`, undefined],
    ['gs://bucket/a.jpg', undefined],
    ['javascript:alert(1)', undefined],
    [`eis://../../x`, undefined],
  ])('opens %s at %s', (source, address) => {
    expect(addressOf(source)).toBe(address);
  });
});

describe('isOwnImage()', () => {
  it.each([[`images/${ID}`, true], [`/images/${ID}`, true], [`https://here.example/images/${ID}`, true], [`https://other.example/images/${ID}`, false], [`https://here-example/images/${ID}`, false], [`http://here.example/images/${ID}`, false], [`https://here.example/a/images/${ID}`, false], [`/images/${ID}/../../models`, false], ['blob:https://here.example/x', false], ['http://[', false]])('of %s is %s', (address, isOwn) => {
    expect(isOwnImage(address, 'https://here.example/')).toBe(isOwn);
  });
});

describe('the words of an answer', () => {
  it('count what was found, and say when nothing can be', () => {
    expect(describeAnswer(ANSWER, 'cat.jpg')).toBe('1 image most like cat.jpg');
    expect(describeAnswer({ ...ANSWER, results: [] }, 'cat.jpg')).toMatch(/no other image/);
    expect(describeAnswer({ ...ANSWER, results: [], index: { vectors: 0, freshness_s: 0 } }, 'cat.jpg')).toMatch(/empty/);
  });

  it('say what took how long, and how many shards answered', () => {
    expect(describeTimings(ANSWER, 'image')).toBe('50 ms (embedding 41, asking the shards 9.0, merging 0.1) · 2 of 2 shards answered · 12,345 images searched · model builtin');
    expect(describeTimings({ ...ANSWER, shards: { total: 1, ok: 0, failed: [] } }, 'id')).toContain('looking it up 41, asking the shards 9.0, merging 0.1) · 0 of 1 shard answered');
  });

  it('name what is missing from a partial one', () => {
    expect(describeMissing({ total: 2, ok: 1, failed: [{ shard: '1/2', code: 'EIS_SHARD_TIMEOUT' }] })).toBe('This is not everything: 1 of 2 parts of the index did not answer: 1/2 (EIS_SHARD_TIMEOUT). Closer images may be missing.');
  });
});

describe('other words', () => {
  it('are of the number', () => {
    expect([count(0, 'image'), count(1, 'image'), count(1_000_000, 'image')]).toEqual(['0 images', '1 image', '1,000,000 images']);
  });

  it('are of sizes, sources and regions', () => {
    expect([describeSize(640, 480), describeSize(undefined, 480)]).toEqual(['640 × 480 pixels', 'not known']);
    expect([describeSource(`eis://${ID}#a/b%20c.jpg`, ID), describeSource(`eis://${ID}`, ID), describeSource('https://x/y', ID)]).toEqual(['a/b c.jpg', 'a file without a name (ab12cd34…)', 'https://x/y']);
    expect(describeRegion({ x: 0.2, y: 0, width: 0.5, height: 1 })).toBe('Region of 50 % of the width and 100 % of the height, 20 % from the left and 0 % from the top');
  });
});
