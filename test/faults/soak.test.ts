/**
 * Mixed load on a local system for as long as is asked for (`npm run test:soak -- --minutes N`; by default 20 s): searches,
 * images that come and are removed again, damaged requests, clients that leave in the middle. Nothing fails that should
 * not, no process dies, and neither memory nor open files grow.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FormData, Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SearchAnswer } from '../../common/wire.js';
import { makeCase } from '../fuzz/cases.js';
import { findFault } from '../fuzz/judge.js';
import { sendCase, type FuzzTargets } from '../fuzz/runner.js';
import { makeSamples, type Sample } from '../fuzz/samples.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { describeLatencies, runOpenLoop } from '../support/open-loop.js';
import { describeSamples, filesGrowth, memorySlope, watchProcesses } from '../support/process-samples.js';

const MINUTES = Number(process.env['EIS_SOAK_MINUTES'] ?? 20 / 60);
const SEED = Number(process.env['EIS_TEST_SEED'] ?? 1);
const FOR_MS = MINUTES * 60_000;
const RATES = { searches: 15, images: 1, removals: 1, damaged: 4, leaving: 1 } as const;

/** What V8, the allocator and caches settle at is reached in some minutes: a slope is judged in longer runs. */
const SLOPE_MINUTES_MIN = 10;
const SLOPE_MB_PER_MINUTE_MAX = 1;
/** Connections that happen to be open when they are counted. */
const FILES_GROWTH_MAX = 40;

let folder: string;
let stack: LocalStack;
let pool: Pool;
let images: Buffer[];
let samples: Sample[];
/** Ids that searches found lately. */
let found: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eis-soak-'));
  mkdirSync(join(folder, 'empty'));
  const drawn = join(folder, 'images');
  images = (await drawImages(drawn, 60)).map((name) => readImage(drawn, name));
  samples = await makeSamples();
  stack = await startLocalStack({ folder, args: ['--images', drawn], env: { EIS_FETCH_PORTS: '1', LOG_LEVEL: 'warn', EIS_REQUESTS_PER_MINUTE_MAX: '1000000' } });
  pool = new Pool(stack.url, { connections: 32 });
}, 180_000);
afterAll(async () => {
  await pool?.close();
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const pick = (n: number): Buffer => images[n % images.length]!;

async function search(n: number): Promise<string> {
  const { statusCode, body } = await pool.request({ method: 'POST', path: '/search?top=20', headers: { 'content-type': 'image/png' }, body: pick(n) });
  const answer = (await body.json()) as SearchAnswer;
  if (statusCode === 200) found = answer.results.map(({ id }) => id);
  return String(statusCode);
}

async function ingest(n: number): Promise<string> {
  const form = new FormData();
  form.append('images', new Blob([pick(n)]), `${n}.png`);
  const { statusCode, body } = await pool.request({ method: 'POST', path: '/images', body: form });
  await body.dump();
  return String(statusCode);
}

async function remove(): Promise<string> {
  const id = found[Math.floor(found.length / 2)];
  if (id === undefined) return 'none';
  const { statusCode, body } = await pool.request({ method: 'DELETE', path: `/images/${id}` });
  await body.dump();
  return String(statusCode);
}

/** A client that sends half an image and leaves. */
async function leave(n: number): Promise<string> {
  const bytes = pick(n);
  const request = httpRequest(`${stack.url}/search`, { method: 'POST', headers: { 'content-type': 'image/png', 'content-length': bytes.length } });
  request.on('error', () => undefined).write(bytes.subarray(0, bytes.length >> 1), () => request.destroy());
  return 'left';
}

describe(`mixed load for ${MINUTES.toFixed(1)} minutes`, () => {
  it('fails nothing, ends no process and lets neither memory nor open files grow', { timeout: FOR_MS + 120_000 }, async () => {
    const pids = Object.fromEntries(stack.names().map((name) => [name, stack.pidOf(name)!]));
    const targets: FuzzTargets = { functionUrl: `http://127.0.0.1:${stack.basePort + 10}`, gatewayUrl: stack.url, processes: pids };
    const faults: string[] = [];
    const damage = async (n: number): Promise<string> => {
      const made = makeCase(SEED, n, samples);
      const fault = findFault(made.kind, await sendCase(targets, made));
      if (fault !== undefined) faults.push(`case ${n} of seed ${SEED}: ${fault}`);
      return made.kind;
    };
    const watch = watchProcesses(pids, { everyMs: Math.max(1_000, FOR_MS / 120) });
    const run = (perS: number, send: (n: number) => Promise<string>) => runOpenLoop({ perS, forMs: FOR_MS, send });
    const [searched, ingested, removed] = await Promise.all([run(RATES.searches, search), run(RATES.images, ingest), run(RATES.removals, remove), run(RATES.damaged, damage), run(RATES.leaving, leave)]);
    const taken = watch.stop();
    for (const [name, sent] of Object.entries({ searches: searched, images: ingested, removals: removed })) console.log(describeLatencies(name, sent));
    console.log(describeSamples(taken));
    const counts = (sent: readonly { readonly outcome: string }[]): string[] => [...new Set(sent.map(({ outcome }) => outcome))].sort();
    expect(faults).toEqual([]);
    // 429: what a busy machine does not take in time.
    expect(['200', '429']).toEqual(expect.arrayContaining(counts(searched)));
    expect(['202', '429']).toEqual(expect.arrayContaining(counts(ingested)));
    expect(['none', '200', '404', '429']).toEqual(expect.arrayContaining(counts(removed)));
    expect(searched.filter(({ outcome }) => outcome === '200').length).toBeGreaterThan(searched.length / 2);
    expect(Object.fromEntries(stack.names().map((name) => [name, stack.pidOf(name)]))).toEqual(pids);
    for (const [name, of] of Object.entries(taken)) {
      expect(filesGrowth(of), `open files of ${name}`).toBeLessThanOrEqual(FILES_GROWTH_MAX);
      if (MINUTES >= SLOPE_MINUTES_MIN) expect(memorySlope(of), `MB a minute of ${name}`).toBeLessThanOrEqual(SLOPE_MB_PER_MINUTE_MAX);
    }
  });
});
