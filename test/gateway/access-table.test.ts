import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import { createService } from '../../common/http.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { addAccess } from '../../gateway/access.js';
import { imageId, QUERY, startSystem } from './stubs.js';

const KEYS = { search: 'search-key-0123456789', write: 'write-key-0123456789', both: 'both-key-01234567890', admin: 'admin-key-0123456789' };
const EIS_API_KEYS = `search:${KEYS.search},write:${KEYS.write},search+write:${KEYS.both},admin:${KEYS.admin}`;
const MAY: Readonly<Record<string, readonly string[]>> = { none: [], search: ['search'], write: ['write'], both: ['search', 'write'], admin: ['search', 'write', 'admin'] };

/** Every route of the API, and the scope that it takes. */
const ROUTES: readonly [scope: string, route: string][] = [
  ['search', 'POST /search'], ['search', 'GET /models'], ['search', 'GET /images/{id}'],
  ['write', 'POST /images'], ['write', 'DELETE /images/{id}'], ['write', 'GET /images'], ['write', 'GET /queues'],
  ['admin', 'POST /reload'], ['admin', 'GET /queues/{model}/dead'], ['admin', 'DELETE /queues/{model}/dead'], ['admin', 'POST /queues/{model}/dead/replay'], ['admin', 'POST /queues/{model}/backfill'],
];
const OPEN = ['/', '/app.js', '/docs/', '/openapi.json', '/healthz', '/readyz', '/metrics'];

type System = Awaited<ReturnType<typeof startSystem>>;

async function ask({ gateway }: System, route: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: Headers; body: ErrorBody }> {
  const [method, path] = route.replace('{id}', imageId(0, 2)).replace('{model}', 'm').split(' ') as [string, string];
  const isSearch = route === 'POST /search';
  const response = await fetch(`${gateway.url}${path}`, { method, headers: { ...headers, ...(isSearch ? { 'content-type': 'image/jpeg' } : {}) }, ...(isSearch ? { body: QUERY } : {}) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: (text.startsWith('{') ? JSON.parse(text) : {}) as ErrorBody };
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

describe('a gateway with keys', () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ variables: { EIS_API_KEYS, HOST: '0.0.0.0' } });
  });
  afterAll(() => system.close());

  const cases = Object.keys(MAY).flatMap((who) => ROUTES.map(([scope, route]): [string, string, string] => [who, route, scope]));
  it.each(cases)('with the key %s: %s, which takes the scope %s', async (who, route, scope) => {
    const { status, headers, body } = await ask(system, route, who === 'none' ? {} : bearer(KEYS[who as keyof typeof KEYS]));
    if (MAY[who]!.includes(scope)) return expect(status).toBeLessThan(300);
    expect([status, body.code]).toEqual(who === 'none' ? [401, 'EIS_KEY_MISSING'] : [403, 'EIS_SCOPE_MISSING']);
    expect(headers.get('www-authenticate')).toBe(who === 'none' ? 'Bearer' : null);
    if (who !== 'none') expect(body.message).toContain(`"${scope}"`);
  });

  it('has no route in its description that is missing from this table, and names the scope of each there', async () => {
    const { paths, components } = (await (await fetch(`${system.gateway.url}/openapi.json`)).json()) as { paths: Record<string, Record<string, { security: Record<string, string[]>[] }>>; components: { securitySchemes: object } };
    const described = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, { security }]) => [security.map((scheme) => Object.values(scheme)[0]), `${method.toUpperCase()} ${path}`]));
    expect(described.sort()).toEqual(ROUTES.map(([scope, route]) => [[[scope], [scope]], route]).sort());
    expect(components.securitySchemes).toEqual({ bearer: { type: 'http', scheme: 'bearer' }, header: { type: 'apiKey', in: 'header', name: 'x-api-key' } });
  });

  it.each(OPEN)('gives %s to everybody, and whatever key is sent', async (path) => {
    expect((await ask(system, `GET ${path}`)).status).toBe(200);
    expect((await ask(system, `GET ${path}`, bearer('no-key-of-this-place'))).status).toBe(200);
  });

  it('takes a key as X-Api-Key, too, and the scheme in any case', async () => {
    expect((await ask(system, 'GET /queues', { 'x-api-key': KEYS.write })).status).toBe(200);
    expect((await ask(system, 'GET /queues', { authorization: `bEaReR   ${KEYS.write}` })).status).toBe(200);
    expect((await ask(system, 'GET /queues', { authorization: 'Basic dXNlcjpwYXNz', 'x-api-key': KEYS.write })).status).toBe(200);
  });

  it('hands no key on to the wrapper', async () => {
    await ask(system, 'GET /queues', { 'x-api-key': KEYS.write });
    expect(JSON.stringify(system.wrapper.seen.at(-1))).not.toContain(KEYS.write);
  });

  it('answers HEAD as GET', async () => {
    expect((await ask(system, 'HEAD /images')).status).toBe(401);
    expect((await ask(system, `HEAD /images/{id}`)).status).toBe(401);
  });

  it('lets no cache that others share keep what takes a key', async () => {
    system.wrapper.behave = (_request, response) => void response.writeHead(200, { 'content-type': 'image/png', 'cache-control': 'public, max-age=3600' }).end('x');
    const { headers } = await ask(system, 'GET /images/{id}', bearer(KEYS.search));
    system.wrapper.behave = undefined;
    expect([headers.get('cache-control'), headers.get('vary')]).toEqual(['private, max-age=3600', 'authorization, x-api-key']);
  });
});

describe('a gateway whose search is for everybody', () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ variables: { EIS_API_KEYS: `search:*,write:${KEYS.write}` } });
  });
  afterAll(() => system.close());

  it.each(ROUTES)('without a key, where the scope is %s: %s', async (scope, route) => {
    const { status, body } = await ask(system, route);
    if (scope === 'search') expect(status).toBe(200);
    else expect([status, body.code]).toEqual([401, 'EIS_KEY_MISSING']);
  });

  it('lets who has a key for something else search, too, but refuses a key that it does not know', async () => {
    expect((await ask(system, 'POST /search', bearer(KEYS.write))).status).toBe(200);
    expect((await ask(system, 'POST /search', bearer(KEYS.search))).body.code).toBe('EIS_KEY_UNKNOWN');
  });
});

describe.each([
  ['127.0.0.1', ['search', 'write', 'admin']],
  ['0.0.0.0', ['search']],
])('a gateway without keys that listens on %s', (HOST, open) => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ variables: { HOST } });
  });
  afterAll(() => system.close());

  it.each(ROUTES)('takes %s: %s, or says what to set', async (scope, route) => {
    for (const headers of [{}, bearer('any-key-0123456789')]) {
      const { status, body } = await ask(system, route, headers);
      if (open.includes(scope)) expect(status).toBeLessThan(300);
      else {
        expect([status, body.code]).toEqual([403, 'EIS_KEYS_UNSET']);
        expect(body.message).toContain(`EIS_API_KEYS=${scope}:KEY`);
      }
    }
  });
});

it('no route of the API can be added without a scope', async () => {
  const app = createService({ log: SILENT_LOG, metrics: new Metrics('gateway'), readiness: () => ({ ready: true, detail: '' }), bodyBytesMax: 1 });
  await addAccess(app, { access: { keys: [], open: new Set(), corsOrigins: [], trustProxy: [] }, limits: DEFAULT_LIMITS });
  expect(() => app.get('/new', async () => '')).toThrow('GET /new is part of the API and names no scope');
  app.get('/page', { schema: { hide: true } } as object, async () => '');
  await app.close();
});
