import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import { createWrapperClient } from '../../gateway/wrapper-client.js';
import { exchange, multipartOf, SKIPPED_PARTS } from '../support/raw-http.js';
import { eventually, QUERY, sendError, startSystem } from './stubs.js';

const FILE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"';
const MULTIPART = 'multipart/form-data; boundary=X';

let system: Awaited<ReturnType<typeof startSystem>>;

beforeEach(async () => {
  system = await startSystem({ variables: { EIS_BODY_TIMEOUT_MS: '200', EIS_IMAGE_BYTES_MAX: '1000000' } });
});
afterEach(() => system.close());

async function post(path: string, body: string | Buffer, headers: Record<string, string>): Promise<{ status: number; body: ErrorBody }> {
  const response = await fetch(`${system.gateway.url}${path}`, { method: 'POST', body: body as never, headers });
  return { status: response.status, body: (await response.json()) as ErrorBody };
}

const head = (path: string, type: string): string => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n`;

describe('POST /search with a form', () => {
  it.each(SKIPPED_PARTS.flatMap((part) => [17_000, 70_000, 900_000].map((bytes): [string, number] => [part, bytes])))('answers one whose only part is skipped: %s, %i bytes', async (part, bytes) => {
    const { status, body } = await post('/search', multipartOf([part, Buffer.alloc(bytes, 1)]), { 'content-type': MULTIPART });
    expect([status, body.code]).toEqual([400, 'EIS_BAD_REQUEST']);
    expect(body.message).toContain('no file');
  });

  it.each(SKIPPED_PARTS)('searches for the image before a part that is skipped: %s', async (part) => {
    expect((await post('/search', multipartOf([FILE, QUERY], [part, Buffer.alloc(70_000, 1)]), { 'content-type': MULTIPART })).status).toBe(200);
  });

  it.each([
    ['no boundary', 'hello', 'multipart/form-data'],
    ['an endless boundary', 'hello', `multipart/form-data; boundary=${'b'.repeat(5_000)}`],
    ['a hostile field name', multipartOf([FILE.replace('image', 'constructor'), QUERY]), MULTIPART],
    ['too many parts', multipartOf(...Array.from({ length: 30 }, (): [string, Buffer] => [FILE.replace('image', 'other'), QUERY])), MULTIPART],
  ])('refuses %s in words of ours', async (_, form, type) => {
    const { status, body } = await post('/search', form, { 'content-type': type });
    expect([status, body.code]).toEqual([400, 'EIS_BAD_REQUEST']);
    expect(body.message).toMatch(/^[A-Z].*(form|multipart)/);
    expect(body.message).not.toMatch(/reach|prototype|needle/);
  });
});

describe('a body that does not come', () => {
  it.each([['application/json', '{"url":'], [MULTIPART, `--X\r\n${FILE}\r\n\r\nabc`], ['image/jpeg', 'abc']])('ends a search with 408, and its connection: %s', async (type, start) => {
    const answer = await exchange(system.gateway.url, [head('/search', type) + start]);
    expect(answer).toMatchObject({ status: 408, body: { code: 'EIS_BODY_TIMEOUT' } });
    expect(answer.head).toContain('connection: close');
  });

  it('ends a search whose body drips', async () => {
    expect(await exchange(system.gateway.url, [head('/search', 'image/jpeg'), ...Array.from({ length: 30 }, () => 'a')], { pauseMs: 20 })).toMatchObject({ status: 408 });
  });

  it('ends an upload, and what was begun of it at a wrapper that hangs', async () => {
    let reached = false;
    system.wrapper.behave = (incoming) => void incoming.on('error', () => undefined).once('data', () => (reached = true));
    expect(await exchange(system.gateway.url, [`${head('/images', 'application/x-ndjson')}abc`])).toMatchObject({ status: 408, body: { code: 'EIS_BODY_TIMEOUT' } });
    expect(reached).toBe(true);
    await eventually(() => system.wrapper.aborted === 1);
  });

  it('does not count the time that the wrapper takes for an upload that is there', async () => {
    system.wrapper.behave = (incoming, response) => {
      incoming.resume();
      setTimeout(() => sendError(response, 503, 'EIS_QUEUE_UNAVAILABLE'), 700);
    };
    expect((await post('/images', '{}', { 'content-type': 'application/json' })).body.code).toBe('EIS_QUEUE_UNAVAILABLE');
  });

  it('leaves room for others when its client is gone', async () => {
    const sockets = Array.from({ length: 5 }, () => connect(Number(new URL(system.gateway.url).port), '127.0.0.1', function (this: ReturnType<typeof connect>) { this.write(`${head('/search', MULTIPART)}--X\r\n`); }));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.destroy();
    expect((await post('/search', QUERY, { 'content-type': 'image/jpeg' })).status).toBe(200);
  });
});

describe('an answer that comes before the end of an upload', () => {
  it('is passed on, though the wrapper then hangs up without reading', async () => {
    system.wrapper.behave = (incoming, response) => {
      incoming.pause();
      response.once('finish', () => setTimeout(() => incoming.socket.destroy(), 250)); // time to read the answer, also on a busy machine
      sendError(response, 413, 'EIS_BODY_TOO_LARGE');
    };
    for (let i = 0; i < 5; i++) {
      const { status, body } = await post('/images', Buffer.alloc(5_000_000), { 'content-type': 'application/json' });
      expect([status, body.code]).toEqual([413, 'EIS_BODY_TOO_LARGE']);
    }
  });

  it.each([
    ['an image', '/search', 'image/jpeg', 413],
    ['JSON', '/search', 'application/json', 413],
    ['what is not taken', '/search', 'text/plain', 415],
    ['an unknown route', '/nowhere', 'application/json', 404],
  ])('reaches a client that goes on sending: %s', async (_, path, type, status) => {
    for (let i = 0; i < 3; i++) expect((await post(path, Buffer.alloc(5_000_000, 'x'), { 'content-type': type })).status).toBe(status);
  });
});

describe('a wrapper that does not answer', () => {
  it.each(['GET', 'DELETE'] as const)('is given up where it only looks something up: %s', async (method) => {
    system.wrapper.behave = () => undefined;
    const client = createWrapperClient({ url: system.wrapper.url, connections: 1, lookupTimeoutMs: 50 });
    onTestFinished(() => client.close());
    await expect(client.forward({ method, path: '/images', headers: {}, requestId: 'r', signal: new AbortController().signal })).rejects.toMatchObject({ code: 'EIS_WRAPPER_UNAVAILABLE', statusCode: 503 });
  });
});

it.each(['/search', '/images'])('no body that is compressed is taken: %s', async (path) => {
  const { status, body } = await post(path, gzipSync(QUERY), { 'content-type': 'image/jpeg', 'content-encoding': 'gzip' });
  expect([status, body.code]).toEqual([415, 'EIS_MEDIA_TYPE']);
  expect(system.wrapper.seen).toEqual([]);
});

it('JSON null is told from an empty body', async () => {
  expect((await post('/search', 'null', { 'content-type': 'application/json' })).body.message).toMatch(/not an object.*Send \{ "url"/);
  expect((await post('/search', '', { 'content-type': 'application/json' })).body.message).toMatch(/empty.*Send \{ "url"/);
  expect((await post('/search', '{', { 'content-type': 'application/json' })).body.message).toMatch(/not JSON.*Send \{ "url"/);
});
