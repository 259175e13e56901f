// Takes the pictures of the README: the page, and the command line, over the sample gallery. Needs chromium.
//   npm run screenshots
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'eis-screenshots-'));
const basePort = 28_080;
const env = { ...process.env, EIS_DATA_DIR: join(folder, 'data'), EIS_BASE_PORT: String(basePort), EIS_CONFIG: join(root, 'config.json'), COLUMNS: '92' };
const query = join(folder, 'data/gallery/sailboat-04.jpg');

const stack = spawn(process.execPath, [join(root, 'dist/start.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
try {
  let output = '';
  stack.stdout.on('data', (chunk) => (output += String(chunk)));
  while (!output.includes('Image search is running')) await sleep(100);
  await sleep(3_000); // the index pods follow
  mkdirSync(join(root, 'docs'), { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env.EIS_TEST_BROWSER ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  await takePage(browser);
  await takeTerminal(browser);
  await browser.close();
} finally {
  stack.kill('SIGINT');
  await new Promise((resolve) => stack.once('exit', resolve));
  rmSync(folder, { recursive: true, force: true });
}

async function takePage(browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(`http://127.0.0.1:${basePort}`);
  await page.setInputFiles('#file', query);
  await page.waitForSelector('#results li');
  await page.waitForLoadState('networkidle');
  await save(await page.screenshot(), 'page.png');
  await page.close();
}

async function takeTerminal(browser) {
  const run = (...args) => `<b>$ eis ${args.join(' ').replace(query, 'sailboat.jpg')}</b>\n${escape(execFileSync(process.execPath, [join(root, 'dist/cli.js'), ...args], { env, encoding: 'utf8' }))}`;
  const text = [run('search', query, '--top', '5'), run('models'), run('models', 'check', 'builtin')].join('\n').replaceAll(root, '');
  const page = await browser.newPage({ viewport: { width: 900, height: 300 }, deviceScaleFactor: 1.5 });
  await page.setContent(`<style>body{margin:0;background:#16191c;color:#d5dbd8;font:14px/1.45 "DejaVu Sans Mono",monospace}pre{margin:0;padding:20px 24px;white-space:pre-wrap}b{color:#7fc8b1}</style><pre>${text.trimEnd()}</pre>`);
  await save(await page.locator('pre').screenshot(), 'cli.png');
  await page.close();
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

async function save(png, name) {
  await sharp(png).png({ palette: true, quality: 90, effort: 10 }).toFile(join(root, 'docs', name));
  console.log(`docs/${name}: ${readFileSync(join(root, 'docs', name)).length} bytes`);
}
