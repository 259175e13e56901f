import { describe, expect, it } from 'vitest';
import { alignColumns, describeList, drawBar, formatBytes, shorten, wrap } from '../../cli/layout.js';

describe('alignColumns()', () => {
  it('puts cells under each other, some at their right, and ends no line in spaces', () => {
    expect(alignColumns([['name', 'size', 'from'], ['a', '12', ''], ['longer', '3', 'here']], [1])).toEqual(['name    size  from', 'a         12', 'longer     3  here']);
  });
});

describe('wrap()', () => {
  it('breaks at spaces, never within a word', () => {
    expect(wrap('one two three-and-more four', 8)).toEqual(['one two', 'three-and-more', 'four']);
    expect(wrap('one two', undefined)).toEqual(['one two']);
  });
});

describe('describeList()', () => {
  it('goes on under the text, not under the label', () => {
    expect(describeList([['a', 'one two'], ['long', 'three']], 10)).toEqual(['a     one', '      two', 'long  three']);
  });
});

describe('shorten()', () => {
  it('keeps both ends, within the width', () => {
    expect(shorten('/a/long/path/model.json', 11)).toBe('/a/lo….json');
    expect(shorten('/short', 11)).toBe('/short');
  });
});

describe('formatBytes()', () => {
  it.each([[400, '0.4 kB'], [1_740_849, '1.7 MB'], [13_984_940, '14 MB'], [528_000_000, '528 MB'], [2_100_000_000, '2.1 GB']])('says %d as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('drawBar()', () => {
  it('is as long when empty, full, or beside the mark', () => {
    expect(new Set([0, 0.5, 1, 1.2].map((share) => drawBar(share).length)).size).toBe(1);
    expect(drawBar(1)).not.toContain('░');
    expect(drawBar(0)).not.toContain('█');
  });
});
