import type { Socket } from 'node:net';
import { Type } from 'typebox';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { EisError } from '../../common/errors.js';
import { createService, type App, type Readiness } from '../../common/http.js';
import { SILENT_LOG } from '../../common/log.js';
import { answerMalformed } from '../../common/malformed.js';
import { Metrics } from '../../common/metrics.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { exchange } from '../support/raw-http.js';

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

  it.each<[name: string, bytes: string, status: number, code?: string]>([
    ['garbage', 'hello\r\n\r\n', 400],
    ['two lengths', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['headers without end', `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'EIS_HEADERS_TOO_LARGE'],
    ['a chunk that is none', 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
    ['no Host', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ])('answers what is no HTTP with an error of ours: %s', async (_, bytes, status, code = 'EIS_BAD_REQUEST') => {
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    expect(await exchange(url, [bytes])).toMatchObject({ status, body: { statusCode: status, code, error: expect.any(String) as string, message: expect.stringMatching(/^The .*[.]$/) as string } });
  });

  it('answers HTTP/1.0, which has no Host', async () => {
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    expect(await exchange(url, ['GET /healthz HTTP/1.0\r\n\r\n'])).toMatchObject({ status: 200 });
  });

  it('says 408 to a request that does not arrive in time', () => {
    let sent = '';
    answerMalformed(Object.assign(new Error('timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), { writable: true, destroy: () => undefined, end: (text: string) => (sent = text) } as unknown as Socket);
    expect(sent).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[^]*"code":"EIS_BODY_TIMEOUT"/);
  });

  it.each([
    ['{', 'application/json', 'The body is not JSON'],
    ['', 'application/json', 'The body is empty'],
    ['x', undefined, 'Content-Type none is not accepted'],
    ['x', 'a/b', 'Content-Type a/b is not accepted'],
  ])('says in its own words what is wrong with %j as %s', async (payload, type, message) => {
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const head = `POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${payload.length}\r\n${type === undefined ? '' : `Content-Type: ${type}\r\n`}\r\n`;
    expect(await exchange(url, [head + payload])).toMatchObject({ body: { message: expect.stringContaining(message) as string } });
  });

  it.each(['1.1', '1.0'])('lets a client read why its body is refused that sends all of it first and wants to be closed then: HTTP/%s', async (version) => {
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const head = `POST /echo HTTP/${version}\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n`;
    const pieces = Array.from({ length: 30 }, () => Buffer.alloc(100_000, 'x'));
    expect(await exchange(url, [head, ...pieces], { pauseMs: 5, readsLate: true })).toMatchObject({ status: 413, body: { code: 'EIS_BODY_TOO_LARGE' } });
  });

  it('takes no body that is compressed', async () => {
    const response = await app.inject({ method: 'POST', url: '/echo', payload: '{}', headers: { 'content-type': 'application/json', 'content-encoding': 'br' } });
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([415, 'EIS_MEDIA_TYPE']);
  });
});
