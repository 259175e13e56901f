/** Debian's chromium, driven by playwright-core, for tests of the page. */
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type CDPSession, type Page } from 'playwright-core';

const CHROMIUM = process.env['EIS_TEST_BROWSER'] ?? '/usr/bin/chromium';

/** Why tests in a browser skip; undefined: there is one. A browser that is named has to be there. */
export const missingBrowser = existsSync(CHROMIUM) || process.env['EIS_TEST_BROWSER'] !== undefined ? undefined : `skipped: no ${CHROMIUM} (apt-get install chromium, or set EIS_TEST_BROWSER)`;

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update'] });
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly cdp: CDPSession;
  /** What the browser complained of: scripts that failed, things that the policy of the page forbids. */
  readonly complaints: string[];
}

/** Answers that are no success, and other hosts that do not let a page read their images: said to the person by the page. */
const EXPECTED = /^Failed to load resource|blocked by CORS policy/;

/** A fresh visitor on a page of their own, who asks for no motion. */
export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !EXPECTED.test(message.text())) complaints.push(message.text());
  });
  const cdp = await context.newCDPSession(page);
  await goto(page, url);
  return { page, context, cdp, complaints };
}

/** Opens the page; resolves when it is ready. */
export async function goto(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById('index')?.textContent !== '');
}

export interface PageFile {
  readonly name: string;
  readonly type: string;
  readonly bytes: Buffer;
}

/** Drops files or a text onto the page, as a person does with the mouse. */
export async function drop(page: Page, { files = [], text }: { readonly files?: readonly PageFile[]; readonly text?: string }): Promise<void> {
  const transfer = await page.evaluateHandle(({ files, text }) => {
    const made = new DataTransfer();
    for (const { name, type, base64 } of files) made.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name, { type }));
    if (text !== undefined) made.setData('text/uri-list', text);
    return made;
  }, { files: files.map(({ name, type, bytes }) => ({ name, type, base64: bytes.toString('base64') })), text });
  for (const event of ['dragenter', 'dragover', 'drop']) await page.dispatchEvent('body', event, { dataTransfer: transfer });
}

/** Puts a PNG into the clipboard, and pastes it with the keys. */
export async function pasteImage({ page, context }: Visit, png: Buffer): Promise<void> {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.evaluate(async (base64) => {
    const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: 'image/png' });
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
  }, png.toString('base64'));
  await page.keyboard.press('Control+V');
}

export async function pasteText({ page, context }: Visit, text: string): Promise<void> {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.evaluate((written) => navigator.clipboard.writeText(written), text);
  await page.keyboard.press('Control+V');
}
