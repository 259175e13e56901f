import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseExamples, picturesOf } from '../../evaluation/report-examples.js';
import { renderReport } from '../../evaluation/report-page.js';
import { toThumbnail } from '../../evaluation/thumbnails.js';
import { evaluation } from '../evaluation/fixtures.js';
import { tempFolder } from '../support/temp-folder.js';
import { launchBrowser, missingBrowser } from './browser.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface AxeWindow {
  readonly axe: { run(): Promise<{ violations: { id: string; nodes: { target: string[] }[] }[] }> };
}

async function writePage(): Promise<string> {
  const judged = evaluation();
  const examples = chooseExamples(judged);
  const { queries, imageIds } = picturesOf(examples);
  const picture = await toThumbnail(await sharp({ create: { width: 64, height: 48, channels: 3, background: '#2a6a58' } }).png().toBuffer(), 10_000);
  const file = join(tempFolder(), 'index.html');
  writeFileSync(file, renderReport(judged, { examples, thumbnails: new Map([...imageIds, ...queries.map(({ id }) => id)].map((id) => [id, picture])), made: 'eis evaluate 1.2.3' }));
  return pathToFileURL(file).href;
}

describe.skipIf(missingBrowser !== undefined)(`the report of eis evaluate in a browser${missingBrowser === undefined ? '' : ` (${missingBrowser})`}`, () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(async () => browser?.close());

  it.each([
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['on a phone', { viewport: { width: 360, height: 740 }, isMobile: true }],
  ] satisfies [string, BrowserContextOptions][])('gives axe-core nothing to say, fits its window, and loads nothing but itself (%s)', async (_name, options) => {
    const url = await writePage();
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const asked: string[] = [];
    const complaints: string[] = [];
    page.on('request', (request) => asked.push(request.url().slice(0, 200)));
    page.on('console', (message) => complaints.push(message.text()));
    await page.goto(url);
    expect(asked.filter((one) => !one.startsWith('data:'))).toEqual([url]);
    expect(await page.evaluate(() => [...document.images].filter(({ naturalWidth }) => naturalWidth === 0).length)).toBe(0);
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
    await (await context.newCDPSession(page)).send('Runtime.evaluate', { expression: AXE }); // past the page's own policy
    const found = await page.evaluate(async () => (await (window as unknown as AxeWindow).axe.run()).violations);
    expect(found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join('; ')}`)).toEqual([]);
    expect(complaints).toEqual([]);
    await context.close();
  });
});
