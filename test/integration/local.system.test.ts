import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { IndexStats, LedgerAnswer, SearchAnswer } from '../../common/wire.js';
import type { IngestSummary } from '../../ingest/upload.js';
import { isAlive, startLocalStack, type LocalStack } from '../support/local-stack.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { runCli } from '../support/run-cli.js';

const PODS = ['index-builtin-0-2', 'index-builtin-1-2'] as const;
const ROLES = ['function-builtin', ...PODS, 'worker-builtin', 'wrapper', 'gateway'];

describe('npm start, on an empty machine', () => {
  let folder: string;
  let stack: LocalStack;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-local-'));
    stack = await startLocalStack({ folder });
    await untilFollowed(120);
  }, 120_000);

  afterAll(async () => {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Index pods follow the store within two seconds. */
  async function untilFollowed(vectors: number): Promise<void> {
    await vi.waitFor(async () => {
      const { models } = (await (await fetch(`${stack.url}/models`)).json()) as { models: { vectors: number }[] };
      expect(models[0]?.vectors).toBe(vectors);
    }, { timeout: 5_000 });
  }

  const galleryNames = (): string[] => readdirSync(join(stack.dataDir, 'gallery')).filter((name) => name.endsWith('.jpg')).sort();
  const picture = (name: string): Buffer => readFileSync(join(stack.dataDir, 'gallery', name));

  async function search(body: Buffer | object, query = ''): Promise<{ status: number; headers: Headers; answer: SearchAnswer & { code?: string } }> {
    const isBytes = Buffer.isBuffer(body);
    const response = await fetch(`${stack.url}/search${query}`, { method: 'POST', body: isBytes ? new Uint8Array(body) : JSON.stringify(body), headers: { 'content-type': isBytes ? 'image/jpeg' : 'application/json' } });
    return { status: response.status, headers: response.headers, answer: (await response.json()) as SearchAnswer & { code?: string } };
  }

  /** Searches until `accept` is content; fails after `withinMs`. */
  async function searchUntil(accept: (result: Awaited<ReturnType<typeof search>>) => boolean, withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const result = await search(picture(galleryNames()[0] as string));
      if (accept(result)) return;
      if (performance.now() > deadline) throw new Error(`Still ${result.status} ${JSON.stringify(result.answer.shards)} after ${withinMs} ms.`);
      await sleep(50);
    }
  }

  const isWhole = ({ status, answer }: Awaited<ReturnType<typeof search>>): boolean => status === 200 && !answer.partial;

  it('runs one process for every role and shard, on loopback only', () => {
    expect(stack.names().sort()).toEqual([...ROLES].sort());
    expect(stack.output()).toContain(`Image search is running: ${stack.url}`);
    expect(stack.output()).toContain('120 stored');
  });

  it('finds a picture of the sample gallery first, then ones of its kind', async () => {
    const { status, headers, answer } = await search(picture('sailboat-03.jpg'), '?top=5');
    expect(status).toBe(200);
    expect(headers.get('x-eis-model')).toBe('builtin');
    expect(answer).toMatchObject({ model: 'builtin', shards: { total: 2, ok: 2, failed: [] }, partial: false, index: { vectors: 120 } });
    expect(answer.results).toHaveLength(5);
    expect(answer.results[0]?.id).toBe(createHash('sha256').update(picture('sailboat-03.jpg')).digest('hex'));
    expect(answer.results[0]?.score).toBeGreaterThanOrEqual(0.999);
    expect(answer.results[0]?.score).toBeLessThanOrEqual(1);
    const kinds = answer.results.map(({ urls }) => /#([a-z]+)-/.exec(urls[0] as string)?.[1]);
    expect(kinds.filter((kind) => kind === 'sailboat').length).toBeGreaterThanOrEqual(3);
  });

  it('serves the pictures it found, and nothing that a browser would run', async () => {
    const { answer } = await search(picture('cat-00.jpg'), '?top=1');
    const response = await fetch(new URL(answer.results[0]?.url as string, stack.url));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/jpeg');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(picture('cat-00.jpg'));
  });

  it('finds more like one by its id', async () => {
    const id = createHash('sha256').update(picture('planet-01.jpg')).digest('hex');
    const { answer } = await search({ id }, '?top=3');
    expect(answer.results).toHaveLength(3);
    expect(answer.results.map((result) => result.id)).not.toContain(id);
    expect(answer.results.every(({ urls }) => urls[0]?.includes('#planet-'))).toBe(true);
  });

  it('knows what it has when the same folder is ingested again', async () => {
    const { code, stdout } = await runCli(['ingest', join(stack.dataDir, 'gallery'), '--gateway', stack.url, '--json']);
    const summary = JSON.parse(stdout) as IngestSummary;
    expect(summary).toMatchObject({ sent: 120, stored: 0, duplicates: 120, rejected: [] });
    expect(code).toBe(0);
    const ledger = (await (await fetch(`${stack.url}/images?submission=${summary.submission}&limit=1000`)).json()) as LedgerAnswer;
    expect(ledger.entries).toHaveLength(120);
    expect(ledger.counts).toEqual({ accepted: 0, stored: 0, duplicate: 120, rejected: 0, dead: 0 });
  });

  it('says of each bad file why it was rejected, and takes the good ones', async () => {
    const mixed = join(folder, 'mixed');
    mkdirSync(mixed);
    writeFileSync(join(mixed, 'text.jpg'), 'this is no image');
    writeFileSync(join(mixed, 'truncated.jpg'), picture('cat-00.jpg').subarray(0, 2000));
    writeFileSync(join(mixed, 'good.jpg'), picture('fish-00.jpg'));
    writeFileSync(join(mixed, 'notes.txt'), 'not looked at');
    const { code, stdout } = await runCli(['ingest', mixed, '--gateway', stack.url, '--json']);
    const summary = JSON.parse(stdout) as IngestSummary;
    expect(summary).toMatchObject({ sent: 3, stored: 0, duplicates: 1, skipped: 1 });
    expect(summary.rejected.map(({ source, code: reason, model }) => [source.split('/').at(-1), reason, model]).sort()).toEqual([['text.jpg', 'EIS_IMAGE_INVALID', 'builtin'], ['truncated.jpg', 'EIS_IMAGE_UNDECODABLE', 'builtin']]);
    expect(code).toBe(1);
  });

  it('finds a new image within seconds of its ingest, and no more after its removal', async () => {
    const bytes = await sharp(picture('cat-01.jpg')).negate().rotate(90).jpeg().toBuffer();
    const id = createHash('sha256').update(bytes).digest('hex');
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(bytes)]), 'new.jpg');
    const response = await fetch(`${stack.url}/images`, { method: 'POST', body: form });
    expect(response.status).toBe(202);
    const isFound = async (): Promise<boolean> => (await search(bytes, '?top=1')).answer.results[0]?.id === id;
    await expect.poll(isFound, { timeout: 4_000, interval: 100 }).toBe(true);
    expect((await fetch(`${stack.url}/images/${id}`, { method: 'DELETE' })).status).toBe(200);
    await expect.poll(isFound, { timeout: 4_000, interval: 100 }).toBe(false);
    expect((await fetch(`${stack.url}/images/${id}`, { method: 'DELETE' })).status).toBe(404);
  });

  it('answers partially, and names the shard, while one index pod does not answer; 503 while none does', async () => {
    const [first, second] = PODS.map((name) => stack.pidOf(name) as number) as [number, number];
    try {
      process.kill(first, 'SIGSTOP');
      const partial = await search(picture('cat-00.jpg'));
      expect(partial.status).toBe(200);
      expect(partial.answer).toMatchObject({ partial: true, shards: { total: 2, ok: 1, failed: [{ shard: '0/2', code: 'EIS_SHARD_TIMEOUT' }] } });
      process.kill(second, 'SIGSTOP');
      const none = await search(picture('cat-00.jpg'));
      expect([none.status, none.answer.code]).toEqual([503, 'EIS_SEARCH_UNAVAILABLE']);
    } finally {
      for (const pid of [first, second]) process.kill(pid, 'SIGCONT');
    }
    await searchUntil(isWhole, 5_000);
  });

  it('is whole again within 5 s after an index pod was killed', async () => {
    process.kill(stack.pidOf(PODS[1]) as number, 'SIGKILL');
    await searchUntil(({ answer }) => answer.partial, 2_000);
    await searchUntil(isWhole, 5_000);
    const stats = (await (await fetch(`http://127.0.0.1:${stack.basePort + 21}/stats`)).json()) as IndexStats;
    expect(stats).toMatchObject({ shard: '1/2', algorithm: 'brute', dim: 256 });
  });

  it('shows metrics of every role that parse and count what was done', async () => {
    const metrics = async (offset: number) => parsePrometheus(await (await fetch(`http://127.0.0.1:${stack.basePort + offset}/metrics`)).text());
    const before = await metrics(0);
    for (let i = 0; i < 3; i++) await search(picture('cat-00.jpg'));
    const after = await metrics(0);
    const searches = (samples: typeof before): number => sumOf(samples, 'eis_http_request_duration_seconds_count', { route: '/search', status: '200' });
    expect(searches(after) - searches(before)).toBe(3);
    expect(sumOf(await metrics(2), 'eis_ingest_outcomes_total', { outcome: 'duplicate' })).toBeGreaterThanOrEqual(121);
    expect(sumOf(await metrics(20), 'eis_index_vectors') + sumOf(await metrics(21), 'eis_index_vectors')).toBe(120);
    for (const offset of [1, 10]) expect((await metrics(offset)).length).toBeGreaterThan(10);
  });

  it('describes its routes as OpenAPI', async () => {
    const openapi = (await (await fetch(`${stack.url}/openapi.json`)).json()) as { openapi: string; paths: object };
    expect(openapi.openapi).toMatch(/^3\./);
    expect(Object.keys(openapi.paths)).toEqual(expect.arrayContaining(['/search', '/images', '/images/{id}', '/models', '/reload']));
    expect((await fetch(`${stack.url}/docs/`)).status).toBe(200);
  });

  it('ends with all its processes within 5 s, and goes on where it was without ingesting again', async () => {
    const pids = ROLES.map((name) => stack.pidOf(name) as number);
    expect(await stack.stop()).toBeLessThan(5_000);
    expect(pids.filter(isAlive)).toEqual([]);
    stack = await startLocalStack({ folder, basePort: stack.basePort });
    expect(stack.output()).not.toContain('stored');
    await untilFollowed(120);
  }, 60_000);

  it('leaves no process behind when it is killed itself', async () => {
    const pids = ROLES.map((name) => stack.pidOf(name) as number);
    process.kill(stack.pid, 'SIGKILL');
    await stack.ended;
    await expect.poll(() => pids.filter(isAlive), { timeout: 6_000 }).toEqual([]);
    stack = await startLocalStack({ folder, basePort: stack.basePort });
    await searchUntil(isWhole, 5_000);
  }, 60_000);
});
