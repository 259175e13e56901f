import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { FolderBucket } from '../../common/bucket/folder-bucket.js';
import type { ErrorBody } from '../../common/errors.js';
import type { App } from '../../common/http.js';
import { Metrics } from '../../common/metrics.js';
import type { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { MemoryStore } from '../support/memory-store.js';
import { exchange, multipartOf, SKIPPED_PARTS } from '../support/raw-http.js';
import { tempFolder } from '../support/temp-folder.js';
import { LIMITS, MODEL, openQueue, until } from './support.js';

const FILE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"';
const MULTIPART = 'multipart/form-data; boundary=X';
const limits = { ...LIMITS, bodyTimeoutMs: 300, imageBytesMax: 100_000 };

let app: App;
let queue: EmbeddedQueue;
let address: string;
/** What was logged: pino's levels, 50 is error. */
let logged: { level: number; code?: string }[];

beforeEach(async () => {
  queue = openQueue();
  logged = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line) as (typeof logged)[number]) });
  const bucket = new FolderBucket({ folder: tempFolder(), imageBytesMax: limits.imageBytesMax });
  app = await createWrapperApp({ queue, store: new MemoryStore(), bucket, ingestModels: [MODEL], models: [MODEL], limits, metrics: new Metrics('wrapper'), log });
  onTestFinished(() => app.close());
  address = await app.listen({ port: 0, host: '127.0.0.1' });
});

type Body = string | Buffer | ReadableStream;

async function post(body: Body, type: string, headers: Record<string, string> = {}): Promise<Partial<ErrorBody> & { readonly status: number }> {
  const response = await fetch(`${address}/images`, { method: 'POST', body: body as never, headers: { 'content-type': type, ...headers }, ...(body instanceof ReadableStream ? { duplex: 'half' as const } : {}) });
  return { status: response.status, ...((await response.json()) as Partial<ErrorBody>) };
}

const postUrls = (...urls: unknown[]): ReturnType<typeof post> => post(JSON.stringify({ urls }), 'application/json');
const head = (type: string): string => `POST /images HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n`;
const ready = async (): Promise<number> => (await queue.depth(MODEL)).ready;

describe('POST /images with a form', () => {
  it.each(SKIPPED_PARTS.flatMap((part) => [17_000, 70_000, 3_000_000].map((bytes): [string, number] => [part, bytes])))('answers one whose only part is skipped: %s, %i bytes', async (part, bytes) => {
    expect(await post(multipartOf([part, Buffer.alloc(bytes, 1)]), MULTIPART)).toMatchObject({ status: 400, code: 'EIS_BAD_REQUEST', message: expect.stringContaining('no file') as string });
  });

  it.each(SKIPPED_PARTS)('takes the image before a part that is skipped: %s', async (part) => {
    expect((await post(multipartOf([FILE, Buffer.alloc(40_000, 2)], [part, Buffer.alloc(70_000, 1)]), MULTIPART)).status).toBe(202);
  });

  it.each([
    ['a body that is cut off', `--X\r\n${FILE}\r\n\r\nabc`, MULTIPART],
    ['a body that is cut off in a head', `--X\r\n${FILE.slice(0, 30)}`, MULTIPART],
    ['a body that is something else', 'hello', MULTIPART],
    ['no boundary', 'hello', 'multipart/form-data'],
    ['an empty boundary', 'hello', 'multipart/form-data; boundary='],
    ['half a boundary', 'hello', 'multipart/form-data; boundary="'],
    ['an endless boundary', 'hello', `multipart/form-data; boundary=${'b'.repeat(5_000)}`],
    ['a hostile field name', multipartOf([FILE.replace('image', 'constructor'), Buffer.from('x')]), MULTIPART],
    ['too many parts', multipartOf(...Array.from({ length: 2_001 }, (): [string, Buffer] => ['Content-Disposition: form-data; name="x"', Buffer.from('x')])), MULTIPART],
  ] as [string, Body, string][])('refuses %s in words of ours', async (_, body, type) => {
    const { status, code, message } = await post(body, type);
    expect([status, code]).toEqual([400, 'EIS_BAD_REQUEST']);
    expect(message).toMatch(/^[A-Z].*(form|multipart)/);
    expect(message).not.toMatch(/reach|prototype|needle|Unexpected end|Multipart:/);
    expect(logged.filter(({ level }) => level >= 50)).toEqual([]);
  });
});

describe('POST /images with a body that does not come', () => {
  it.each([['application/json', '{"urls":['], ['application/x-ndjson', '"https://'], [MULTIPART, `--X\r\n${FILE}\r\n\r\nabc`], ['image/jpeg', 'abc']])('answers 408 and closes the connection when %s stands still', async (type, start) => {
    const answer = await exchange(address, [head(type) + start]);
    expect(answer).toMatchObject({ status: 408, body: { code: 'EIS_BODY_TIMEOUT' } });
    expect(answer.head).toContain('connection: close');
    expect(await ready()).toBe(0);
  });

  it('takes one that is slow, but comes', async () => {
    const body = multipartOf([FILE, Buffer.alloc(900, 3)]);
    const pieces = Array.from({ length: 12 }, (_, i) => body.subarray(Math.floor((i * body.length) / 12), Math.floor(((i + 1) * body.length) / 12)));
    const start = `POST /images HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${MULTIPART}\r\nContent-Length: ${body.length}\r\n\r\n`;
    expect((await exchange(address, [start, ...pieces], { pauseMs: 80 })).status).toBe(202);
  });

  it.each(['application/json', 'application/x-ndjson', MULTIPART, 'image/jpeg'])('knows a client that left from an error of its own: %s', async (type) => {
    const socket = connect(Number(new URL(address).port), '127.0.0.1', () => socket.write(`${head(type)}--X\r\n${FILE}\r\n\r\nabc`));
    await until(() => app.server.listening && logged.length >= 0 && socket.bytesWritten > 100);
    setTimeout(() => socket.destroy(), 50);
    await until(() => logged.some(({ code }) => code === 'EIS_CLIENT_CLOSED'));
    expect(logged.filter(({ level }) => level >= 40)).toEqual([]);
  });
});

describe('POST /images with a body that is too large', () => {
  const endless = (chunk: Buffer, chunks: number): ReadableStream => {
    let sent = 0;
    return new ReadableStream({ pull: (controller) => void (sent++ < chunks ? controller.enqueue(chunk) : controller.close()) });
  };

  it.each([
    ['JSON', () => `{"urls":["${'x'.repeat(7_000_000)}"]}`, 'application/json', 'EIS_BODY_TOO_LARGE'],
    ['JSON of no stated length', () => endless(Buffer.alloc(65_536, 'x'), 110), 'application/json', 'EIS_BODY_TOO_LARGE'],
    ['50 MB of empty lines', () => '\n'.repeat(50_000_000), 'application/x-ndjson', 'EIS_BODY_TOO_LARGE'],
    ['empty lines of no stated length', () => endless(Buffer.alloc(65_536, '\n'), 400), 'application/x-ndjson', 'EIS_BODY_TOO_LARGE'],
    ['an image', () => Buffer.alloc(5_000_000, 1), 'image/jpeg', 'EIS_IMAGE_TOO_LARGE'],
    ['an image of no stated length', () => endless(Buffer.alloc(65_536, 1), 48), 'image/jpeg', 'EIS_IMAGE_TOO_LARGE'],
    ['a form', () => multipartOf([FILE, Buffer.alloc(5_000_000, 1)]), MULTIPART, 'EIS_IMAGE_TOO_LARGE'],
    ['what is not taken', () => Buffer.alloc(5_000_000, 1), 'text/plain', 'EIS_MEDIA_TYPE'],
  ] as [string, () => Body, string, string][])('lets the client read why: %s', async (_, body, type, code) => {
    for (let i = 0; i < 3; i++) expect((await post(body(), type)).code).toBe(code);
  });

  it('lets a client read why that sends everything first', async () => {
    const upload = request(`${address}/images`, { method: 'POST', headers: { 'content-type': 'application/json', 'content-length': 20_000_000 } });
    const answered = once(upload, 'response');
    for (let i = 0; i < 20; i++) await new Promise((resolve) => upload.write(Buffer.alloc(1_000_000, 'x'), resolve));
    upload.end();
    const [response] = (await answered) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(413);
  });
});

describe('POST /images with URLs that are none', () => {
  it('says so of lists in lists, however deep', async () => {
    const deep = `${'['.repeat(6_000)}${']'.repeat(6_000)}`;
    expect(await post(`{"urls":[${deep}]}`, 'application/json')).toMatchObject({ status: 400, code: 'EIS_URL_INVALID', message: expect.stringContaining('number 1') as string });
    expect(await post(`{"url":${deep.slice(4_000, 8_000)}}`, 'application/x-ndjson')).toMatchObject({ status: 400, code: 'EIS_URL_INVALID' });
  });

  it.each(['http://user:secret@example.com/a.jpg', 'https://secret@example.com/a.jpg', 'http:user:secret@example.com/a.jpg', 'http://user:secret@example.com:99999/a.jpg', 'ftp://user:secret@example.com/a.jpg', `https://user:secret@example.com/${'a'.repeat(3_000)}`])('takes no password, and repeats none: %s', async (url) => {
    const { status, message } = await postUrls(url);
    expect([400, 403]).toContain(status);
    expect(message).not.toContain('secret');
    expect(await ready()).toBe(0);
  });

  it('says what to do about a password', async () => {
    expect(await postUrls('http://user:secret@example.com/a.jpg')).toMatchObject({ status: 403, code: 'EIS_URL_FORBIDDEN', message: expect.stringContaining('carries a user name or password. Leave them out.') as string });
  });

  it.each([['{', 'The body is not JSON.'], ['', 'The body is empty.'], ['null', 'The body has no list "urls".'], ['{"urls":5}', 'The body has no list "urls".']])('says what is wrong with %j and what would be right', async (body, message) => {
    expect((await post(body, 'application/json')).message).toBe(`${message} Send { "urls": ["https://…"] }.`);
  });
});

it('takes no body that is compressed', async () => {
  expect(await post(gzipSync('image'), 'image/jpeg', { 'content-encoding': 'gzip' })).toMatchObject({ status: 415, code: 'EIS_MEDIA_TYPE', message: expect.stringContaining('Content-Encoding gzip') as string });
  expect((await post(Buffer.from('image'), 'image/jpeg', { 'content-encoding': 'identity' })).status).toBe(202);
});
