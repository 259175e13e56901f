import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { drop, visit, type Visit } from './browser.js';
import { labels, pictures, results, searching, type PageStack } from './page-stack.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const FIRST_LOAD_BYTES_MAX = 60 * 1024;

interface AxeWindow {
  readonly axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { target: string[] }[] }[] }> };
}

/** Who can use the page, with what. */
export function describeAccess(startedPage: () => PageStack): void {
  let started: PageStack;
  let visited: Visit | undefined;

  beforeAll(() => {
    started = startedPage();
  });
  afterEach(async () => {
    const complaints = visited?.complaints ?? [];
    await visited?.context.close();
    visited = undefined;
    expect(complaints).toEqual([]);
  });

  const { pathOf, newPicture } = pictures(() => started);

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    visited = await visit(started.browser, started.stack.url, options);
    return visited.page;
  }

  const vectors = async (): Promise<number> => {
    const { models } = (await (await fetch(`${started.stack.url}/models`)).json()) as { models: { vectors: number }[] };
    return models[0]!.vectors;
  };

  /** What axe-core finds, whatever its weight. */
  async function violations(page: Page): Promise<string[]> {
    await page.waitForTimeout(300); // colours are judged when transitions are over
    if (!(await page.evaluate(() => 'axe' in window))) await visited!.cdp.send('Runtime.evaluate', { expression: AXE }); // past the page's own policy, which allows no inline script
    const found = await page.evaluate(async () => (await (window as unknown as AxeWindow).axe.run()).violations);
    return found.map(({ id, impact, nodes }) => `${impact}: ${id} at ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  }

  it('loads in at most 60 KB, from its own host, with no other request', async () => {
    const context = await started.browser.newContext();
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    let bytes = 0;
    const urls: string[] = [];
    await cdp.send('Network.enable');
    cdp.on('Network.requestWillBeSent', ({ request }) => urls.push(request.url));
    cdp.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
    await page.goto(started.stack.url, { waitUntil: 'networkidle' });
    await context.close();
    console.log(`The first load: ${bytes} bytes in ${urls.length} requests.`);
    expect(urls.filter((url) => !url.startsWith(started.stack.url))).toEqual([]);
    expect(bytes).toBeGreaterThan(5_000);
    expect(bytes).toBeLessThanOrEqual(FIRST_LOAD_BYTES_MAX);
  });

  it.each([
    ['light', { colorScheme: 'light' }, true],
    ['dark', { colorScheme: 'dark' }, false],
    ['a phone', { ...PHONE, colorScheme: 'dark' }, false],
  ] satisfies [string, BrowserContextOptions, boolean][])('gives axe-core nothing to say (%s)', async (_name, options, inEveryState) => {
    const page = await open(options);
    await searching(page, () => page.setInputFiles('#file', pathOf('balloons-03.jpg')));
    await page.getByRole('button', { name: 'Search a region' }).click();
    expect(await violations(page)).toEqual([]);
    await results(page).nth(4).click();
    await searching(page, () => page.getByRole('dialog').getByRole('button', { name: 'Less like this' }).click());
    expect(await violations(page)).toEqual([]);
    await results(page).nth(2).click();
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Add images' }).click();
    await page.setInputFiles('#add-files', [pathOf('fish-01.jpg'), pathOf('../start.lock')]);
    await page.getByText(/^Done: /).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await drop(page, { files: [{ name: 'notes.txt', type: 'text/plain', bytes: Buffer.from('no image') }] });
    await page.locator('#error:not([hidden])').waitFor();
    await page.evaluate(() => (document.getElementById('warning') as HTMLElement).append('This is not everything.'));
    await page.evaluate(() => ((document.getElementById('warning') as HTMLElement).hidden = false));
    expect(await violations(page)).toEqual([]);
    if (!inEveryState) return;
    await page.goto(started.stack.url);
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Look at some of what is here' }).click();
    await results(page).nth(15).waitFor();
    expect(await violations(page)).toEqual([]);
    await results(page).nth(2).click();
    expect(await violations(page)).toEqual([]);
  });

  it('works from end to end by keyboard alone', async () => {
    const page = await open();
    const press = async (...keys: string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key);
    };
    /** Moves the focus forward to what the selector means. */
    const tabTo = async (selector: string): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        await press('Tab');
        if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector)) return;
      }
      throw new Error(`60 times Tab do not lead to ${selector}.`);
    };
    page.on('filechooser', () => undefined); // has the browser hand choosers over from now on, not from the first time that one is waited for
    const focused = (): Promise<string | null | undefined> => page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    const chooseBy = async (key: string, path: string): Promise<void> => {
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), press(key)]);
      await chooser.setFiles(path);
    };

    await tabTo('#file');
    const whole = await searching(page, () => chooseBy('Enter', pathOf('balloons-04.jpg')));
    await page.getByText('Elastic image search').focus();
    await press('Shift+Tab', 'Enter');
    expect(await labels(page)).toEqual(whole); // the way to the results takes nothing away
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await tabTo('#crop');
    await press('Enter', 'ArrowRight', 'ArrowDown', 'Shift+ArrowLeft');
    expect(await page.locator('#region-said').innerText()).toBe('Region of 56 % of the width and 60 % of the height, 24 % from the left and 24 % from the top');
    const region = await searching(page, () => press('Enter'));
    expect(region).not.toEqual(whole);
    expect(await searching(page, () => press('Escape'))).toEqual(whole);

    await tabTo('#results li:nth-child(3) button');
    await press('Enter');
    const dialog = page.getByRole('dialog');
    await press('ArrowRight', 'Escape');
    await expect.poll(focused).toBe(whole[3]);
    await press('Enter');
    await tabTo('#viewer-more');
    await searching(page, () => press('Enter'));
    expect(await dialog.isVisible()).toBe(false);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('results-title');
    await press('Tab');
    await expect.poll(focused).toBe((await labels(page))[0]);

    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await tabTo('#add');
    await press('Enter');
    await tabTo('#add-files');
    const file = await newPicture(20);
    const before = await vectors();
    await chooseBy('Enter', file.path);
    await page.getByText('Done: 1 added.').waitFor();
    await tabTo('#add-outcomes button');
    await expect.poll(vectors, { timeout: 5_000 }).toBe(before + 1);
    await searching(page, () => press('Enter'));
    expect(await page.locator('#status').innerText()).toBe(`20 images most like ${file.name}`);

    await tabTo('#results li:nth-child(1) button');
    const [first] = await labels(page);
    await press('Enter');
    await tabTo('#viewer-remove');
    await press('Enter');
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Keep it');
    await press('Shift+Tab', 'Enter');
    await page.getByText(`Removed ${first!.split(',')[0]}.`).waitFor();
    expect(await labels(page)).not.toContain(first);
    await expect.poll(focused).toBe((await labels(page))[0]);
  });

  it('fits a phone: nothing sticks out, the results follow the image at once', async () => {
    const page = await open(PHONE);
    const overflow = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(await overflow()).toBe(0);
    expect(await page.getByText('Take a photo').isVisible()).toBe(true);
    await searching(page, () => page.setInputFiles('#camera', pathOf('house-01.jpg')));
    expect(await overflow()).toBe(0);
    expect((await results(page).first().boundingBox())!.y).toBeLessThan(740);
    await results(page).first().tap();
    expect(await overflow()).toBe(0);
    await page.getByRole('button', { name: 'Close' }).tap();
    await page.getByText('Another image, more results').tap();
    expect(await page.getByLabel('Address of an image').isVisible()).toBe(true);
  });

  it('stands still for those who ask for reduced motion', async () => {
    const page = await open({ reducedMotion: 'reduce' });
    await searching(page, () => page.setInputFiles('#file', pathOf('house-01.jpg')));
    expect(await page.locator('#results img').first().evaluate((image) => getComputedStyle(image).transitionDuration)).toBe('0s');
  });

  it('shows the description of the API without a complaint', async () => {
    const page = await open();
    await page.goto(`${started.stack.url}/docs`);
    await page.getByText('Find similar images').click();
    await page.getByRole('button', { name: 'Try it out' }).click();
    await page.getByText('/models').first().click();
    await page.getByRole('button', { name: 'Try it out' }).last().click();
    await page.getByRole('button', { name: 'Execute' }).last().click();
    await page.getByText('"builtin"').first().waitFor();
  });
}
