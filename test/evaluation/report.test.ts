import { describe, expect, it } from 'vitest';
import { evaluate, type Evaluation } from '../../evaluation/evaluation.js';
import { html } from '../../evaluation/html.js';
import { chooseExamples, picturesOf } from '../../evaluation/report-examples.js';
import { renderReport } from '../../evaluation/report-page.js';
import { evaluation, image, IMAGES, QUERIES, run } from './fixtures.js';

const PICTURE = 'data:image/webp;base64,AAAA';

function render(of: Evaluation): string {
  const examples = chooseExamples(of);
  const { queries, imageIds } = picturesOf(examples);
  return renderReport(of, { examples, thumbnails: new Map([...imageIds, ...queries.map(({ id }) => id)].map((id) => [id, PICTURE])), made: 'eis evaluate 1.2.3' });
}

describe('html', () => {
  it('escapes what is no HTML yet, in text and in attributes', () => {
    expect(html`<p title="${'"><script>'}">${"a & b's"}${html`<b>${'<'}</b>`}${[html`<i></i>`, html`<i></i>`]}${7}</p>`.toString()).toBe('<p title="&#34;&#62;&#60;script&#62;">a &#38; b&#39;s<b>&#60;</b><i></i><i></i>7</p>');
  });
});

describe('renderReport()', () => {
  const page = render(evaluation());

  it('has the figures of every run, by alteration, and what each costs', () => {
    for (const text of ['0.6667', '0.8333', '0.7500', 'mirrored', 'grey', 'recall@1', 'mAP@2', 'nDCG@2', '1.23', '2.35']) expect(page).toContain(text);
  });

  it('shows who wins where, and the best and worst queries with what was found', () => {
    expect(page).toContain('1 won by first (brute), 3 alike, 2 won by second (brute)');
    expect(page).toContain('alt="Searched for: c.png, mirrored"');
    expect(page).toMatch(/alt="Wrong: a\.png"/);
    expect(page).toMatch(/<figcaption>✓ 1\.000<\/figcaption>/);
  });

  it('holds every picture that it shows, and asks nothing of anyone', () => {
    expect([...page.matchAll(/<img src="([^"]*)"/g)].every(([, src]) => src === PICTURE)).toBe(true);
    expect(page).not.toMatch(/https?:|<script|<link|@import|url\(/);
    expect(page).toContain("default-src 'none'");
  });

  it('shows names of files and classes as they are, whatever they contain', () => {
    const evil = '<img src=x onerror=alert(1)>';
    const images = [{ ...image('a', evil), name: evil }, image('b', evil), image('c', 'other')];
    const queries = [0, 1].map((i) => ({ id: images[i]!.id, image: images[i]!, relevant: new Set([images[1 - i]!.id]) }));
    const hostile = evaluate({ mode: 'labelled', source: evil, seed: 1, limit: 3, places: [1, 2] }, { images, duplicates: 2, unlabelled: 1, unreadable: [{ name: evil, code: 'EIS_IMAGE_INVALID', message: evil }], queries }, [run(evil, { a: 'bc', b: 'ca' })]);
    const shown = render(hostile);
    expect(shown).not.toContain('<img src=x');
    expect(shown).toContain('&#60;img src=x onerror=alert(1)&#62;');
    expect(shown).toContain('could not be read');
  });

  it('has pictures of what it shows, and of nothing else', () => {
    const { queries, imageIds } = picturesOf(chooseExamples(evaluation()));
    expect(queries.length).toBeLessThanOrEqual(QUERIES.length);
    expect(new Set(queries.map(({ id }) => id)).size).toBe(queries.length);
    expect([...imageIds].sort()).toEqual(IMAGES.map(({ id }) => id));
  });

  it('says of one run nothing of others', () => {
    const alone = render(evaluation([run('only', Object.fromEntries(QUERIES.map(({ id, image: { id: own } }) => [id, own])))]));
    expect(alone).not.toContain('Against each other');
    expect(alone).toContain('only (brute): worst');
  });
});
