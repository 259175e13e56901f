/**
 * Every process of a running system is restarted, one after the other, as a cluster does when it brings a new version in,
 * while searches and images come at fixed times: none fails, and what was accepted gets its outcome.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FormData, Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerAnswer, ModelStatus } from '../../common/wire.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { describeLatencies, runOpenLoop } from '../support/open-loop.js';
import type { RoleProcess } from '../support/role-process.js';
import { startRollingSystem, type Role, type RollingSystem } from './rolling-system.js';

const FULL = process.env['EIS_TEST_FAULTS'] === 'full';
const SEARCHES_PER_S = FULL ? 100 : 25;
const INGESTS_PER_S = 3;
const SUBMISSION = 'rolling';
const POLL = { interval: 50, timeout: 60_000 };

let system: RollingSystem;
let pool: Pool;
let folder: string;
let images: Buffer[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eis-rolling-images-'));
  images = (await drawImages(folder, 60)).map((name) => readImage(folder, name));
  // What is refused because this machine is slow is not what is looked for here.
  const patient = { EIS_FUNCTION_QUEUE_TIME_MAX_MS: '10000', EIS_LOOP_DELAY_MAX_MS: '10000', EIS_REQUESTS_PER_MINUTE_MAX: '1000000', EIS_FUNCTION_CONCURRENCY: '64', EIS_FUNCTION_TIMEOUT_MS: '30000', EIS_INDEX_TIMEOUT_MS: '10000', EIS_SEARCH_TIMEOUT_MS: '60000', EIS_CLOSE_TIMEOUT_MS: '60000' };
  // Longer than it takes the balancers to notice, which on this machine are as late as everything else.
  system = await startRollingSystem({ ...patient, EIS_DRAIN_MS: FULL ? '3000' : '1500' });
  pool = new Pool(system.url, { connections: 64 });
}, 180_000);
afterAll(async () => {
  await pool?.close();
  await system?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Most are remembered by the gateways; every tenth is a new one (what follows the end of a PNG is read over). */
function imageOf(n: number): Buffer {
  const image = images[n % images.length]!;
  return n % 10 === 0 ? Buffer.concat([image, Buffer.from(String(n))]) : image;
}

/** `ok`, or what came instead. */
type Outcome = string;

async function search(n: number): Promise<Outcome> {
  return attempt(async () => {
    const { statusCode, body } = await pool.request({ method: 'POST', path: '/search?top=5', headers: { 'content-type': 'image/png' }, body: imageOf(n) });
    const answer = (await body.json()) as { partial?: boolean; code?: string };
    return statusCode === 200 && answer.partial === false ? 'ok' : `search: ${statusCode} ${JSON.stringify(answer).slice(0, 300)}`;
  });
}

async function ingest(n: number): Promise<Outcome> {
  return attempt(async () => {
    const form = new FormData();
    form.append('images', new Blob([images[n % images.length]!]), `${n}.png`);
    const { statusCode, body } = await pool.request({ method: 'POST', path: `/images?submission=${SUBMISSION}`, body: form });
    const text = await body.text();
    return statusCode === 202 ? 'ok' : `ingest: ${statusCode} ${text.slice(0, 300)}`;
  });
}

async function attempt(send: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await send();
  } catch (error) {
    return `connection: ${String(error)}`;
  }
}

async function get<T>(path: string): Promise<T> {
  const { body } = await pool.request({ method: 'GET', path });
  return (await body.json()) as T;
}

function tally(sent: readonly { readonly outcome: Outcome }[]): Record<Outcome, number> {
  const counts: Record<Outcome, number> = {};
  for (const { outcome } of sent) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** As a Deployment replaces a pod: the old one is told to end, and the next follows when the new one is ready. */
async function restart({ balancer, processes }: Role, role: RoleProcess): Promise<number | NodeJS.Signals> {
  role.signal('SIGTERM');
  const code = await role.ended();
  await role.restart();
  if (balancer) await expect.poll(() => balancer.ready, POLL).toBe(processes.length);
  await sleep(200);
  return code;
}

describe('a rolling restart of every role under searches and images', () => {
  it('loses no request and no image', async () => {
    expect(await ingest(0)).toBe('ok');
    await expect.poll(async () => (await get<{ models: ModelStatus[] }>('/models')).models[0]?.vectors, POLL).toBe(1);
    await expect.poll(() => search(0), POLL).toBe('ok');
    const over = new AbortController();
    const until = { forMs: 360_000, signal: over.signal };
    const sending = Promise.all([runOpenLoop({ perS: SEARCHES_PER_S, ...until, send: search }), runOpenLoop({ perS: INGESTS_PER_S, ...until, send: (n) => ingest(n + 1) })]);
    const codes: Record<string, (number | NodeJS.Signals)[]> = {};
    try {
      await sleep(1_000);
      for (const role of system.roles) for (const one of role.processes) (codes[role.name] ??= []).push(await restart(role, one));
      await sleep(1_000);
    } finally {
      over.abort();
    }
    const [searched, ingested] = await sending;
    console.log(describeLatencies(`searches at ${SEARCHES_PER_S}/s during restarts of ${system.roles.flatMap(({ processes }) => processes).length} processes`, searched));
    console.log(describeLatencies(`images at ${INGESTS_PER_S}/s`, ingested));
    expect(tally([...searched, ...ingested])).toEqual({ ok: searched.length + ingested.length });
    expect(codes).toEqual({ function: [0, 0], index: [0, 0], wrapper: [0, 0], worker: [0, 0], gateway: [0, 0] });
    await expect.poll(async () => (await get<LedgerAnswer>(`/images?submission=${SUBMISSION}&limit=1`)).counts, POLL).toMatchObject({ accepted: 0, rejected: 0, dead: 0 });
  }, 400_000);
});
