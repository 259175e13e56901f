/** A whole system with the sample gallery, a browser, another host with pictures, and how a test looks at the page. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Locator, Page, Response } from 'playwright-core';
import sharp from 'sharp';
import { expect, vi } from 'vitest';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { launchBrowser, type PageFile } from './browser.js';

export interface PageStack {
  readonly stack: LocalStack;
  readonly browser: Browser;
  readonly folder: string;
  /** Another host: `/open/NAME` lets pages read its pictures, `/closed/NAME` does not. */
  readonly imagesUrl: string;
  close(): Promise<void>;
}

const GALLERY_SIZE = 120;

export async function startPageStack(): Promise<PageStack> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-page-'));
  const images = createServer((request, response) => {
    const [, kind, name] = (request.url as string).split('/');
    const path = join(folder, 'data', 'gallery', decodeURIComponent(name as string));
    if (!existsSync(path)) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'image/jpeg', ...(kind === 'open' ? { 'access-control-allow-origin': '*' } : {}) }).end(readFileSync(path));
  }).listen(0, '127.0.0.1');
  await once(images, 'listening');
  const [browser, stack] = await Promise.all([launchBrowser(), startLocalStack({ folder, env: { EIS_FETCH_ALLOW: '127.0.0.0/8' } })]);
  await vi.waitFor(async () => {
    const { models } = (await (await fetch(`${stack.url}/models`)).json()) as { models: { vectors: number }[] };
    expect(models[0]?.vectors).toBe(GALLERY_SIZE);
  }, { timeout: 10_000 });
  return {
    stack, browser, folder,
    imagesUrl: `http://127.0.0.1:${(images.address() as AddressInfo).port}`,
    async close() {
      await browser.close();
      images.close();
      await stack.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Pictures {
  readonly pathOf: (name: string) => string;
  readonly bytesOf: (name: string) => Buffer;
  readonly fileOf: (name: string) => PageFile;
  /** A picture that is not in the index; another one for each `seed`. */
  readonly newPicture: (seed: number) => Promise<PageFile & { readonly path: string }>;
}

/** The pictures of the gallery by name, and new ones. */
export function pictures(started: () => PageStack): Pictures {
  const pathOf = (name: string): string => join(started().folder, 'data', 'gallery', name);
  const bytesOf = (name: string): Buffer => readFileSync(pathOf(name));
  return {
    pathOf,
    bytesOf,
    fileOf: (name) => ({ name, type: 'image/jpeg', bytes: bytesOf(name) }),
    async newPicture(seed) {
      const bytes = await sharp(bytesOf('fruit-03.jpg')).modulate({ hue: 40 + seed }).extend({ bottom: 20 + seed, background: { r: seed, g: 90, b: 200 } }).jpeg().toBuffer();
      const path = join(started().folder, `new-${seed}.jpg`);
      writeFileSync(path, bytes);
      return { name: `new-${seed}.jpg`, type: 'image/jpeg', bytes, path };
    },
  };
}

export function results(page: Page): Locator {
  return page.locator('#results li button');
}

/** What a screen reader says of each result. */
export function labels(page: Page): Promise<string[]> {
  return results(page).evaluateAll((buttons) => buttons.map((button) => button.getAttribute('aria-label') ?? ''));
}

/** Waits for the answer of a search that `act` begins; returns the labels of its results. */
export async function searching(page: Page, act: () => Promise<unknown>): Promise<string[]> {
  const isAnswer = (response: Response): boolean => /\/search\?/.test(response.url()) && !/[?&]top=1(&|$)/.test(response.url());
  const [answer] = await Promise.all([page.waitForResponse(isAnswer, { timeout: 10_000 }), act()]);
  expect(answer.status()).toBe(200);
  await page.locator('#results:not([aria-busy])').waitFor();
  await page.waitForFunction(() => document.getElementById('timings')?.textContent !== '');
  return labels(page);
}
