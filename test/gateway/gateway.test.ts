import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ModelStatus } from '../../common/wire.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { eventually, image, imageId, QUERY, sendError, startFunction, startGateway, startPod, startSystem, startWrapper } from './stubs.js';

type System = Awaited<ReturnType<typeof startSystem>>;

let system: System;
beforeEach(async () => {
  system = await startSystem({ variables: { EIS_INDEX_TIMEOUT_MS: '150' } });
});
afterEach(() => system.close());

/** Reads the answer whole, as a browser does: one left lying would hold up closing. */
async function load(path: string): Promise<number> {
  const response = await get(path);
  await response.arrayBuffer();
  return response.status;
}

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(`${system.gateway.url}${path}`, init);

describe('GET /models', () => {
  const models = async (): Promise<ModelStatus[]> => ((await (await get('/models')).json()) as { models: ModelStatus[] }).models;

  it('sums up what the shards hold', async () => {
    expect(await models()).toEqual([{ name: 'm', dim: 4, model_version: 'v1-0123456789', shards: { total: 2, ok: 2, failed: [] }, vectors: 6, weight: 1 }]);
  });

  it('asks the shards once for many that ask at once', async () => {
    await Promise.all(Array.from({ length: 10 }, models));
    expect(system.pods.map(({ seen }) => seen.length)).toEqual([1, 1]);
  });

  it('names the shards that do not answer', async () => {
    await system.pods[0].close();
    expect(await models()).toMatchObject([{ dim: 4, vectors: 3, shards: { ok: 1, failed: [{ shard: '0/2', code: 'EIS_SHARD_UNAVAILABLE' }] } }]);
  });

  it('knows no size while nothing answers', async () => {
    await Promise.all(system.pods.map((pod) => pod.close()));
    expect(await models()).toMatchObject([{ dim: 0, model_version: '', vectors: 0, shards: { ok: 0 } }]);
  });

  it('does not count vectors of two model versions together', async () => {
    const [fn, wrapper, ...pods] = await Promise.all([startFunction(), startWrapper(), startPod({ shard: '0/3', images: [image(0, 1), image(0, 2)], version: 'new' }), startPod({ shard: '1/3', images: [image(0, 3)], version: 'old' }), startPod({ shard: '2/3', images: [], version: '' })]);
    const gateway = await startGateway({ models: [{ name: 'm', function: fn, pods: pods.map((pod) => [pod]) }], wrapper });
    const answer = (await (await fetch(`${gateway.url}/models`)).json()) as { models: ModelStatus[] };
    expect(answer.models).toMatchObject([{ model_version: 'new', vectors: 2, shards: { total: 3, ok: 2, failed: [{ shard: '1/3', code: 'EIS_MODEL_VERSION' }] } }]);
    await gateway.close();
    await Promise.all([fn, wrapper, ...pods].map((stub) => stub.close()));
  });
});

describe('POST /reload', () => {
  it('reaches every replica of every shard of every model', async () => {
    const [fn, wrapper, a, b, c] = await Promise.all([startFunction(), startWrapper(), startPod({ shard: '0/2', images: [image(0, 1)] }), startPod({ shard: '0/2', images: [image(0, 1)] }), startPod({ shard: '1/2', images: [] })]);
    const gateway = await startGateway({ models: [{ name: 'm', function: fn, pods: [[a, b], [c]] }, { name: 'n', function: fn, pods: [[c]] }], wrapper });
    const reload = async (query: string): Promise<[number, unknown]> => {
      const response = await fetch(`${gateway.url}/reload${query}`, { method: 'POST' });
      return [response.status, await response.json()];
    };
    const m = { model: 'm', shards: [{ shard: '0/2', replica: 0, ok: true, vectors: 1 }, { shard: '0/2', replica: 1, ok: true, vectors: 1 }, { shard: '1/2', replica: 0, ok: true, vectors: 0 }] };
    expect(await reload('')).toEqual([200, { models: [m, { model: 'n', shards: [{ shard: '0/1', replica: 0, ok: true, vectors: 0 }] }] }]);
    b.behave = (_request, response) => sendError(response, 500, 'EIS_INTERNAL');
    expect(await reload('?model=m')).toEqual([207, { models: [{ ...m, shards: [m.shards[0], { shard: '0/2', replica: 1, ok: false, code: 'EIS_SHARD_UNAVAILABLE' }, m.shards[2]] }] }]);
    await Promise.all([a, b, c].map((pod) => pod.close()));
    expect((await reload('?model=m'))[0]).toBe(503);
    expect((await reload('?model=__proto__'))[0]).toBe(404);
    await gateway.close();
    await Promise.all([fn, wrapper].map((stub) => stub.close()));
  });
});

describe('health', () => {
  it('is alive and ready though no shard answers, and says how many do', async () => {
    const ready = async (): Promise<string> => {
      const response = await get('/readyz');
      expect(response.status).toBe(200);
      return ((await response.json()) as { detail: string }).detail;
    };
    expect(await ready()).toBe('The index shards have not been asked yet.');
    await eventually(() => system.pods.every(({ seen }) => seen.length > 0));
    await get('/models');
    expect(await ready()).toBe('m: 2 of 2 index shards answer, with 6 vectors.');
    await Promise.all([...system.pods, system.fn, system.wrapper].map((stub) => stub.close()));
    expect((await get('/healthz')).status).toBe(200);
    await ready();
  });
});

describe('GET /metrics', () => {
  it('is Prometheus text and counts the searches, their stages and what was in flight', async () => {
    const search = (body: NonNullable<RequestInit['body']>, type = 'image/jpeg'): Promise<Response> => get('/search', { method: 'POST', body, headers: { 'content-type': type } });
    await search(QUERY);
    await search(QUERY);
    await search(JSON.stringify({ id: imageId(0, 99) }), 'application/json');
    await search(QUERY, 'text/plain');
    const response = await get('/metrics');
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const samples = parsePrometheus(await response.text());
    expect(sumOf(samples, 'eis_search_total', { model: 'm', outcome: 'ok' })).toBe(2);
    expect(sumOf(samples, 'eis_search_total', { outcome: 'EIS_IMAGE_UNKNOWN' })).toBe(1);
    for (const stage of ['embed', 'fan_out', 'merge', 'total']) expect(sumOf(samples, 'eis_search_duration_seconds_count', { model: 'm', stage })).toBe(2);
    expect(sumOf(samples, 'eis_requests_in_flight')).toBe(0);
    expect(sumOf(samples, 'eis_http_request_duration_seconds_count', { route: '/search', status: '415' })).toBe(1);
  });
});

describe('the API’s description', () => {
  interface Operation {
    operationId: string;
    parameters?: { name: string; in: string; required: boolean; schema: object }[];
    requestBody?: { content: Record<string, { schema: object }> };
    responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
  }
  interface Description {
    openapi: string;
    info: { title: string; version: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, object> };
  }
  const describeApi = async (): Promise<Description> => (await (await get('/openapi.json')).json()) as Description;

  it('lists every route', async () => {
    const { paths } = await describeApi();
    const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    expect(routes.sort()).toEqual([
      'DELETE /images/{id}', 'DELETE /queues/{model}/dead', 'GET /images', 'GET /images/{id}', 'GET /models', 'GET /queues', 'GET /queues/{model}/dead',
      'POST /images', 'POST /queues/{model}/backfill', 'POST /queues/{model}/dead/replay', 'POST /reload', 'POST /search',
    ]);
  });

  it('holds together: operations are told apart, parameters are there, every schema compiles and every reference leads somewhere', async () => {
    const description = await describeApi();
    expect(description).toMatchObject({ openapi: '3.1.0', info: { title: 'Elastic image search', version: '0.0.0' } });
    const ajv = new Ajv({ strict: false, formats: { binary: true } });
    (addFormats as unknown as (instance: Ajv) => void)(ajv);
    ajv.addSchema({ $id: 'api', components: description.components });
    const compile = (schema: object): unknown => ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"api#/components')) as object);
    const operations = Object.entries(description.paths).flatMap(([path, methods]) => Object.values(methods).map((operation) => ({ path, operation })));
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
    for (const { path, operation } of operations) {
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['4XX', '5XX']));
      for (const { schema } of operation.parameters ?? []) compile(schema);
      for (const { content } of [operation.requestBody ?? { content: {} }, ...Object.values(operation.responses)]) for (const { schema } of Object.values(content ?? {})) compile(schema);
    }
  });

  it('describes the answer that a search gives, and the forms that it takes', async () => {
    const operation = (await describeApi()).paths['/search']!['post']!;
    expect(Object.keys(operation.requestBody!.content)).toEqual(['multipart/form-data', 'image/*', 'application/octet-stream', 'application/json']);
    const top = operation.parameters!.find(({ name }) => name === 'top');
    expect(top).toMatchObject({ required: false, schema: { minimum: 1, maximum: 1_000, default: 10 } });
    const answer = await (await get('/search', { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' } })).json();
    expect(new Ajv({ strict: false }).validate(operation.responses['200']!.content!['application/json']!.schema, answer)).toBe(true);
  });

  it('can be read at /docs', async () => {
    const page = await (await get('/docs')).text();
    expect(page).toContain('Elastic image search: API');
    const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path as string);
    expect(assets.length).toBeGreaterThan(3);
    for (const path of assets) expect(await load(path), path).toBe(200);
  });
});

describe('the page', () => {
  it('is served at /, with everything it needs and nothing of others', async () => {
    const response = await get('/');
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const page = await response.text();
    const assets = [...page.matchAll(/\s(?:src|href)="([^"#][^"]*)"/g)].map(([, path]) => path as string);
    expect(assets).toEqual(expect.arrayContaining(['style.css', 'app.js']));
    for (const path of assets) expect(await load(`/${path}`), path).toBe(200);
  });

  it('runs under a policy that allows nothing inline, and holds nothing inline', async () => {
    const response = await get('/');
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    const page = await response.text();
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/i);
  });

  it.each(['/', '/models', '/search', '/nowhere'])('answers %s with headers that keep a browser safe', async (path) => {
    const { headers } = await get(path);
    expect([headers.get('x-content-type-options'), headers.get('referrer-policy')]).toEqual(['nosniff', 'no-referrer']);
  });

  it.each([['cross-site', 403], ['same-site', 403], ['same-origin', 202], ['none', 202], [undefined, 202]])('takes images from its own page and from programs, not from pages of other sites (%s)', async (site, status) => {
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(3)]), 'a.png');
    const response = await get('/images', { method: 'POST', body: form, headers: site === undefined ? {} : { 'sec-fetch-site': site } });
    expect(response.status).toBe(status);
    if (status === 403) expect(await response.json()).toMatchObject({ code: 'EIS_CROSS_SITE' });
    expect(system.wrapper.seen).toHaveLength(status === 403 ? 0 : 1);
  });

  it.each(['/..%2f..%2fpackage.json', '/%2e%2e/package.json', '/../config.json', '/.git/config'])('gives no file beside it: %s', async (path) => {
    expect([400, 403, 404]).toContain((await get(path)).status);
  });
});
