import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { probeFunction } from '../../ingest/function-probe.js';
import { createWorkerApp } from '../../ingest/worker-app.js';
import type { Awaited } from '../../ingest/worker.js';
import { parsePrometheus } from '../support/prometheus.js';

describe('createWorkerApp()', () => {
  it('says what the worker does, and stays ready while it waits for others', async () => {
    const worker: { awaited: readonly Awaited[] } = { awaited: [] };
    const app = createWorkerApp({ worker, metrics: new Metrics('worker', { model: 'alpha' }).collectProcess(), log: SILENT_LOG });
    onTestFinished(() => app.close());
    expect((await app.inject('/readyz')).json()).toEqual({ status: 'ready', detail: 'consuming' });
    worker.awaited = ['function', 'store'];
    expect((await app.inject('/readyz')).json()).toEqual({ status: 'ready', detail: 'waiting for the function and the store' });
    expect((await app.inject('/healthz')).statusCode).toBe(200);
    expect(parsePrometheus((await app.inject('/metrics')).body).length).toBeGreaterThan(0);
  });
});

describe('probeFunction()', () => {
  const serve = async (statusCode: number): Promise<{ url: string; asked: string[] }> => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.writeHead(statusCode).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  };

  it.each([[200, true], [404, true], [503, false], [429, false]])('takes %i for ready: %s', async (statusCode, isReady) => {
    const { url, asked } = await serve(statusCode);
    expect(await probeFunction(url)).toBe(isReady);
    expect(asked).toEqual(['GET /ready']);
  });

  it('takes a function that cannot be reached for not ready', async () => {
    expect(await probeFunction('http://127.0.0.1:1')).toBe(false);
  });
});
