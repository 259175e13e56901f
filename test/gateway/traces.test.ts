import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseEnvironment } from '../../common/environment.js';
import { SILENT_LOG, type Log } from '../../common/log.js';
import { startTracing, withSpan } from '../../common/tracing.js';
import type { SearchAnswer } from '../../common/wire.js';
import { startCollector, type CollectedSpan, type Collector } from '../support/otlp-collector.js';
import { eventually, image, QUERY, sendError, startFunction, startGateway, startPod, startSystem, startWrapper } from './stubs.js';

const SENT = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'vendor=a,other=b' };

/** Asks a gateway; the answer has to be whole. */
async function search(url: string, headers: Record<string, string> = {}): Promise<SearchAnswer> {
  const response = await fetch(`${url}/search?top=3`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg', ...headers } });
  expect(response.status).toBe(200);
  return (await response.json()) as SearchAnswer;
}

async function system(): ReturnType<typeof startSystem> {
  const started = await startSystem();
  onTestFinished(() => started.close());
  return started;
}

/** Traces this process until the test is over, and waits until it does. */
async function traceTo(url: string, { variables = {}, log = SILENT_LOG }: { readonly variables?: Record<string, string>; readonly log?: Log } = {}): Promise<{ close(): Promise<void> }> {
  const all = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_BSP_SCHEDULE_DELAY: '20', ...variables };
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
  const tracing = startTracing({ role: 'test', environment: parseEnvironment(all), log });
  onTestFinished(() => tracing.close());
  let isOn = false;
  while (!isOn) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    withSpan({ name: 'probe' }, (span) => (isOn = 'end' in span));
  }
  return tracing;
}

/** Its spans of one name, as soon as there are as many. */
async function spansOf({ spans }: Collector, name: string, count = 1): Promise<CollectedSpan[]> {
  const found = (): CollectedSpan[] => spans.filter((span) => span.name === name);
  await eventually(() => found().length >= count);
  return found();
}

afterEach(() => vi.unstubAllEnvs());

describe('A gateway that traces nothing', () => {
  it('makes no trace, and keeps no context for a request without one', async () => {
    const { gateway, fn, pods } = await system();
    const run = vi.spyOn(AsyncLocalStorage.prototype, 'run');
    onTestFinished(() => run.mockRestore());
    await search(gateway.url);
    expect(run).not.toHaveBeenCalled();
    for (const { seen } of [fn, ...pods]) expect(seen[0]!.headers).not.toHaveProperty('traceparent');
  });

  it('passes the trace of its caller on as it came, to the function, to every shard and to the wrapper', async () => {
    const { gateway, fn, pods, wrapper } = await system();
    await search(gateway.url, SENT);
    await fetch(`${gateway.url}/images`, { method: 'POST', body: '{"urls":[]}', headers: { ...SENT, 'content-type': 'application/json' } });
    for (const { seen } of [fn, ...pods, wrapper]) expect(seen.at(-1)!.headers).toMatchObject(SENT);
  });

  it.each([
    'nonsense', '00-00000000000000000000000000000000-b7ad6b7169203331-01', '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01', `${SENT.traceparent}-more`,
    `ff${SENT.traceparent.slice(2)}`, SENT.traceparent.toUpperCase(), `${SENT.traceparent}, ${SENT.traceparent}`,
  ])('passes nothing on of what is no trace: %s', async (traceparent) => {
    const { gateway, fn } = await system();
    await search(gateway.url, { ...SENT, traceparent });
    for (const name of Object.keys(SENT)) expect(fn.seen[0]!.headers).not.toHaveProperty(name);
  });
});

describe('A gateway that traces', () => {
  it('goes on with the trace of its caller: a span of the request, under it one of the function, one of every shard, and the merge', async () => {
    const [collector, { gateway, fn, pods }] = await Promise.all([startCollector(), system()]);
    onTestFinished(() => collector.close());
    await traceTo(collector.url);
    await search(gateway.url, SENT);
    const [[server], [embed], shards, [merge]] = await Promise.all([spansOf(collector, 'POST /search'), spansOf(collector, 'embed'), spansOf(collector, 'ask replica', 2), spansOf(collector, 'merge')]);
    expect(server).toMatchObject({ kind: 2, traceId: SENT.traceparent.slice(3, 35), parentSpanId: SENT.traceparent.slice(36, 52), service: 'eis-test', attributes: { 'http.route': '/search', 'http.response.status_code': 200, 'url.path': '/search' } });
    for (const span of [embed, merge, ...shards]) expect(span).toMatchObject({ traceId: server!.traceId, parentSpanId: server!.spanId, isFailed: false });
    expect(embed).toMatchObject({ kind: 3, attributes: { 'eis.model': 'm', 'server.port': Number(new URL(fn.url).port), 'http.response.status_code': 200 } });
    expect(shards.map(({ attributes }) => [attributes['eis.shard'], attributes['server.port'], attributes['eis.hedge']]).sort()).toEqual(pods.map(({ url }, i) => [`${i}/2`, Number(new URL(url).port), false]));
    expect(fn.seen[0]!.headers).toMatchObject({ traceparent: `00-${server!.traceId}-${embed!.spanId}-01`, tracestate: SENT.tracestate });
    expect(pods.map(({ seen }) => seen[0]!.headers['traceparent']).sort()).toEqual(shards.map(({ spanId }) => `00-${server!.traceId}-${spanId}-01`).sort());
  });

  it('tells the attempts of one shard apart, and which of them failed', async () => {
    const [collector, fn, wrapper, broken, well] = await Promise.all([startCollector(), startFunction(), startWrapper(), startPod({ shard: '0/1', images: [] }), startPod({ shard: '0/1', images: [image(0, 1)] })]);
    broken.behave = (_request, response) => sendError(response, 503, 'EIS_NOT_READY');
    const gateway = await startGateway({ models: [{ name: 'm', function: fn, pods: [[broken, well]] }], wrapper });
    onTestFinished(async () => void (await Promise.all([gateway, collector, fn, wrapper, broken, well].map((each) => each.close()))));
    await traceTo(collector.url);
    for (let i = 0; !collector.spans.some(({ isFailed }) => isFailed); i++) await search(gateway.url, i % 2 === 0 ? {} : SENT);
    const failed = collector.spans.find(({ isFailed }) => isFailed)!;
    await eventually(() => collector.spans.some(({ traceId, attributes }) => traceId === failed.traceId && attributes['eis.attempt'] === 2));
    const [second] = collector.spans.filter(({ traceId, attributes }) => traceId === failed.traceId && attributes['eis.attempt'] === 2);
    expect(failed.attributes).toMatchObject({ 'error.type': 'EIS_NOT_READY', 'eis.attempt': 1, 'server.port': Number(new URL(broken.url).port) });
    expect(second).toMatchObject({ isFailed: false, attributes: { 'server.port': Number(new URL(well.url).port) } });
  });

  it('tells who is asked beside another, and who was not waited for', async () => {
    const [collector, fn, wrapper, ...pods] = await Promise.all([startCollector(), startFunction(), startWrapper(), ...[1, 2].map(() => startPod({ shard: '0/1', images: [image(0, 1)] }))]);
    const gateway = await startGateway({ models: [{ name: 'm', function: fn, pods: [pods] }], wrapper });
    onTestFinished(async () => void (await Promise.all([gateway, collector, fn, wrapper, ...pods].map((each) => each.close()))));
    for (let i = 0; i < 200; i++) await search(gateway.url); // until it knows how long they take
    pods[0]!.behave = () => undefined;
    await traceTo(collector.url);
    while (!collector.spans.some(({ attributes }) => attributes['eis.hedge'] === true)) await search(gateway.url);
    const cancelled = (): CollectedSpan | undefined => collector.spans.find(({ attributes }) => attributes['eis.cancelled'] === true && attributes['server.port'] === Number(new URL(pods[0]!.url).port));
    await eventually(() => cancelled() !== undefined);
    expect(cancelled()).toMatchObject({ isFailed: false });
  });

  it('makes no span of health and metrics, and none that holds a query, a key or an image', async () => {
    const [collector, { gateway }] = await Promise.all([startCollector(), system()]);
    onTestFinished(() => collector.close());
    await traceTo(collector.url);
    for (const path of ['/healthz', '/readyz', '/metrics', '/nowhere?secret=1']) await (await fetch(`${gateway.url}${path}`, { headers: { 'x-api-key': 'my-secret-key-1234' } })).arrayBuffer();
    await fetch(`${gateway.url}/search`, { method: 'POST', body: '{"url":"https://user:secret@example.com/?token=secret"}', headers: { 'content-type': 'application/json' } });
    await spansOf(collector, 'POST /search');
    const [unknown] = await spansOf(collector, 'GET');
    expect(unknown!.attributes).toMatchObject({ 'url.path': '/nowhere', 'http.response.status_code': 404 });
    expect(new Set(collector.spans.map(({ name }) => name))).toEqual(new Set(['probe', 'GET', 'POST /search', 'embed', 'ask replica', 'merge']));
    expect(collector.bodies.join('')).not.toContain('secret');
  });

  it('does as OTEL_* say: name, attributes, headers of its exports, and samples', async () => {
    const collector = await startCollector();
    onTestFinished(() => collector.close());
    const tracing = await traceTo(collector.url, { variables: { OTEL_SERVICE_NAME: 'mine', OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test', OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x' } });
    expect((await spansOf(collector, 'probe'))[0]).toMatchObject({ service: 'mine', resource: { 'deployment.environment.name': 'test', 'service.version': expect.any(String) as string } });
    expect(collector.headers).toMatchObject({ authorization: 'Bearer x' });
    await tracing.close();
    const { gateway, fn } = await system();
    await traceTo(collector.url, { variables: { OTEL_TRACES_SAMPLER: 'always_off' } });
    await search(gateway.url, SENT);
    expect(fn.seen[0]!.headers['traceparent']).toMatch(new RegExp(`^00-${SENT.traceparent.slice(3, 35)}-[0-9a-f]{16}-00$`));
  });

  it('sends what it has when it closes', async () => {
    const collector = await startCollector();
    onTestFinished(() => collector.close());
    const tracing = await traceTo(collector.url, { variables: { OTEL_BSP_SCHEDULE_DELAY: '60000' } });
    expect(collector.spans).toEqual([]);
    await tracing.close();
    expect(collector.spans.map(({ name }) => name)).toContain('probe');
  });
});

describe('Searches while the collector is', () => {
  it.each(['gone', 'silent', 'failing'] as const)('%s: are answered, nothing piles up, closing does not wait, and the log says it once', async (mood) => {
    const [collector, { gateway }] = await Promise.all([startCollector(mood === 'gone' ? 'well' : mood), system()]);
    if (mood === 'gone') await collector.close();
    else onTestFinished(() => collector.close());
    const warn = vi.fn();
    const tracing = await traceTo(collector.url, { log: { ...SILENT_LOG, warn } as unknown as Log, variables: { OTEL_BSP_MAX_QUEUE_SIZE: '32', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '8', OTEL_EXPORTER_OTLP_TIMEOUT: '200' } });
    for (let i = 0; i < 40; i++) expect(await search(gateway.url)).toMatchObject({ partial: false });
    await eventually(() => warn.mock.calls.length > 0);
    collector.mood = 'well';
    await tracing.close();
    expect(warn).toHaveBeenCalledTimes(1);
    expect(collector.spans.length).toBeLessThanOrEqual(32);
  });

  it('silent: closing gives up after a moment', async () => {
    const collector = await startCollector('silent');
    onTestFinished(() => collector.close());
    const tracing = await traceTo(collector.url);
    await tracing.close();
    expect(collector.requests).toBeGreaterThan(0);
  });
});
