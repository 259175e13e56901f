import { describe, expect, it } from 'vitest';
import { contentOf, parseBucketUri, parseObjectUri } from '../../common/cloud-storage.js';

const ID = `ab${'1'.repeat(62)}`;

describe('parseObjectUri()', () => {
  it.each([
    ['gs://photos/a/b c.jpg', { bucket: 'photos', object: 'a/b c.jpg' }],
    ['gs://photos', { bucket: 'photos', object: '' }],
    ['gs://photos/', { bucket: 'photos', object: '' }],
    ['gs://photos/a#1.jpg', { bucket: 'photos', object: 'a#1.jpg' }],
    [`gs://photos/ab/${ID}#my%20dog.jpg`, { bucket: 'photos', object: `ab/${ID}` }],
    [`gs://photos/x/y/ab/${ID}#a#b`, { bucket: 'photos', object: `x/y/ab/${ID}` }],
    [`gs://photos/ac/${ID}#a`, { bucket: 'photos', object: `ac/${ID}#a` }],
    ['https://photos/a', undefined],
  ])('reads %s', (uri, expected) => {
    expect(parseObjectUri(uri)).toEqual(expected);
  });
});

describe('contentOf()', () => {
  it.each([
    [`eis://${ID}`, { sha256: ID, name: undefined }],
    [`eis://${ID}#a.jpg`, { sha256: ID, name: 'a.jpg' }],
    [`gs://photos/images/ab/${ID}#a.jpg`, { sha256: ID, name: 'a.jpg' }],
    [`gs://photos/ab/${ID}`, { sha256: ID, name: undefined }],
    [`gs://photos/ac/${ID}`, undefined],
    [`gs://photos/ab/${ID}.jpg`, undefined],
    ['https://example.com/', undefined],
    ['eis://x', undefined],
  ])('reads %s', (uri, expected) => {
    expect(contentOf(uri)).toEqual(expected);
  });
});

describe('parseBucketUri()', () => {
  it('has the name and the folders', () => {
    expect(parseBucketUri('gs://photos//a/b//')).toEqual({ name: 'photos', prefix: 'a/b' });
    expect(parseBucketUri('some/folder')).toBeUndefined();
    expect(parseBucketUri(undefined)).toBeUndefined();
  });
});
