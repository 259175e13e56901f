/** Where a hostile URL may try to lead, and that nothing is dialled there: every way to write it, to resolve to it, to be redirected to it. */
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FetchSettings } from '../../common/environment.js';
import { createSafeFetch, type ResolveName, type SafeFetch } from '../../common/safe-fetch.js';

const LIMITS = { fetchTimeoutMs: 3_000, fetchRedirectsMax: 3, imageBytesMax: 1_000, urlLengthMax: 2_048 };
const PUBLIC = '93.184.216.34';

/** Listens on every address of this machine, so that what is dialled by mistake is seen. */
let server: Server;
let port: number;
let connections: number;
let asked: string[];
let redirect: { readonly status: number; readonly location: string };
const open: SafeFetch[] = [];

beforeEach(async () => {
  [connections, asked] = [0, []];
  server = createServer((request, response) => {
    asked.push(request.url!);
    if (request.url === '/redirect') response.writeHead(redirect.status, { location: redirect.location }).end();
    else response.end('image');
  }).on('connection', () => connections++);
  server.listen(0, '::');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((safeFetch) => safeFetch.close()));
  server.closeAllConnections();
  server.close();
});

function create(from: Partial<FetchSettings> = {}, resolve?: ResolveName): SafeFetch {
  const safeFetch = createSafeFetch({ limits: LIMITS, from: { allow: [], deny: [], ports: ['80', '443', '1024-65535'], ...from }, ...(resolve && { resolve }) });
  open.push(safeFetch);
  return safeFetch;
}

const at = (...addresses: string[]): LookupAddress[] => addresses.map((address) => ({ address, family: isIP(address) }));
const always = (...addresses: string[]): ResolveName => async () => at(...addresses);
const forbidden = { code: 'EIS_URL_FORBIDDEN', statusCode: 403 };

/** One of every kind of address that is not public. */
const ADDRESSES: Readonly<Record<string, string>> = {
  loopback: '127.0.0.1', 'another loopback': '127.8.9.10', 'this host': '0.0.0.0', 'this network': '0.1.2.3', 'private 10': '10.0.0.1', 'private 172': '172.16.0.1', 'private 192': '192.168.0.1', 'link-local': '169.254.1.1', 'cloud metadata': '169.254.169.254',
  'metadata of Alibaba': '100.100.100.200', 'metadata of Oracle': '192.0.0.192', 'the host of Azure': '168.63.129.16', 'carrier-grade NAT': '100.64.0.1', multicast: '224.0.0.1', broadcast: '255.255.255.255', reserved: '240.0.0.1', documentation: '203.0.113.1', benchmarking: '198.18.0.1', '6to4 relay': '192.88.99.1',
  'IPv6 loopback': '::1', 'IPv6 unspecified': '::', 'IPv6 cloud metadata': 'fd00:ec2::254', 'unique local': 'fc00::1', 'IPv6 link-local': 'fe80::1', 'site-local': 'fec0::1', 'IPv6 multicast': 'ff02::1', 'IPv6 documentation': '2001:db8::1', 'IPv6 benchmarking': '2001:2::1',
  mapped: '::ffff:127.0.0.1', 'mapped in hexadecimal': '::ffff:7f00:1', 'mapped public': '::ffff:5db8:d822', translated: '::ffff:0:127.0.0.1', compatible: '::127.0.0.1', '6to4': '2002:7f00:1::', NAT64: '64:ff9b::7f00:1', 'local NAT64': '64:ff9b:1::7f00:1', Teredo: '2001:0:5db8:d822:8000:63bf:80ff:fffe', ISATAP: '2606:2800::5efe:127.0.0.1', 'discard-only': '100::1',
};
const KINDS = Object.entries(ADDRESSES);
const inUrl = (address: string): string => (isIP(address) === 6 ? `[${address}]` : address);

describe('SafeFetch.fetch() never dials', () => {
  it.each(KINDS)('%s, written in the URL', async (_, address) => {
    for (const scheme of ['http', 'https']) await expect(create().fetch(`${scheme}://${inUrl(address)}:${port}/`)).rejects.toMatchObject(forbidden);
    expect(connections).toBe(0);
  });

  it.each(KINDS)('%s, as what a name resolves to, alone or behind or before a public address', async (_, address) => {
    for (const resolve of [always(address), always(PUBLIC, address), always(address, PUBLIC)]) await expect(create({}, resolve).fetch(`http://metadata.google.internal:${port}/`)).rejects.toMatchObject(forbidden);
    expect(connections).toBe(0);
  });

  // 127.0.0.1, which the local server has in place of a public address, is refused by the tests before.
  it.each(KINDS.filter(([, address]) => address !== '127.0.0.1'))('%s, as where a redirect leads, by its address or by name', async (_, address) => {
    const resolve: ResolveName = async (name) => at(name === 'start.test' ? '127.0.0.1' : address);
    for (const location of [`http://${inUrl(address)}:${port}/image`, `//${inUrl(address)}:${port}/image`, `http://inside.test:${port}/image`]) {
      redirect = { status: 302, location };
      await expect(create({ allow: ['127.0.0.1/32'] }, resolve).fetch(`http://start.test:${port}/redirect`), location).rejects.toMatchObject(forbidden);
    }
    expect(asked).toEqual(['/redirect', '/redirect', '/redirect']);
  });

  it.each([
    '2130706433', '0x7f000001', '017700000001', '0177.0.0.1', '0x7f.1', '127.1', '127.0.1', '0', '127.0.0.1.', '127.0.0.01', '0x7f.0x0.0x0.0x1', '１２７.０.０.１', '①②⑦.0.0.1', '127。0。0。1', '127%2e0%2e0%2e1', '%31%32%37.0.0.1',
    '[0:0:0:0:0:0:0:1]', '[::ffff:7f00:0001]', '[::FFFF:127.0.0.1]', 'localhost', 'LOCALHOST', 'localhost.', 'ｌｏｃａｌｈｏｓｔ', 'loc%61lhost', 'a.localhost', 'a.b.localhost.',
  ])('loopback written as %s', async (host) => {
    await expect(create().fetch(`http://${host}:${port}/`)).rejects.toMatchObject(forbidden);
    expect(connections).toBe(0);
  });

  it('this machine under a name that a name server says to be elsewhere', async () => {
    const names: string[] = [];
    const resolve: ResolveName = async (name) => (names.push(name), at(name === 'localhost' ? '127.0.0.1' : PUBLIC));
    for (const host of ['a.localhost', 'localhost.', 'A.LOCALHOST.']) await expect(create({}, resolve).fetch(`http://${host}:${port}/`), host).rejects.toMatchObject(forbidden);
    expect(names).toEqual(['localhost', 'localhost', 'localhost']);
  });

  it.each(['http://[fe80::1%25eth0]/', 'http://[fe80::1%eth0]/', 'http://256.0.0.1/', 'http://1.2.3.4.5/', 'http://0x100000000/', 'http://a..b:99999/', 'http://exa mple/', 'http://[::1', 'http://[127.0.0.1]/', 'http://a\u0000b/', 'http://\u00ad/', 'http:///'])('%s, which is no URL', async (url) => {
    await expect(create({}, always(PUBLIC)).fetch(url)).rejects.toMatchObject({ code: 'EIS_URL_INVALID', statusCode: 400 });
  });

  it.each(['http://user@', 'http://user:secret@', 'http://:secret@', 'http://127.0.0.1@', 'http://93.184.216.34:80@', 'http:\\\\user@', 'http:user@'])('a URL that begins with %s', async (start) => {
    await expect(create({ allow: ['127.0.0.0/8'] }).fetch(`${start}127.0.0.1:${port}/`)).rejects.toMatchObject(forbidden);
    expect(connections).toBe(0);
  });

  it('what follows a public address by the time that it is dialled again', async () => {
    const answers = [at('127.0.0.1'), at('127.0.0.1', '10.0.0.1'), at('10.0.0.1')];
    const safeFetch = create({ allow: ['127.0.0.1/32'] }, async () => answers.shift()!);
    redirect = { status: 307, location: `https://turning.test:${port}/image` };
    await expect(safeFetch.fetch(`http://turning.test:${port}/redirect`)).rejects.toMatchObject(forbidden);
    await expect(safeFetch.fetch(`https://turning.test:${port}/`)).rejects.toMatchObject(forbidden);
    expect(answers).toEqual([]);
  });
});

describe('SafeFetch.fetch(), redirected', () => {
  const local = (): SafeFetch => create({ allow: ['127.0.0.1/32'] });
  const start = (): string => `http://127.0.0.1:${port}/redirect`;

  it.each([301, 302, 303, 307, 308])('follows a %i to where it may', async (status) => {
    for (const location of ['/image', 'image', `//127.0.0.1:${port}/image`, `http://127.0.0.1:${port}/image`, '/image#fragment']) {
      redirect = { status, location };
      expect((await local().fetch(start())).toString(), location).toBe('image');
    }
  });

  it.each([301, 302, 303, 307, 308])('judges where a %i leads', async (status) => {
    for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/', 'gopher://127.0.0.1/', 'data:image/png;base64,AA', 'javascript:1', 'gs://ours/x', 'unix:/run/docker.sock', `http://user@127.0.0.1:${port}/image`, 'http://127.0.0.1:22/', `http://127.0.0.2:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`]) {
      redirect = { status, location };
      await expect(local().fetch(start()), location).rejects.toMatchObject(forbidden);
    }
  });

  it('ends a loop, and says what is no URL', async () => {
    redirect = { status: 302, location: '/redirect' };
    await expect(local().fetch(start())).rejects.toMatchObject({ code: 'EIS_URL_FAILED', message: expect.stringContaining('3 times') as string });
    redirect = { status: 302, location: 'http://[' };
    await expect(local().fetch(start())).rejects.toMatchObject({ code: 'EIS_URL_FAILED' });
    redirect = { status: 302, location: `/${'a'.repeat(3_000)}` };
    await expect(local().fetch(start())).rejects.toMatchObject({ code: 'EIS_URL_INVALID' });
  });

  it('does not follow what is no redirect, or names two places', async () => {
    for (const status of [300, 304, 305, 306]) {
      redirect = { status, location: '/image' };
      await expect(local().fetch(start()), String(status)).rejects.toMatchObject({ code: 'EIS_URL_FAILED' });
    }
    redirect = { status: 302, location: ['/image', '/other'] as unknown as string };
    await expect(local().fetch(start())).rejects.toMatchObject({ code: 'EIS_URL_FAILED' });
  });
});

describe('SafeFetch.fetch(), with what the operator denies', () => {
  it('refuses a name and an address that would be allowed, from the start and behind a redirect', async () => {
    const from = { allow: ['127.0.0.0/8'], deny: ['127.0.0.2/32', '*.corp.test'] };
    const resolve: ResolveName = async (name) => at(name === 'two.test' ? '127.0.0.2' : '127.0.0.1');
    for (const host of ['127.0.0.2', 'two.test', 'a.corp.test', 'A.CORP.test.']) {
      await expect(create(from, resolve).fetch(`http://${host}:${port}/`), host).rejects.toMatchObject(forbidden);
      redirect = { status: 302, location: `http://${host}:${port}/image` };
      await expect(create(from, resolve).fetch(`http://one.test:${port}/redirect`), host).rejects.toMatchObject(forbidden);
    }
    expect((await create(from, resolve).fetch(`http://corp.test:${port}/`)).toString()).toBe('image');
  });
});
