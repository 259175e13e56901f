import { Type } from 'typebox';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { EisError } from '../../common/errors.js';
import { createService, type App, type Readiness } from '../../common/http.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';

describe('createService()', () => {
  let app: App;
  let readiness: Readiness;

  beforeEach(() => {
    readiness = { ready: true, detail: 'fine' };
    app = createService({ log: SILENT_LOG, metrics: new Metrics('test').collectProcess(), readiness: () => readiness, bodyBytesMax: 100 });
    app.get('/throws', async () => {
      throw new Error('secret detail');
    });
    app.get('/busy', async () => {
      throw new EisError('EIS_OVERLOADED', { detail: 'Too much.' }, { retryAfterS: 0.2 });
    });
    app.post('/echo', { schema: { querystring: Type.Object({ top: Type.Integer({ minimum: 1, maximum: 1000, default: 10 }) }) } }, async (request) => request.query);
    onTestFinished(() => app.close());
  });

  it('shows nothing of an unknown error', async () => {
    const response = await app.inject('/throws');
    expect(response.statusCode).toBe(500);
    expect(response.json()).toMatchObject({ statusCode: 500, code: 'EIS_INTERNAL', error: 'Internal Server Error' });
    expect(response.body).not.toContain('secret');
  });

  it('answers its own errors with their status and Retry-After', async () => {
    const response = await app.inject('/busy');
    expect(response.statusCode).toBe(429);
    expect(response.headers['retry-after']).toBe('1');
  });

  it.each([
    ['GET', '/nowhere', undefined, 404, 'EIS_ROUTE_UNKNOWN'],
    ['POST', '/echo?top=0', '{}', 400, 'EIS_BAD_REQUEST'],
    ['POST', '/echo?top=1e9', '{}', 400, 'EIS_BAD_REQUEST'],
    ['POST', '/echo?top=x', '{}', 400, 'EIS_BAD_REQUEST'],
    ['POST', '/echo', '{', 400, 'EIS_BAD_REQUEST'],
    ['POST', '/echo', JSON.stringify('x'.repeat(200)), 413, 'EIS_BODY_TOO_LARGE'],
    ['GET', '/%', undefined, 400, 'EIS_BAD_REQUEST'],
  ] as const)('answers %s %s with an error of ours', async (method, url, payload, status, code) => {
    const response = await app.inject({ method, url, ...(payload === undefined ? {} : { payload, headers: { 'content-type': 'application/json' } }) });
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([status, code]);
  });

  it('names the parameter that was wrong and what would be right', async () => {
    const response = await app.inject({ method: 'POST', url: '/echo?top=0' });
    expect(response.json<{ message: string }>().message).toBe('"top" in the query must be >= 1.');
  });

  it('takes over a request id, or makes one of a hostile one', async () => {
    expect((await app.inject({ url: '/healthz', headers: { 'x-request-id': 'abc-1' } })).headers['x-request-id']).toBe('abc-1');
    expect((await app.inject({ url: '/healthz', headers: { 'x-request-id': 'a b"<' } })).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is alive at once, and ready only when its role is', async () => {
    readiness = { ready: false, detail: 'Loading.' };
    expect((await app.inject('/healthz')).statusCode).toBe(200);
    const response = await app.inject('/readyz');
    expect([response.statusCode, response.json<{ message: string }>().message]).toEqual([503, 'Loading.']);
    readiness = { ready: true, detail: '' };
    expect((await app.inject('/readyz')).statusCode).toBe(200);
  });

  it('counts requests by route, not by path, in metrics that parse', async () => {
    for (const path of ['/a', '/b', '/healthz']) await app.inject(path);
    const samples = parsePrometheus((await app.inject('/metrics')).body);
    expect(sumOf(samples, 'eis_http_request_duration_seconds_count', { route: 'unknown', status: '404' })).toBe(2);
    expect(sumOf(samples, 'eis_http_request_duration_seconds_count', { route: '/healthz', status: '200', role: 'test' })).toBe(1);
  });
});
