import { afterEach, describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import { startSystem } from './stubs.js';

const KEYS = ['first-key-0123456789', 'second-key-0123456789'] as const;
const BEHIND_PROXY = { EIS_TRUST_PROXY: '127.0.0.0/8' };

let system: Awaited<ReturnType<typeof startSystem>>;
afterEach(() => system.close());

async function start(variables: Record<string, string>): Promise<void> {
  system = await startSystem({ variables });
}

async function ask(headers: Record<string, string> = {}, path = '/models'): Promise<{ status: number; retryAfterS: number; body: ErrorBody }> {
  const response = await fetch(`${system.gateway.url}${path}`, { headers });
  const text = await response.text();
  return { status: response.status, retryAfterS: Number(response.headers.get('retry-after')), body: (text.startsWith('{') ? JSON.parse(text) : {}) as ErrorBody };
}

/** The statuses of so many requests, one after the other. */
async function statuses(count: number, headers: (i: number) => Record<string, string>, path?: string): Promise<number[]> {
  const answers: number[] = [];
  for (let i = 0; i < count; i++) answers.push((await ask(headers(i), path)).status);
  return answers;
}

const from = (address: string) => (): Record<string, string> => ({ 'x-forwarded-for': address });

describe('the rate of requests', () => {
  it('is limited by key, and the refusal says when to come again, and not the key', async () => {
    await start({ EIS_API_KEYS: KEYS.map((key) => `search:${key}`).join(','), EIS_REQUESTS_PER_MINUTE_MAX: '3' });
    expect(await statuses(4, () => ({ 'x-api-key': KEYS[0] }))).toEqual([200, 200, 200, 429]);
    const { retryAfterS, body } = await ask({ 'x-api-key': KEYS[0] });
    expect(body).toMatchObject({ statusCode: 429, code: 'EIS_OVERLOADED', error: 'Too Many Requests' });
    expect(body.message).toMatch(/^This API key has sent 3 requests within a minute.* Try again after the time in Retry-After\.$/);
    expect(retryAfterS).toBeGreaterThan(0);
    expect(retryAfterS).toBeLessThanOrEqual(60);
    expect(await statuses(1, () => ({ 'x-api-key': KEYS[1] }))).toEqual([200]);
  });

  it('is limited by address without a key; neighbours of IPv6 share one', async () => {
    await start({ ...BEHIND_PROXY, EIS_REQUESTS_PER_MINUTE_MAX: '2' });
    expect(await statuses(3, from('203.0.113.7'))).toEqual([200, 200, 429]);
    expect(await statuses(1, from('203.0.113.8'))).toEqual([200]);
    expect(await statuses(3, (i) => from(`2001:db8:1:2::${i}`)())).toEqual([200, 200, 429]);
    expect((await ask(from('203.0.113.7')())).body.message).toContain('This address has sent 2 requests');
  });

  it('counts refused requests, too', async () => {
    await start({ ...BEHIND_PROXY, EIS_API_KEYS: `write:${KEYS[0]}`, EIS_REQUESTS_PER_MINUTE_MAX: '2' });
    expect(await statuses(3, from('203.0.113.7'))).toEqual([401, 401, 429]);
    expect(await statuses(3, () => ({ 'x-api-key': KEYS[0] }))).toEqual([403, 403, 429]);
  });

  it('is not limited on this machine without a key, and neither are health, metrics and page', async () => {
    await start({ ...BEHIND_PROXY, EIS_REQUESTS_PER_MINUTE_MAX: '1' });
    expect(await statuses(3, () => ({}))).toEqual([200, 200, 200]);
    for (const path of ['/healthz', '/metrics', '/']) expect(await statuses(3, from('203.0.113.7'), path)).toEqual([200, 200, 200]);
  });
});

describe('the address of a client', () => {
  it('is the connection’s where no proxy is trusted', async () => {
    await start({ EIS_REQUESTS_PER_MINUTE_MAX: '1' });
    expect(await statuses(3, from('203.0.113.7'))).toEqual([200, 200, 200]); // of this machine
  });

  it('is what the nearest trusted proxy saw, whatever the client says of itself', async () => {
    await start({ EIS_TRUST_PROXY: '127.0.0.0/8,10.0.0.0/8', EIS_REQUESTS_PER_MINUTE_MAX: '2' });
    expect(await statuses(3, (i) => from(`198.51.100.${i}, 203.0.113.7, 10.0.0.1`)())).toEqual([200, 200, 429]);
    expect(await statuses(3, () => from('127.0.0.1, 203.0.113.9')())).toEqual([200, 200, 429]);
  });

  it.each(['10.0.0.0', '10.0.0.0/33', '0.0.0.0/0', '::/0', 'proxy/8', '10.0.0.0/8/8'])('is not believed of proxies that %s names', async (EIS_TRUST_PROXY) => {
    await start({});
    await expect(startSystem({ variables: { EIS_TRUST_PROXY } })).rejects.toThrow(/EIS_TRUST_PROXY: .* is no CIDR range/);
  });
});

describe('guessing keys', () => {
  it('is stopped by address: after too many none is looked at, though it be right', async () => {
    await start({ ...BEHIND_PROXY, EIS_API_KEYS: `search:${KEYS[0]}`, EIS_KEY_FAILURES_PER_MINUTE_MAX: '3' });
    const guess = (i: number): Record<string, string> => ({ ...from('203.0.113.7')(), authorization: `Bearer guess-${i}` });
    expect(await statuses(4, guess)).toEqual([401, 401, 401, 429]);
    const right = { 'x-api-key': KEYS[0] };
    const { status, retryAfterS, body } = await ask({ ...from('203.0.113.7')(), ...right });
    expect([status, body.code]).toEqual([429, 'EIS_OVERLOADED']);
    expect(retryAfterS).toBeGreaterThan(0);
    expect((await ask({ ...from('203.0.113.8')(), ...right })).status).toBe(200);
  });

  it('is stopped on this machine, too, and does not count who sends no key, or the right one', async () => {
    await start({ EIS_API_KEYS: `search:${KEYS[0]}`, EIS_KEY_FAILURES_PER_MINUTE_MAX: '2' });
    expect(await statuses(3, () => ({}))).toEqual([401, 401, 401]);
    expect(await statuses(3, () => ({ 'x-api-key': KEYS[0] }))).toEqual([200, 200, 200]);
    expect(await statuses(3, () => ({ 'x-api-key': 'guess' }))).toEqual([401, 401, 429]);
  });
});
