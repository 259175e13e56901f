/**
 * What a client of the gateway sees of each part that fails, that it comes within the time that it has, and which metric
 * shows it. Two shards of two replicas each and a function, stubs over real sockets; the store is one of MongoDB's wire
 * protocol, with a real index pod.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseEnvironment } from '../../common/environment.js';
import type { ErrorBody } from '../../common/errors.js';
import { openStore } from '../../common/store/open-store.js';
import { encodeVector } from '../../common/vector.js';
import type { SearchAnswer } from '../../common/wire.js';
import { DIM, image, QUERY, sendError, sendJson, startFunction, startGateway, startPod, startWrapper, VERSION, type GatewayOptions, type RunningGateway, type Stub } from '../gateway/stubs.js';
import { WireServer } from '../support/mongo-wire/wire-server.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { RoleProcess } from '../support/role-process.js';
import { imageOf } from './index-pod-process.js';

const INDEX_TIMEOUT_MS = 500;
const FUNCTION_TIMEOUT_MS = 700;
/** Of a search whose parts all took their time, on a machine that has other things to do. */
const DEADLINE_MS = 2_500;
const SHARDS = [[0, 2, 4].map((n) => image(0, n)), [1, 3, 5].map((n) => image(1, n))] as const;

let fn: Stub;
/** By shard, its replicas. */
let pods: readonly [readonly Stub[], readonly Stub[]];
let wrapper: Stub;
let gateway: RunningGateway;
let closing: (() => Promise<unknown>)[];

beforeEach(async () => {
  closing = [];
  const startReplicas = async (shard: 0 | 1): Promise<Stub[]> => Promise.all([0, 1].map(() => keep(startPod({ shard: `${shard}/2`, images: SHARDS[shard] }))));
  [fn, wrapper, pods] = await Promise.all([keep(startFunction()), keep(startWrapper()), Promise.all([startReplicas(0), startReplicas(1)])]);
  gateway = await start();
});
afterEach(async () => {
  for (const close of closing.reverse()) await close();
});

async function keep<Part extends { close(): Promise<void> }>(starting: Promise<Part>): Promise<Part> {
  const part = await starting;
  closing.push(() => part.close());
  return part;
}

function start(options: Partial<GatewayOptions> = {}): Promise<RunningGateway> {
  const variables = { EIS_INDEX_TIMEOUT_MS: String(INDEX_TIMEOUT_MS), EIS_FUNCTION_TIMEOUT_MS: String(FUNCTION_TIMEOUT_MS), EIS_SEARCH_TIMEOUT_MS: String(DEADLINE_MS), ...options.variables };
  return keep(startGateway({ models: [{ name: 'm', function: fn, pods }], wrapper, ...options, variables }));
}

interface Seen {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly tookMs: number;
  readonly body: SearchAnswer & ErrorBody;
}

/** A search as a client makes it. */
async function search(): Promise<Seen> {
  const startedAt = performance.now();
  const response = await fetch(`${gateway.url}/search?top=10`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' } });
  const body = (await response.json()) as SearchAnswer & ErrorBody;
  return { status: response.status, retryAfter: response.headers.get('retry-after'), tookMs: performance.now() - startedAt, body };
}

async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  return sumOf(parsePrometheus(await (await fetch(`${gateway.url}/metrics`)).text()), name, labels);
}

const hang: RequestListener = () => undefined;
const late = (delayMs: number, then: RequestListener): RequestListener => (request, response) => void request.resume().once('end', () => setTimeout(() => then(request, response), delayMs));
const hitsOfVersion = (version: string): RequestListener => (_request, response) => sendJson(response, 200, { model_version: version, hits: [], vectors: 3, freshness_s: 0.5 });

describe('a shard of two', () => {
  it.each<[string, RequestListener | 'killed', string]>([
    ['is killed', 'killed', 'EIS_SHARD_UNAVAILABLE'],
    ['hangs: it accepts and never answers', hang, 'EIS_SHARD_TIMEOUT'],
    ['answers garbage', (_request, response) => response.writeHead(200).end('\u0000<html>'), 'EIS_SHARD_RESPONSE'],
    ['answers another model version', hitsOfVersion('v2-other'), 'EIS_MODEL_VERSION'],
  ])('that %s is named in a partial answer', async (_name, behaviour, code) => {
    for (const replica of pods[1]) {
      if (behaviour === 'killed') await replica.close();
      else replica.behave = behaviour;
    }
    const { status, tookMs, body } = await search();
    expect([status, body.partial, body.shards]).toEqual([200, true, { total: 2, ok: 1, failed: [{ shard: '1/2', code }] }]);
    expect(body.results.map(({ id }) => id).sort()).toEqual(SHARDS[0].map(({ id }) => id).sort());
    expect(tookMs).toBeLessThan(DEADLINE_MS);
    expect(await metric('eis_shard_failures_total', { model: 'm', shard: '1/2', code })).toBe(1);
    expect(await metric('eis_search_total', { model: 'm', outcome: 'partial' })).toBe(1);
  });

  it('that is slow, 20 times, makes searches slower and no less whole', async () => {
    for (const replica of pods[1]) replica.behave = late(200, hitsOfVersion(VERSION));
    const { status, tookMs, body } = await search();
    expect([status, body.partial]).toEqual([200, false]);
    expect(tookMs).toBeLessThan(DEADLINE_MS);
    expect(await metric('eis_search_duration_seconds_sum', { stage: 'fan_out' })).toBeGreaterThan(0.15);
  });

  it('of which half the replicas are dead answers every search', async () => {
    await pods[0][0]!.close();
    await pods[1][1]!.close();
    for (let i = 0; i < 20; i++) expect(await search()).toMatchObject({ status: 200, body: { partial: false } });
    expect(await metric('eis_shard_retries_total')).toBeGreaterThan(0);
    expect(await metric('eis_shard_replicas', { state: 'ejected' })).toBeGreaterThan(0);
    expect(await metric('eis_shard_failures_total')).toBe(0);
  });

  it('of which a replica hangs answers all searches but those that find it out', async () => {
    pods[0][0]!.behave = hang;
    const seen: Seen[] = [];
    for (let i = 0; i < 20; i++) seen.push(await search());
    expect(seen.filter(({ body }) => body.partial).length).toBeLessThanOrEqual(2);
    expect(Math.max(...seen.map(({ tookMs }) => tookMs))).toBeLessThan(DEADLINE_MS);
    expect(await metric('eis_shard_ejections_total', { shard: '0/2' })).toBeGreaterThan(0);
  });
});

describe('the function', () => {
  const wrongDim: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'x-eis-model': 'm', 'x-eis-model-version': VERSION, 'x-eis-dim': String(DIM), 'x-eis-sha256': 'a'.repeat(64), 'x-eis-phash': 'b'.repeat(16), 'x-eis-width': '1', 'x-eis-height': '1', 'x-eis-format': 'jpeg', 'x-eis-timings-ms': '{}' });
    response.end(encodeVector(new Float32Array(DIM - 1)));
  };
  it.each<[string, RequestListener | 'down', number, string]>([
    ['is down', 'down', 503, 'EIS_FUNCTION_UNAVAILABLE'],
    ['is too slow', late(5_000, (_request, response) => sendError(response, 500, 'EIS_INTERNAL')), 504, 'EIS_FUNCTION_TIMEOUT'],
    ['has as much to do as it takes', (_request, response) => sendError(response.setHeader('retry-after', '2'), 429, 'EIS_OVERLOADED'), 429, 'EIS_OVERLOADED'],
    ['answers a vector of another length', wrongDim, 502, 'EIS_FUNCTION_RESPONSE'],
  ])('that %s is named in an error', async (_name, behaviour, status, code) => {
    if (behaviour === 'down') await fn.close();
    else fn.behave = behaviour;
    const seen = await search();
    expect([seen.status, seen.body.code]).toEqual([status, code]);
    expect(seen.retryAfter).toBe(status === 429 ? '2' : status === 503 ? '1' : null);
    expect(seen.tookMs).toBeLessThan(DEADLINE_MS);
    expect(await metric('eis_search_total', { model: 'm', outcome: code })).toBe(1);
  });

  it('that is slow, 20 times, makes searches slower', async () => {
    fn.behave = undefined;
    const prompt = (await search()).body.query.id;
    const before = await metric('eis_search_duration_seconds_sum', { stage: 'embed' });
    const slow = await keep(startFunction());
    fn.behave = late(200, (_request, response) => void fetch(slow.url, { method: 'POST', body: QUERY }).then(async (answer) => response.writeHead(200, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()))));
    const { status, body } = await search();
    expect([status, body.query.id, body.partial]).toEqual([200, prompt, false]);
    expect((await metric('eis_search_duration_seconds_sum', { stage: 'embed' })) - before).toBeGreaterThan(0.15);
  });
});

describe('DNS', () => {
  const named = (): Record<string, string> => ({ INDEX_URLS_M: pods.map(([replica]) => replica!.url.replace('127.0.0.1', 'shard.example')).join(';'), EIS_DNS_REFRESH_MS: '20' });

  it('that answers nothing at the start leaves a gateway without shards, until it answers', async () => {
    let addresses: string[] = [];
    gateway = await start({ variables: named(), resolve: async () => addresses });
    const { status, body, retryAfter } = await search();
    expect([status, body.code, retryAfter]).toEqual([503, 'EIS_SEARCH_UNAVAILABLE', '1']);
    expect(body.message).toContain('EIS_SHARD_UNAVAILABLE');
    expect(await metric('eis_dns_failures_total', { hostname: 'shard.example' })).toBeGreaterThan(0);
    addresses = ['127.0.0.1'];
    await expect.poll(async () => (await search()).status, { interval: 20 }).toBe(200);
  });

  it.each<[string, () => Promise<readonly string[]>]>([
    ['nothing', async () => []],
    ['an error', async () => Promise.reject(new Error('SERVFAIL'))],
    ['never', () => new Promise(() => undefined)],
  ])('that answers %s later takes no known address away', async (answer, resolveLater) => {
    let resolve: () => Promise<readonly string[]> = async () => ['127.0.0.1'];
    let asked = 0;
    gateway = await start({ variables: named(), resolve: () => {
      asked++;
      return resolve();
    } });
    resolve = resolveLater;
    const before = asked;
    await expect.poll(() => asked, { interval: 5 }).toBeGreaterThan(before + 1);
    await sleep(50);
    expect(await search()).toMatchObject({ status: 200, body: { partial: false } });
    if (answer !== 'never') expect(await metric('eis_dns_failures_total')).toBeGreaterThan(0);
  });
});

describe('the store', () => {
  it('that is down keeps no search from its answer, which says how old it may be', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eis-store-down-'));
    closing.push(async () => rmSync(folder, { recursive: true, force: true }));
    const server = await WireServer.start();
    closing.push(() => server.stop());
    const live = { version: VERSION, dim: DIM };
    const store = await openStore(parseEnvironment({ MONGODB_URI: server.uri('eis') }));
    await store.setLiveVersion('m', live);
    for (const { id, vector } of SHARDS.flat()) await store.collection('m', live).write([imageOf(id, vector)]);
    await store.close();
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ models: [{ name: 'm', model_url: 'unused' }], services: [{ name: 'indexing', models: [{ name: 'm' }] }] }));
    const pod = await RoleProcess.start({ entry: 'indexer/main.ts', env: { EIS_CONFIG: join(folder, 'config.json'), EIS_DATA_DIR: folder, MODEL: 'm', SHARD: '', MONGODB_URI: server.uri('eis'), EIS_STORE_TIMEOUT_MS: '500' }, logFile: join(folder, 'pod.log') });
    closing.push(() => pod.stop());
    gateway = await keep(startGateway({ models: [{ name: 'm', function: fn, pods: [[{ ...fn, url: pod.url }]] }], wrapper }));
    await expect.poll(async () => (await search()).body.index?.vectors, { interval: 50, timeout: 10_000 }).toBe(SHARDS.flat().length);
    await server.stop();
    await sleep(1_500);
    const first = await search();
    await sleep(1_000);
    const second = await search();
    expect([first.status, second.status, second.body.partial, second.body.results.length]).toEqual([200, 200, false, SHARDS.flat().length]);
    expect(second.tookMs).toBeLessThan(DEADLINE_MS);
    expect(second.body.index.freshness_s).toBeGreaterThan(first.body.index.freshness_s + 0.5);
    const freshness = sumOf(parsePrometheus(await (await fetch(`${pod.url}/metrics`)).text()), 'eis_index_freshness_seconds');
    expect(freshness).toBeGreaterThan(1.5);
  });
});
