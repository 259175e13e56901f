import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FetchSettings } from '../../common/environment.js';
import { createSafeFetch, type ResolveName, type SafeFetch, type SafeFetchOptions } from '../../common/safe-fetch.js';
import { freePort } from '../support/free-ports.js';

const LIMITS = { fetchTimeoutMs: 3_000, fetchRedirectsMax: 3, imageBytesMax: 1_000, urlLengthMax: 2_048 };
const LOOPBACK = ['127.0.0.0/8'];

let server: Server;
let port: number;
let asked: string[];
let routes: Record<string, RequestListener>;
const open: SafeFetch[] = [];

beforeEach(async () => {
  asked = [];
  routes = { '/image': (_request, response) => response.end('image') };
  server = createServer((request, response) => {
    asked.push(request.url!);
    (routes[request.url!] ?? ((_request, unknown) => unknown.writeHead(404).end()))(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((safeFetch) => safeFetch.close()));
  server.closeAllConnections();
  server.close();
});

function create({ limits = LIMITS, resolve, ...from }: Partial<SafeFetchOptions & FetchSettings> = {}): SafeFetch {
  const safeFetch = createSafeFetch({ limits, from: { allow: LOOPBACK, deny: [], ports: ['80', '443', '1024-65535'], ...from }, ...(resolve && { resolve }) });
  open.push(safeFetch);
  return safeFetch;
}

const at = (path: string, host = '127.0.0.1'): string => `http://${host}:${port}${path}`;
const v4 = (...addresses: string[]): LookupAddress[] => addresses.map((address) => ({ address, family: 4 }));
const named = (addresses: Record<string, LookupAddress[]>): ResolveName => async (hostname) => addresses[hostname] ?? [];

describe('SafeFetch.fetch()', () => {
  it('gives the bytes, from an address that is allowed', async () => {
    expect((await create().fetch(at('/image'))).toString()).toBe('image');
  });

  it('refuses loopback, however it is written, before anything is sent', async () => {
    const safeFetch = create({ allow: [] });
    for (const host of ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '0x7f000001', '0177.0.0.1', '127.1', '0', '0.0.0.0', '[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::7f00:1]', '127.0.0.1.']) {
      await expect(safeFetch.fetch(at('/image', host)), host).rejects.toMatchObject({ code: 'EIS_URL_FORBIDDEN', statusCode: 403 });
    }
    expect(asked).toEqual([]);
  });

  it('does not let an allowed IPv4 range in through IPv6', async () => {
    await expect(create().fetch(at('/image', '[::ffff:127.0.0.1]'))).rejects.toMatchObject({ code: 'EIS_URL_FORBIDDEN' });
  });

  it('refuses a name when any of its addresses is not public', async () => {
    const resolve = named({ 'rebinding.test': v4('93.184.216.34', '10.0.0.1'), 'inside.test': v4('169.254.169.254'), 'none.test': [] });
    for (const host of ['rebinding.test', 'inside.test', 'none.test']) {
      await expect(create({ allow: [], resolve }).fetch(`http://${host}/`), host).rejects.toMatchObject({ code: 'EIS_URL_FORBIDDEN' });
    }
  });

  it('judges a name each time it is dialled, not once', async () => {
    let turn = 0;
    const resolve: ResolveName = async () => (turn++ === 0 ? v4('127.0.0.1') : v4('127.0.0.1', '10.1.2.3'));
    const safeFetch = create({ resolve });
    routes['/image'] = (_request, response) => response.writeHead(200, { connection: 'close' }).end('image');
    expect((await safeFetch.fetch(at('/image', 'turning.test'))).toString()).toBe('image');
    await expect(safeFetch.fetch(at('/image', 'turning.test'))).rejects.toMatchObject({ code: 'EIS_URL_FORBIDDEN' });
  });

  it('judges every redirect like the first URL', async () => {
    routes['/to-file'] = (_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    routes['/to-private'] = (_request, response) => response.writeHead(307, { location: 'http://10.0.0.1/' }).end();
    routes['/to-mapped'] = (_request, response) => response.writeHead(301, { location: `http://[::ffff:127.0.0.1]:${port}/image` }).end();
    routes['/to-login'] = (_request, response) => response.writeHead(302, { location: `http://user:secret@127.0.0.1:${port}/image` }).end();
    for (const path of ['/to-file', '/to-private', '/to-mapped', '/to-login']) {
      await expect(create().fetch(at(path)), path).rejects.toMatchObject({ code: 'EIS_URL_FORBIDDEN' });
    }
    expect(asked).not.toContain('/image');
  });

  it('follows as many redirects as it may, and no more', async () => {
    for (let i = 0; i < 5; i++) routes[`/${i}`] = (_request, response) => response.writeHead(302, { location: i === 4 ? '/image' : `/${i + 1}` }).end();
    expect((await create().fetch(at('/2'))).toString()).toBe('image');
    await expect(create().fetch(at('/0'))).rejects.toMatchObject({ code: 'EIS_URL_FAILED', statusCode: 502, message: expect.stringContaining('3 times') as string });
  });

  it('stops at the byte limit, announced or not', async () => {
    routes['/announced'] = (_request, response) => response.writeHead(200, { 'content-length': LIMITS.imageBytesMax + 1 }).end(Buffer.alloc(LIMITS.imageBytesMax + 1));
    routes['/chunked'] = (_request, response) => {
      const timer = setInterval(() => response.write(Buffer.alloc(400)), 1);
      response.on('close', () => clearInterval(timer));
    };
    routes['/exact'] = (_request, response) => response.end(Buffer.alloc(LIMITS.imageBytesMax));
    await expect(create().fetch(at('/announced'))).rejects.toMatchObject({ code: 'EIS_IMAGE_TOO_LARGE', statusCode: 413 });
    await expect(create().fetch(at('/chunked'))).rejects.toMatchObject({ code: 'EIS_IMAGE_TOO_LARGE' });
    expect(await create().fetch(at('/exact'))).toHaveLength(LIMITS.imageBytesMax);
  });

  it('gives up in time, whichever part is slow: name, answer, or a dripping body', async () => {
    const limits = { ...LIMITS, fetchTimeoutMs: 150 };
    routes['/silent'] = () => undefined;
    routes['/dripping'] = (_request, response) => {
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
    };
    for (const path of ['/silent', '/dripping']) await expect(create({ limits }).fetch(at(path)), path).rejects.toMatchObject({ code: 'EIS_URL_TIMEOUT', statusCode: 504 });
    await expect(create({ limits, resolve: () => new Promise(() => undefined) }).fetch('http://slow.test/')).rejects.toMatchObject({ code: 'EIS_URL_TIMEOUT' });
  });

  it('tells a refusal of the host from its failure', async () => {
    for (const [status, code] of [[404, 'EIS_URL_REJECTED'], [403, 'EIS_URL_REJECTED'], [408, 'EIS_URL_FAILED'], [429, 'EIS_URL_FAILED'], [500, 'EIS_URL_FAILED'], [304, 'EIS_URL_FAILED']] as const) {
      routes['/status'] = (_request, response) => response.writeHead(status).end();
      await expect(create().fetch(at('/status')), String(status)).rejects.toMatchObject({ code });
    }
    routes['/broken'] = (_request, response) => void response.writeHead(200, { 'content-length': 100 }).write('x', () => response.destroy());
    routes['/zipped'] = (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    for (const path of ['/broken', '/zipped']) await expect(create().fetch(at(path)), path).rejects.toMatchObject({ code: 'EIS_URL_FAILED' });
    await expect(create().fetch(`http://127.0.0.1:${await freePort()}/`)).rejects.toMatchObject({ code: 'EIS_URL_FAILED', message: expect.stringContaining('refuses') as string });
    const unknown: ResolveName = () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }));
    await expect(create({ resolve: unknown }).fetch('http://nowhere.test/')).rejects.toMatchObject({ code: 'EIS_URL_FAILED', message: expect.stringContaining('not known') as string });
  });

  it('refuses what is no http URL, carries a password, or is too long', async () => {
    for (const url of ['file:///etc/passwd', 'ftp://host/x', 'gs://other/x', `eis://${'a'.repeat(64)}`, 'data:image/png;base64,AA', 'javascript:1', 'http://user:secret@example.com/', 'http://user@example.com/']) {
      await expect(create().fetch(url), url).rejects.toMatchObject({ code: 'EIS_URL_FORBIDDEN' });
    }
    for (const url of ['', 'image.jpg', 'http://', 'http://[::1', `http://127.0.0.1/${'a'.repeat(2_048)}`]) {
      await expect(create().fetch(url), url).rejects.toMatchObject({ code: 'EIS_URL_INVALID', statusCode: 400 });
    }
  });

  it('stops when its caller does', async () => {
    routes['/silent'] = () => undefined;
    const controller = new AbortController();
    const fetching = create().fetch(at('/silent'), { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(fetching).rejects.toThrow('gone');
  });

  it('names the variable when the allowed ranges are none', () => {
    expect(() => create({ allow: ['10.0.0.0'] })).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining('EIS_FETCH_ALLOW') as string }));
  });
});
