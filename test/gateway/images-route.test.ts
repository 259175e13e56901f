import { request } from 'node:http';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import { eventually, sendError, startSystem } from './stubs.js';

type System = Awaited<ReturnType<typeof startSystem>>;

let system: System;
const ID = 'a'.repeat(64);

beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.close());
beforeEach(() => {
  system.wrapper.seen.length = 0;
  system.wrapper.aborted = 0;
});
afterEach(() => {
  system.wrapper.behave = undefined;
});

const call = (path: string, init?: RequestInit): Promise<Response> => fetch(`${system.gateway.url}${path}`, init);
const seen = (): System['wrapper']['seen'][number] => system.wrapper.seen[0]!;

describe('/images', () => {
  it('hands JSON on untouched, even what it cannot read itself', async () => {
    const response = await call('/images?submission=s-1', { method: 'POST', body: '{"urls":[', headers: { 'content-type': 'application/json', 'x-request-id': 'trace-9', 'x-eis-submission': 's-1', cookie: 'secret=1', authorization: 'Bearer secret' } });
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ method: 'POST', url: '/images?submission=s-1', bytes: 9, contentType: 'application/json' });
    expect(response.headers.get('x-request-id')).toBe('trace-9');
    expect(seen().headers).toMatchObject({ 'content-length': '9', 'x-request-id': 'trace-9', 'x-eis-submission': 's-1' });
    expect(seen().headers).not.toHaveProperty('cookie');
    expect(seen().headers).not.toHaveProperty('authorization');
  });

  it('hands multipart on byte by byte', async () => {
    const body = Buffer.from('--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n\0\x01ÿ\r\n--b--\r\n');
    await call('/images', { method: 'POST', body, headers: { 'content-type': 'multipart/form-data; boundary=b' } });
    expect(seen().body).toEqual(body);
    expect(seen().headers['content-type']).toBe('multipart/form-data; boundary=b');
  });

  it('streams an upload: the wrapper has the first bytes before the last are sent', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 7);
    let received = 0;
    system.wrapper.behave = (incoming, response) => {
      incoming.on('data', (bytes: Buffer) => (received += bytes.length));
      incoming.on('end', () => sendError(response, 503, 'EIS_QUEUE_UNAVAILABLE'));
    };
    const upload = request(`${system.gateway.url}/images`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
    const answered = once(upload, 'response');
    for (let sent = 1; sent <= 8; sent++) {
      upload.write(chunk);
      await eventually(() => received === sent * chunk.length);
    }
    upload.end();
    const [response] = (await answered) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(503);
  });

  it('gives up the upload to the wrapper when its client leaves', async () => {
    let receiving = false;
    system.wrapper.behave = (incoming) => void incoming.once('data', () => (receiving = true)).on('error', () => undefined);
    const upload = request(`${system.gateway.url}/images`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } }).on('error', () => undefined);
    upload.write('first line\n');
    await eventually(() => receiving);
    upload.destroy();
    await eventually(() => system.wrapper.aborted === 1);
  });

  it('passes the query of the ledger on as it is', async () => {
    await call('/images?state=stored&submission=s-1&limit=5&after=a%2Bb');
    expect(seen()).toMatchObject({ method: 'GET', url: '/images?state=stored&submission=s-1&limit=5&after=a%2Bb' });
  });

  it.each([['/images?state=gone'], ['/images?limit=0'], ['/images?limit=1e9'], ['/images?submission=a/b']])('refuses %s before it goes anywhere', async (path) => {
    const response = await call(path);
    expect([response.status, ((await response.json()) as ErrorBody).code]).toEqual([400, 'EIS_BAD_REQUEST']);
    expect(system.wrapper.seen).toEqual([]);
  });

  it('streams a stored image back with the wrapper’s own headers, but none of the connection', async () => {
    const response = await call(`/images/${ID}`);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.from([1, 2, 3]));
    expect(Object.fromEntries(['content-type', 'content-security-policy', 'x-content-type-options', 'cache-control', 'x-hop'].map((name) => [name, response.headers.get(name)]))).toEqual({
      'content-type': 'image/png', 'content-security-policy': 'sandbox', 'x-content-type-options': 'nosniff', 'cache-control': 'immutable', 'x-hop': null,
    });
  });

  it('hands a removal on', async () => {
    expect((await call(`/images/${ID}`, { method: 'DELETE' })).status).toBe(200);
    expect(seen()).toMatchObject({ method: 'DELETE', url: `/images/${ID}` });
    await call(`/images/${ID}?object=true`, { method: 'DELETE' });
    expect(system.wrapper.seen[1]).toMatchObject({ method: 'DELETE', url: `/images/${ID}?object=true` });
    expect((await call(`/images/${ID}?object=maybe`, { method: 'DELETE' })).status).toBe(400);
    expect(system.wrapper.seen).toHaveLength(2);
  });

  it.each(['GET', 'DELETE'])('refuses %s of an id that is none', async (method) => {
    for (const id of ['abc', 'A'.repeat(64), '..%2f..%2fetc%2fpasswd', '__proto__']) {
      const response = await call(`/images/${id}`, { method });
      expect([response.status, ((await response.json()) as ErrorBody).code]).toEqual([400, 'EIS_IMAGE_ID_INVALID']);
    }
    expect(system.wrapper.seen).toEqual([]);
  });

  it('passes errors of the wrapper on in its words, with everything that stands in them', async () => {
    system.wrapper.behave = (_request, response) => response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '2' }).end('{"code":"EIS_QUEUE_UNAVAILABLE","confirmed":["a"]}');
    const response = await call('/images', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    expect([response.status, response.headers.get('retry-after'), await response.json()]).toEqual([503, '2', { code: 'EIS_QUEUE_UNAVAILABLE', confirmed: ['a'] }]);
  });

  it('answers an upload that the wrapper turned away before its end, and reads over the rest', async () => {
    system.wrapper.behave = (_request, response) => sendError(response, 413, 'EIS_BODY_TOO_LARGE');
    for (let i = 0; i < 3; i++) {
      const response = await call('/images', { method: 'POST', body: Buffer.alloc(3_000_000), headers: { 'content-type': 'application/x-ndjson' } });
      expect([response.status, ((await response.json()) as ErrorBody).code]).toEqual([413, 'EIS_BODY_TOO_LARGE']);
    }
  });

  it('says that the wrapper is down, even in the middle of an upload', async () => {
    await system.wrapper.close();
    for (const init of [{}, { method: 'POST', body: Buffer.alloc(3_000_000), headers: { 'content-type': 'application/x-ndjson' } }]) {
      const response = await call('/images', init);
      expect([response.status, ((await response.json()) as ErrorBody).code]).toEqual([503, 'EIS_WRAPPER_UNAVAILABLE']);
    }
    await system.wrapper.reopen();
    system.wrapper.behave = (incoming) => void incoming.once('data', () => incoming.socket.destroy());
    const response = await call('/images', { method: 'POST', body: Buffer.alloc(3_000_000), headers: { 'content-type': 'application/x-ndjson' } });
    expect([response.status, ((await response.json()) as ErrorBody).code]).toEqual([503, 'EIS_WRAPPER_UNAVAILABLE']);
  });
});
