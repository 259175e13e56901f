import { describe, expect, it } from 'vitest';
import { displaySource, formatAge } from '../../cli/display.js';

const SHA = 'a'.repeat(64);

describe('displaySource()', () => {
  it.each([
    [`eis://${SHA}#holiday%2Fone.jpg`, 'holiday/one.jpg'],
    [`gs://bucket/images/aa/${SHA}#one.jpg`, 'one.jpg'],
    ['https://example.com/a.jpg#top', 'https://example.com/a.jpg#top'],
    ['gs://bucket/a#b.jpg', 'gs://bucket/a#b.jpg'],
    [`eis://${SHA}#100%`, '100%'],
  ])('shows %s as %s', (source, shown) => {
    expect(displaySource(source)).toBe(shown);
  });

  it('shows nothing that a terminal takes for a command', () => {
    expect(displaySource(`eis://${SHA}#%1b%5b2Ja%07.jpg`)).toBe('�[2Ja�.jpg');
    expect(displaySource('https://example.com/\u001b[31m')).toBe('https://example.com/�[31m');
  });

  it('shows bytes without a name by what the caller knows of them', () => {
    expect(displaySource(`eis://${SHA}`, SHA)).toBe(SHA);
    expect(displaySource(`eis://${SHA}`)).toBe(`eis://${SHA}`);
  });
});

describe('formatAge()', () => {
  it.each([[0.4, '0 s'], [75, '75 s'], [600, '10 min'], [9_000, '2.5 h'], [400_000, '5 days']])('says %d s as %s', (seconds, text) => {
    expect(formatAge(seconds)).toBe(text);
  });
});
