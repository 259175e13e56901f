import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseEnvironment } from '../../common/environment.js';
import { QUERY, startSystem } from './stubs.js';

const APP = 'https://app.example.com';
const KEY = 'write-key-0123456789';

let system: Awaited<ReturnType<typeof startSystem>>;

async function start(variables: Record<string, string>): Promise<void> {
  system = await startSystem({ variables });
}

async function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: Headers; code: unknown }> {
  const response = await fetch(`${system.gateway.url}${path}`, { method, headers, ...(method === 'POST' ? { body: QUERY } : {}) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, code: text.startsWith('{') ? (JSON.parse(text) as { code?: unknown }).code : undefined };
}

const preflight = (origin: string, method = 'POST'): Record<string, string> => ({ origin, 'access-control-request-method': method, 'access-control-request-headers': 'authorization,content-type', 'sec-fetch-site': 'cross-site' });
const image = { 'content-type': 'image/jpeg' };
const allowed = (headers: Headers): string | null => headers.get('access-control-allow-origin');

afterEach(() => system.close());

describe('pages of other sites', () => {
  beforeEach(() => start({ EIS_CORS_ORIGINS: `${APP}, http://localhost:5173`, EIS_API_KEYS: `search:*,write:${KEY}` }));

  it.each([APP, 'http://localhost:5173'])('may call the API from %s, which is named', async (origin) => {
    const { status, headers } = await ask('OPTIONS', '/search', preflight(origin));
    expect([status, allowed(headers), headers.get('access-control-allow-methods')]).toEqual([204, origin, 'GET, HEAD, POST, DELETE']);
    for (const name of ['authorization', 'x-api-key', 'content-type']) expect(headers.get('access-control-allow-headers')).toContain(name);
    const search = await ask('POST', '/search', { ...image, origin, 'sec-fetch-site': 'cross-site' });
    expect([search.status, allowed(search.headers), search.headers.get('vary')]).toEqual([200, origin, 'Origin']);
    expect(search.headers.get('access-control-expose-headers')).toContain('x-request-id');
    expect(search.headers.get('access-control-allow-credentials')).toBeNull();
    expect((await ask('DELETE', `/images/${'0'.repeat(64)}`, { origin, 'sec-fetch-site': 'cross-site', 'x-api-key': KEY })).status).toBe(200);
  });

  it('read why they are refused', async () => {
    const { status, headers, code } = await ask('POST', '/images', { ...image, origin: APP, 'sec-fetch-site': 'cross-site' });
    expect([status, code, allowed(headers)]).toEqual([401, 'EIS_KEY_MISSING', APP]);
  });

  it.each(['https://evil.example.com', 'https://app.example.com.evil.com', 'http://app.example.com', 'https://app.example.com:8443', 'null'])('are refused from %s, which is not named', async (origin) => {
    expect(allowed((await ask('OPTIONS', '/search', preflight(origin))).headers)).toBeNull();
    const { status, code, headers } = await ask('POST', '/search', { ...image, origin, 'sec-fetch-site': 'cross-site' });
    expect([status, code, allowed(headers)]).toEqual([403, 'EIS_CROSS_SITE', null]);
    expect(allowed((await ask('GET', '/models', { origin, 'sec-fetch-site': 'cross-site' })).headers)).toBeNull();
  });

  it('read nothing but the API', async () => {
    for (const path of ['/', '/metrics', '/healthz', '/docs/', '/nowhere']) expect(allowed((await ask('GET', path, { origin: APP })).headers), path).toBeNull();
  });
});

describe('without EIS_CORS_ORIGINS', () => {
  beforeEach(() => start({}));

  it('no origin is let in, and nothing answers a preflight', async () => {
    expect((await ask('OPTIONS', '/search', preflight(APP))).status).toBe(404);
    expect(allowed((await ask('GET', '/models', { origin: APP })).headers)).toBeNull();
    expect((await ask('POST', '/search', { ...image, origin: APP, 'sec-fetch-site': 'cross-site' })).code).toBe('EIS_CROSS_SITE');
  });

  it.each(['*', 'app.example.com', 'https://app.example.com/', 'https://APP.example.com', 'https://app.example.com:443', 'null', 'ftp://app.example.com'])('%s is no origin', (EIS_CORS_ORIGINS) => {
    expect(() => parseEnvironment({ EIS_CORS_ORIGINS })).toThrow(/EIS_CORS_ORIGINS: .* is no origin/);
  });
});

describe('every answer', () => {
  it.each(['/', '/models', '/nowhere', '/docs/'])('is kept from other sites: %s', async (path) => {
    await start({});
    const { headers } = await ask('GET', path);
    expect([headers.get('cross-origin-resource-policy'), headers.get('cross-origin-opener-policy'), headers.get('x-content-type-options'), headers.get('referrer-policy')]).toEqual(['same-origin', 'same-origin', 'nosniff', 'no-referrer']);
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  });

  it('asks for TLS from then on where a trusted proxy says that it came over TLS, and only there', async () => {
    const hsts = async (proto: string): Promise<string | null> => (await ask('GET', '/models', { 'x-forwarded-proto': proto })).headers.get('strict-transport-security');
    await start({ EIS_TRUST_PROXY: '127.0.0.1/32' });
    expect([await hsts('https'), await hsts('http')]).toEqual(['max-age=31536000', null]);
    await system.close();
    await start({});
    expect(await hsts('https')).toBeNull();
  });
});
