import { createServer, type Server } from 'node:https';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createAutoscaleMetrics } from '../../autoscale/autoscale-metrics.js';
import { Autoscaler, type Turn } from '../../autoscale/autoscaler.js';
import { openClusterAccess } from '../../autoscale/cluster-access.js';
import { createPrometheus } from '../../autoscale/prometheus.js';
import { createScales } from '../../autoscale/scales.js';
import { queriesOf } from '../../autoscale/signals.js';
import type { ScaleTarget } from '../../autoscale/target.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { packagePath } from '../../common/package-root.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { tempFolder } from '../support/temp-folder.js';

const TARGET: ScaleTarget = { role: 'gateway', model: 'm', deployment: 'gateway-m', min: 1, max: 10 };
const PATH = '/apis/apps/v1/namespaces/search/deployments/gateway-m/scale';
const tls = (name: string): string => packagePath(`test/fixtures/tls/${name}`);

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function listen(server: Server | ReturnType<typeof createHttpServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(() => new Promise((resolve) => {
    server.closeAllConnections();
    server.close(resolve);
  }));
  return (server.address() as AddressInfo).port;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

interface Seen {
  readonly method: string;
  readonly authorization: string | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

/** As an API server answers for one Deployment, over TLS, to who has the token. */
interface FakeApi {
  readonly url: string;
  readonly seen: Seen[];
  token: string;
  scale: { replicas: number; running: number; version: number };
  /** What it does instead, by method. */
  behave: Partial<Record<string, RequestListener>>;
}

const status = (code: number, reason: string): RequestListener => (_request, response) => void response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message: `It is ${reason}.`, reason, code }));

async function startApi(): Promise<FakeApi> {
  const answer: RequestListener = (request, response) => {
    void bodyOf(request).then((body) => {
      const { method = '', url, headers } = request;
      api.seen.push({ method, authorization: headers.authorization, type: headers['content-type'], body });
      const other = api.behave[method];
      if (other) return other(request, response);
      if (headers.authorization !== `Bearer ${api.token}`) return status(401, 'Unauthorized')(request, response);
      if (url !== PATH) return status(404, 'NotFound')(request, response);
      if (method === 'PATCH') {
        const patch = JSON.parse(body) as { metadata: { resourceVersion: string }; spec: { replicas: number } };
        if (patch.metadata.resourceVersion !== String(api.scale.version)) return status(409, 'Conflict')(request, response);
        api.scale = { ...api.scale, replicas: patch.spec.replicas, version: api.scale.version + 1 };
      }
      const { replicas, running, version } = api.scale;
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name: 'gateway-m', namespace: 'search', resourceVersion: String(version) }, spec: { replicas }, status: { replicas: running, selector: 'x=y' } }));
    });
  };
  const server = createServer({ cert: readFileSync(tls('cert.pem')), key: readFileSync(tls('key.pem')) }, answer);
  const api: FakeApi = { url: `https://127.0.0.1:${await listen(server)}`, seen: [], token: 'first', scale: { replicas: 2, running: 2, version: 7 }, behave: {} };
  return api;
}

interface FakePrometheus {
  readonly url: string;
  /** By query. */
  values: Map<string, number>;
  behave: RequestListener | undefined;
}

async function startPrometheus(inFlight: number): Promise<FakePrometheus> {
  const queries = queriesOf(TARGET);
  const server = createHttpServer((request, response) => {
    if (fake.behave) return fake.behave(request, response);
    const { pathname, searchParams } = new URL(request.url as string, 'http://fake');
    const value = fake.values.get(searchParams.get('query') ?? '');
    const result = value === undefined ? [] : [{ metric: {}, value: [1_700_000_000.5, String(value)] }];
    response.writeHead(pathname === '/api/v1/query' ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }));
  });
  const fake: FakePrometheus = { url: `http://127.0.0.1:${await listen(server)}`, values: new Map([[queries.value, inFlight], [queries.pods, 2], [queries.age, 5]]), behave: undefined };
  return fake;
}

interface System {
  readonly api: FakeApi;
  readonly prometheus: FakePrometheus;
  readonly tokenFile: string;
  /** Looks once, so long after the first time. */
  readonly look: (atMs?: number) => Promise<Turn>;
  readonly read: (name: string, labels?: Record<string, string>) => Promise<number>;
}

/** 60 requests in flight on two gateways that are to answer 10 each. */
async function start({ isApplied = true, inFlight = 60, timeoutMs = 10_000 } = {}): Promise<System> {
  const [api, prometheus] = [await startApi(), await startPrometheus(inFlight)];
  const tokenFile = join(tempFolder(), 'token');
  writeFileSync(tokenFile, 'first\n');
  const access = openClusterAccess({ url: api.url, tokenFile, caFile: tls('cert.pem') });
  open.push(() => access.close());
  const metrics = new Metrics('autoscaler');
  let nowMs = 0;
  const autoscaler = new Autoscaler({
    targets: [TARGET], rules: { cooldownMs: 120_000, inFlightPerPod: 10, queueAgeS: 60 }, prometheus: createPrometheus(prometheus.url), scales: createScales(access, 'search'),
    isApplied, metrics: createAutoscaleMetrics(metrics, [TARGET]), log: SILENT_LOG, timeoutMs, now: () => nowMs,
  });
  const look = async (atMs = 120_000): Promise<Turn> => {
    nowMs = atMs;
    return (await autoscaler.round(new AbortController().signal))[0]!;
  };
  await look(0); // it has just begun: it decides nothing before a cooldown
  return { api, prometheus, tokenFile, look, read: async (name, labels) => sumOf(parsePrometheus(await metrics.text()), name, labels) };
}

const patches = ({ seen }: FakeApi): Seen[] => seen.filter(({ method }) => method === 'PATCH');

describe('Autoscaler', () => {
  it('patches the scale subresource as a merge, with its token, and says why', async () => {
    const { api, look, read } = await start();
    expect(await look()).toMatchObject({ deployment: 'gateway-m', from: 2, to: 6, applied: true, reason: '60 requests are being answered by 2 pod(s), 30 each, where 10 are meant.' });
    expect(patches(api)).toEqual([{ method: 'PATCH', authorization: 'Bearer first', type: 'application/merge-patch+json', body: '{"metadata":{"resourceVersion":"7"},"spec":{"replicas":6}}' }]);
    expect([await read('eis_autoscale_changes_total', { direction: 'up' }), await read('eis_autoscale_replicas_wanted'), await read('eis_autoscale_signal')]).toEqual([1, 6, 60]);
    expect((await look(180_000)).to).toBe(6);
    expect(patches(api)).toHaveLength(1);
  });

  it('changes nothing in a dry run, and says once in a cooldown what it would', async () => {
    const { api, look } = await start({ isApplied: false });
    expect(await look()).toMatchObject({ from: 2, to: 6, applied: false });
    expect(await look(135_000)).toMatchObject({ from: 2, to: 2 });
    expect(await look(240_000)).toMatchObject({ from: 2, to: 6, applied: false });
    expect([patches(api), api.scale.replicas]).toEqual([[], 2]);
  });

  it('reads the token anew for every call', async () => {
    const { api, tokenFile, look } = await start();
    api.token = 'second';
    expect(await look()).toMatchObject({ code: 'EIS_CLUSTER_API', reason: expect.stringContaining('the token is not accepted') as string });
    writeFileSync(tokenFile, 'second');
    expect(await look(135_000)).toMatchObject({ to: 6, applied: true });
  });

  it.each([
    [401, 'PATCH', 'the token is not accepted'], [403, 'PATCH', 'apply the Role'], [403, 'GET', 'apply the Role'], [404, 'GET', 'no such Deployment'], [500, 'PATCH', 'It is broken.'], [503, 'GET', 'It is broken.'],
  ])('changes nothing after a %i to %s, says so, and does it in the next round', async (code, method, words) => {
    const { api, look, read } = await start();
    api.behave[method] = status(code, 'broken');
    expect(await look()).toMatchObject({ applied: false, code: 'EIS_CLUSTER_API', reason: expect.stringContaining(words) as string });
    expect([api.scale.replicas, await read('eis_autoscale_failures_total', { code: 'EIS_CLUSTER_API' }), await read('eis_autoscale_changes_total')]).toEqual([2, 1, 0]);
    api.behave = {};
    expect(await look(135_000)).toMatchObject({ to: 6, applied: true });
  });

  it('overwrites nobody who changed the number in the meantime', async () => {
    const { api, look } = await start();
    api.behave['PATCH'] = (request, response) => {
      api.scale = { replicas: 3, running: 3, version: 8 };
      status(409, 'Conflict')(request, response);
    };
    expect(await look()).toMatchObject({ code: 'EIS_CLUSTER_API', reason: expect.stringContaining('somebody else changed it') as string });
    api.behave = {};
    expect(await look(135_000)).toMatchObject({ from: 3, to: 3 }); // theirs counts as a change
    expect(await look(255_000)).toMatchObject({ from: 3, to: 6 });
  });

  it('gives up an API server, or a Prometheus, that does not answer in time', async () => {
    const { api, prometheus, look } = await start({ timeoutMs: 300 });
    api.behave['GET'] = () => undefined;
    expect(await look()).toMatchObject({ applied: false, code: 'EIS_CLUSTER_API', reason: expect.stringContaining('within 300 ms') as string });
    api.behave = {};
    prometheus.behave = () => undefined;
    expect(await look()).toMatchObject({ applied: false, reason: expect.stringContaining('within 300 ms') as string });
    expect(patches(api)).toEqual([]);
  });

  it.each<[string, (prometheus: FakePrometheus) => unknown, string]>([
    ['knows nothing of the pods', (prometheus) => prometheus.values.clear(), 'it knows nothing of gateway-m'],
    ['has not asked them for long', (prometheus) => prometheus.values.set(queriesOf(TARGET).age, 61), 'is 61 s old'],
    ['refuses the query', (prometheus) => (prometheus.behave = (_request, response) => void response.writeHead(422).end('{"status":"error","errorType":"execution","error":"query timed out"}')), 'execution: query timed out'],
    ['answers as something else', (prometheus) => (prometheus.behave = (_request, response) => void response.writeHead(502).end('<html>')), 'it answers 502, and not as Prometheus does'],
    ['answers no number', (prometheus) => prometheus.values.set(queriesOf(TARGET).value, Number.NaN), 'it knows nothing of gateway-m'],
    ['hangs up', (prometheus) => (prometheus.behave = (request) => void request.socket.destroy()), 'it does not answer'],
  ])('changes nothing while Prometheus %s, and says so', async (_what, damage, words) => {
    const { api, prometheus, look, read } = await start();
    damage(prometheus);
    expect(await look()).toMatchObject({ applied: false, code: 'EIS_PROMETHEUS', reason: expect.stringContaining(words) as string });
    expect([patches(api), await read('eis_autoscale_failures_total', { code: 'EIS_PROMETHEUS' })]).toEqual([[], 1]);
  });

  it('says where a token comes from when there is none', async () => {
    const access = openClusterAccess({ url: 'https://127.0.0.1:9', tokenFile: '/nowhere/token', caFile: '/nowhere/ca' });
    await expect(access.call({ method: 'GET', path: PATH, signal: new AbortController().signal })).rejects.toThrow('/nowhere/token cannot be read, which a pod with a service account has.');
  });
});
