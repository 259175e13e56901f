/** The page at a gateway that asks for a key. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { QUERY, startSystem } from '../gateway/stubs.js';
import { launchBrowser, missingBrowser } from './browser.js';

const [READER, WRITER] = ['reader-key-0123456789', 'writer-key-0123456789'];

describe.skipIf(missingBrowser)(`the page, where a key is needed ${missingBrowser ?? ''}`, () => {
  let system: Awaited<ReturnType<typeof startSystem>>;
  let browser: Browser;
  let page: Page;
  let png: Buffer;
  const keysOfImages: (string | undefined)[] = [];

  beforeAll(async () => {
    [browser, system, png] = await Promise.all([launchBrowser(), startSystem({ variables: { EIS_API_KEYS: `search:${READER},search+write:${WRITER}` } }), sharp({ create: { width: 60, height: 40, channels: 3, background: '#3a7' } }).png().toBuffer()]);
    system.wrapper.behave = (request, response) => {
      request.resume();
      if (request.method === 'GET' && request.url!.startsWith('/images/')) return void response.writeHead(200, { 'content-type': 'image/png', 'cache-control': 'public, max-age=3600' }).end(png);
      response.writeHead(request.method === 'POST' ? 202 : 200, { 'content-type': 'application/json' }).end(JSON.stringify({ id: 'x', models: ['m'] }));
    };
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await system.close();
  });
  beforeEach(async () => {
    page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
    keysOfImages.length = 0;
    page.on('request', (request) => {
      if (new URL(request.url()).pathname.startsWith('/images/')) keysOfImages.push(request.headers()['x-api-key']);
    });
    await page.goto(system.gateway.url);
    await dialog().waitFor();
  });
  afterEach(() => page.close());

  const dialog = (): ReturnType<Page['locator']> => page.locator('#key[open]');
  const give = async (key: string): Promise<void> => {
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Use this key' }).click();
  };
  const search = async (): Promise<void> => {
    await page.setInputFiles('#file', { name: 'query.jpg', mimeType: 'image/jpeg', buffer: QUERY });
    await page.locator('#results li button').first().waitFor();
  };
  const areShown = (): Promise<unknown> => page.waitForFunction(() => [...document.querySelectorAll<HTMLImageElement>('#results img')].every((image) => image.complete && image.naturalWidth === 60));

  it('asks for one, once, and searches and shows images with it', async () => {
    await give(READER);
    await page.getByText('6 images', { exact: true }).waitFor();
    await search();
    await areShown();
    expect(keysOfImages).toHaveLength(6);
    expect(new Set(keysOfImages)).toEqual(new Set([READER]));
    await page.locator('#results li button').first().click();
    await page.waitForFunction(() => document.querySelector<HTMLImageElement>('#viewer-image')?.naturalWidth === 60);
    const [tab] = await Promise.all([page.context().waitForEvent('page'), page.getByRole('link', { name: 'Open the image' }).click()]);
    await tab.waitForFunction(() => document.images[0]?.naturalWidth === 60);
    expect(tab.url()).toMatch(/^blob:/);
  });

  it('keeps it for the tab alone, and forgets it when told to', async () => {
    await give(READER);
    await page.getByText('6 images', { exact: true }).waitFor();
    await page.reload();
    await page.getByText('6 images', { exact: true }).waitFor();
    expect(await page.evaluate(() => [Object.values(window.sessionStorage), Object.values(window.localStorage), document.cookie])).toEqual([[READER], [], '']);
    expect(page.url()).not.toContain(READER);
    await page.getByRole('button', { name: 'Forget the key' }).click();
    await dialog().waitFor();
    expect(await page.evaluate(() => Object.values(window.sessionStorage).join(''))).toBe('');
  });

  it('says what is wrong with a key, and takes another', async () => {
    await give('not-a-key-of-this-place');
    await page.getByText('The API key that was sent is not known here.').waitFor();
    expect(await page.locator('#key-forget').isHidden()).toBe(true);
    await give(READER);
    await search();
    await page.locator('#results li button').first().click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('button', { name: 'Yes, remove it' }).click();
    await page.getByText('Use one with the scope "write".').waitFor();
    await give(WRITER);
    await page.getByText('Removed photo-').waitFor();
  });

  it('says plainly that one is needed when none is given', async () => {
    await page.getByRole('button', { name: 'Not now' }).click();
    await page.setInputFiles('#file', { name: 'query.jpg', mimeType: 'image/jpeg', buffer: QUERY });
    await dialog().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('alert').filter({ hasText: 'This takes an API key.' }).waitFor();
  });
});
