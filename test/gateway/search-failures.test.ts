import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RequestListener } from 'node:http';
import type { ErrorBody } from '../../common/errors.js';
import type { SearchAnswer } from '../../common/wire.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { eventually, image, imageId, QUERY, sendError, sendJson, startFunction, startGateway, startPod, startSystem, startWrapper, VERSION } from './stubs.js';

type System = Awaited<ReturnType<typeof startSystem>>;

let system: System;
const hang: RequestListener = () => undefined;
const HIT = { id: imageId(1, 1), score: 0.5, url: 'https://a/', urls: ['https://a/'], width: 1, height: 1, phash: '' };
const answering = (value: unknown, status = 200): RequestListener => (_request, response) => sendJson(response, status, value);

beforeEach(async () => {
  system = await startSystem({ variables: { EIS_INDEX_TIMEOUT_MS: '150', EIS_FUNCTION_TIMEOUT_MS: '300', EIS_SEARCH_TIMEOUT_MS: '1500', EIS_IN_FLIGHT_MAX: '3' } });
});
afterEach(() => system.close());

async function search(init: RequestInit = {}): Promise<{ status: number; headers: Headers; body: SearchAnswer & ErrorBody }> {
  const response = await fetch(`${system.gateway.url}/search?top=10`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' }, ...init });
  return { status: response.status, headers: response.headers, body: (await response.json()) as SearchAnswer & ErrorBody };
}

const searchById = (id: string): ReturnType<typeof search> => search({ body: JSON.stringify({ id }), headers: { 'content-type': 'application/json' } });

async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  return sumOf(parsePrometheus(await (await fetch(`${system.gateway.url}/metrics`)).text()), name, labels);
}

describe('a search with one shard of two failing', () => {
  it.each<[string, RequestListener | 'down', string]>([
    ['is down', 'down', 'EIS_SHARD_UNAVAILABLE'],
    ['never answers', hang, 'EIS_SHARD_TIMEOUT'],
    ['starts an answer and never ends it', (_request, response) => void response.writeHead(200).write('{"model'), 'EIS_SHARD_TIMEOUT'],
    ['hangs up', (request) => request.socket.destroy(), 'EIS_SHARD_UNAVAILABLE'],
    ['hangs up in the middle', (_request, response) => response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy()), 'EIS_SHARD_UNAVAILABLE'],
    ['answers garbage', (_request, response) => response.writeHead(200).end('<html>'), 'EIS_SHARD_RESPONSE'],
    ['answers other JSON', answering({ hits: 'none' }), 'EIS_SHARD_RESPONSE'],
    ['answers hits without an id', answering({ model_version: VERSION, hits: [{ ...HIT, id: 'x' }], vectors: 1, freshness_s: 0 }), 'EIS_SHARD_RESPONSE'],
    ['answers hits without a score', answering({ model_version: VERSION, hits: [{ ...HIT, score: null }], vectors: 1, freshness_s: 0 }), 'EIS_SHARD_RESPONSE'],
    ['answers hits of no version', answering({ model_version: '', hits: [HIT], vectors: 1, freshness_s: 0 }), 'EIS_SHARD_RESPONSE'],
    ['answers hits of another version', answering({ model_version: 'v2', hits: [HIT], vectors: 1, freshness_s: 0 }), 'EIS_MODEL_VERSION'],
    ['refuses the version', (_request, response) => sendError(response, 409, 'EIS_MODEL_VERSION'), 'EIS_MODEL_VERSION'],
    ['answers 500', (_request, response) => sendError(response, 500, 'EIS_INTERNAL'), 'EIS_SHARD_UNAVAILABLE'],
    ['answers a proxy’s 502', (_request, response) => response.writeHead(502).end('bad gateway'), 'EIS_SHARD_UNAVAILABLE'],
    ['is loading', (_request, response) => sendError(response, 503, 'EIS_NOT_READY'), 'EIS_NOT_READY'],
    ['is no index pod', (_request, response) => sendError(response, 404, 'EIS_ROUTE_UNKNOWN'), 'EIS_SHARD_RESPONSE'],
  ])('is answered in part, and says so, when it %s', async (_name, behaviour, code) => {
    if (behaviour === 'down') await system.pods[1].close();
    else system.pods[1].behave = behaviour;
    const { status, body } = await search();
    expect(status).toBe(200);
    expect(body).toMatchObject({ partial: true, shards: { total: 2, ok: 1, failed: [{ shard: '1/2', code }] }, index: { vectors: 3, freshness_s: 0.5 } });
    expect(body.results.map(({ id }) => id)).toEqual([0, 2, 4].map((n) => imageId(0, n)));
    expect(await metric('eis_shard_failures_total', { model: 'm', shard: '1/2', code })).toBe(1);
    expect(await metric('eis_search_total', { model: 'm', outcome: 'partial' })).toBe(1);
  });

  it('is whole again as soon as the shard is back', async () => {
    await system.pods[1].close();
    expect((await search()).body.partial).toBe(true);
    await system.pods[1].reopen();
    expect((await search()).body).toMatchObject({ partial: false, index: { vectors: 6 } });
  });

  it('takes a shard that holds nothing yet as a whole one', async () => {
    system.pods[1].behave = answering({ model_version: '', hits: [], vectors: 0, freshness_s: 0 });
    expect((await search()).body).toMatchObject({ partial: false, shards: { ok: 2, failed: [] }, index: { vectors: 3 } });
  });

  it('cannot find more like an image whose shard is down, and says which', async () => {
    await system.pods[1].close();
    expect((await searchById(imageId(1, 1))).body).toMatchObject({ statusCode: 503, code: 'EIS_SHARD_UNAVAILABLE', message: expect.stringContaining('1/2') as string });
    expect((await searchById(imageId(0, 2))).body).toMatchObject({ partial: true });
  });
});

describe('a search with no shard left', () => {
  it('is a 503 that names what each failed with', async () => {
    await system.pods[0].close();
    system.pods[1].behave = hang;
    const { status, headers, body } = await search();
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'EIS_SEARCH_UNAVAILABLE', '1']);
    expect(body.message).toContain('EIS_SHARD_UNAVAILABLE, EIS_SHARD_TIMEOUT');
    expect(await metric('eis_search_total', { outcome: 'EIS_SEARCH_UNAVAILABLE' })).toBe(1);
  });

  it('is a 409 when all hold another model version', async () => {
    for (const pod of system.pods) pod.behave = (_request, response) => sendError(response, 409, 'EIS_MODEL_VERSION');
    const { status, body } = await search();
    expect([status, body.code]).toEqual([409, 'EIS_MODEL_VERSION']);
  });

  it('is a 503 when only some hold another version', async () => {
    system.pods[0].behave = (_request, response) => sendError(response, 409, 'EIS_MODEL_VERSION');
    await system.pods[1].close();
    expect((await search()).body.code).toBe('EIS_SEARCH_UNAVAILABLE');
  });
});

describe('a search with the function failing', () => {
  it.each<[string, RequestListener | 'down', number, string]>([
    ['is down', 'down', 503, 'EIS_FUNCTION_UNAVAILABLE'],
    ['never answers', hang, 504, 'EIS_FUNCTION_TIMEOUT'],
    ['answers garbage', (_request, response) => response.writeHead(200).end('garbage!'), 502, 'EIS_FUNCTION_RESPONSE'],
    ['answers 500', (_request, response) => response.writeHead(500).end(), 503, 'EIS_FUNCTION_UNAVAILABLE'],
    ['is at its capacity', (_request, response) => sendError(response.setHeader('retry-after', '3'), 429, 'EIS_OVERLOADED'), 429, 'EIS_OVERLOADED'],
  ])('says so when it %s', async (_name, behaviour, status, code) => {
    if (behaviour === 'down') await system.fn.close();
    else system.fn.behave = behaviour;
    const answer = await search();
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    if (status === 429) expect(answer.headers.get('retry-after')).toBe('3');
    expect(system.pods.flatMap(({ seen }) => seen)).toEqual([]);
    expect(await metric('eis_search_total', { model: 'm', outcome: code })).toBe(1);
  });
});

describe('the deadline of a whole search', () => {
  const startImpatient = (): ReturnType<typeof startGateway> => startGateway({ models: [{ name: 'm', function: system.fn, pods: system.pods.map((pod) => [pod]) }], wrapper: system.wrapper, variables: { EIS_SEARCH_TIMEOUT_MS: '1000' } });
  const post = (url: string): Promise<Response> => fetch(`${url}/search`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' } });

  it('ends it though the function is within its own', async () => {
    const impatient = await startImpatient();
    system.fn.behave = hang;
    const response = await post(impatient.url);
    expect([response.status, ((await response.json()) as ErrorBody).code]).toEqual([504, 'EIS_SEARCH_TIMEOUT']);
    await eventually(() => system.fn.aborted === 1);
    await impatient.close();
  });

  it('leaves a shard that hangs less than its own, so that the others are answered', async () => {
    const impatient = await startImpatient();
    system.pods[0].behave = hang;
    const response = await post(impatient.url);
    const { partial, shards } = (await response.json()) as SearchAnswer;
    expect([response.status, partial, shards.failed.map(({ code }) => code)]).toEqual([200, true, ['EIS_SHARD_TIMEOUT']]);
    await eventually(() => system.pods[0].aborted === 1);
    await impatient.close();
  });
});

describe('a client that leaves', () => {
  it.each(['the function', 'a shard'])('takes the call of %s with it', async (part) => {
    const stub = part === 'the function' ? system.fn : system.pods[1];
    let reached = false;
    stub.behave = () => (reached = true);
    const client = new AbortController();
    const gone = search({ signal: client.signal }).catch((error: Error) => error.name);
    await eventually(() => reached);
    client.abort();
    expect(await gone).toBe('AbortError');
    await eventually(() => stub.aborted === 1);
    stub.behave = undefined;
    expect((await search()).body.partial).toBe(false);
    expect(await metric('eis_search_total', { outcome: 'EIS_CLIENT_CLOSED' })).toBe(1);
    expect(await metric('eis_shard_failures_total')).toBe(0);
    expect(await metric('eis_requests_in_flight')).toBe(0);
  });
});

describe('more requests than the gateway holds', () => {
  it('are turned away at once, and taken again when there is room', async () => {
    const held: (() => void)[] = [];
    system.fn.behave = (_request, response) => held.push(() => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE'));
    const waiting = [1, 2, 3].map((n) => search({ body: Buffer.from([...QUERY, n]) }));
    await eventually(() => held.length === 3);
    expect(await metric('eis_requests_in_flight')).toBe(3);
    const { status, headers, body } = await search();
    expect([status, body.code, headers.get('retry-after')]).toEqual([429, 'EIS_OVERLOADED', '1']);
    expect((await fetch(`${system.gateway.url}/healthz`)).status).toBe(200);
    for (const release of held) release();
    expect((await Promise.all(waiting)).map(({ body: { code } }) => code)).toEqual(Array(3).fill('EIS_IMAGE_UNDECODABLE'));
    system.fn.behave = undefined;
    expect((await search()).status).toBe(200);
  });
});

describe('replicas of a shard', () => {
  it('share the searches, and stand in for one that is down', async () => {
    const images = [image(0, 1)];
    const [fn, wrapper, ...pods] = await Promise.all([startFunction(), startWrapper(), startPod({ shard: '0/1', images }), startPod({ shard: '0/1', images })]);
    const gateway = await startGateway({ models: [{ name: 'm', function: fn, pods: [pods] }], wrapper });
    const ask = async (): Promise<boolean> => ((await (await fetch(`${gateway.url}/search`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' } })).json()) as SearchAnswer).partial;
    expect(await Promise.all(Array.from({ length: 8 }, ask))).toEqual(Array(8).fill(false));
    for (const { seen } of pods) expect(seen.length).toBeGreaterThan(0);
    await pods[0].close();
    for (let i = 0; i < 4; i++) expect(await ask()).toBe(false);
    await gateway.close();
    await Promise.all([fn, wrapper, ...pods].map((stub) => stub.close()));
  });
});
