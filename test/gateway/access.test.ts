import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findKey, type ApiKeys } from '../../common/api-keys.js';
import { parseEnvironment } from '../../common/environment.js';
import { accessOf } from '../../gateway/access.js';
import { exchange } from '../support/raw-http.js';
import { startSystem } from './stubs.js';

const KEY = 'a-key-of-30-characters-or-so_~';

describe('accessOf()', () => {
  const open = (variables: Record<string, string>): string[] => [...accessOf(parseEnvironment(variables)).open];

  it.each(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1', 'localhost'])('opens everything on %s, which only this machine can reach', (HOST) => {
    expect(open({ HOST })).toEqual(['search', 'write', 'admin']);
  });

  it.each(['0.0.0.0', '::', '10.0.0.1', 'fe80::1', 'gateway.internal', 'localhost.example.com'])('opens searches only on %s', (HOST) => {
    expect(open({ HOST })).toEqual(['search']);
  });

  it('opens nothing where there are keys, wherever it listens, but searches where everybody may', () => {
    for (const HOST of ['127.0.0.1', '0.0.0.0']) {
      expect(open({ HOST, EIS_API_KEYS: `write:${KEY}` })).toEqual([]);
      expect(open({ HOST, EIS_API_KEYS: 'search:*' })).toEqual(['search']);
    }
  });

  it('takes Cloud Run, which reaches it from outside, for what it is', () => {
    expect(open({ K_SERVICE: 'gateway' })).toEqual(['search']);
  });
});

describe('EIS_API_KEYS', () => {
  const parse = (EIS_API_KEYS: string): ApiKeys => parseEnvironment({ EIS_API_KEYS }).apiKeys;

  it('gives each key its scopes; admin has all', () => {
    const { keys, everybody } = parse(`search:first-${KEY}, search+write:second-${KEY},admin:third-${KEY}`);
    const scopes = (key: string): string[] => [...(findKey(key, keys)?.scopes ?? [])];
    expect(['first', 'second', 'third'].map((name) => scopes(`${name}-${KEY}`))).toEqual([['search'], ['search', 'write'], ['search', 'write', 'admin']]);
    expect(scopes(KEY)).toEqual([]);
    expect(everybody.size).toBe(0);
  });

  it('is held as digests', () => {
    const { keys } = parse(`write:${KEY}`);
    expect(keys[0]!.digest).toHaveLength(32);
    expect(Buffer.concat(keys.map(({ digest }) => digest)).includes(KEY)).toBe(false);
  });

  it.each([
    [KEY, 'no ":"'], [`read:${KEY}`, 'scopes'], [`:${KEY}`, 'scopes'], [`search+:${KEY}`, 'scopes'], ['write:*', 'more than search'], ['admin:*', 'more than search'], ['search+write:*', 'more than search'],
    ['write:short-secret', '16 to 256'], [`write:${KEY} x`, '16 to 256'], [`write:${KEY}é`, '16 to 256'], [`write:${'x'.repeat(300)}`, '16 to 256'], ['write:', '16 to 256'], [`write:${KEY},search:${KEY}`, 'another entry'],
  ])('refuses %s, and never says the key', (value, reason) => {
    const entries = value.split(':').slice(1).concat(value.includes(':') ? [] : [value]);
    const refuse = (): unknown => parse(value);
    expect(refuse).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining(reason) as string }));
    for (const secret of entries.filter((text) => text.length > 3)) expect(refuse).not.toThrow(secret);
  });

  it('refuses an EIS_API_KEY that is none without saying it', () => {
    expect(() => parseEnvironment({ EIS_API_KEY: 'write:some-secret-key' })).toThrow(/EIS_API_KEY: it is no API key/);
    expect(() => parseEnvironment({ EIS_API_KEY: 'write:some-secret-key' })).not.toThrow(/some-secret/);
    expect(parseEnvironment({ EIS_API_KEY: KEY }).apiKey).toBe(KEY);
  });
});

describe('a key in headers that no client would send', () => {
  let system: Awaited<ReturnType<typeof startSystem>>;
  beforeAll(async () => {
    system = await startSystem({ variables: { EIS_API_KEYS: `write:${KEY},admin:other-${KEY}` } });
  });
  afterAll(() => system.close());

  it.each([
    ['two Authorization headers', [`Authorization: Bearer ${KEY}`, `Authorization: Bearer other-${KEY}`], 400, 'EIS_BAD_REQUEST'],
    ['the same key twice', [`Authorization: Bearer ${KEY}`, `X-Api-Key: ${KEY}`], 400, 'EIS_BAD_REQUEST'],
    ['two X-Api-Key headers', ['X-Api-Key: guess', `X-Api-Key: ${KEY}`], 400, 'EIS_BAD_REQUEST'],
    ['two keys in one header', [`X-Api-Key: guess, ${KEY}`], 401, 'EIS_KEY_UNKNOWN'],
    ['two credentials in one header', [`Authorization: Bearer guess, Bearer ${KEY}`], 401, 'EIS_KEY_UNKNOWN'],
    ['an empty key', ['X-Api-Key:', 'Authorization: Bearer '], 401, 'EIS_KEY_MISSING'],
    ['no key after the scheme', ['Authorization: Bearer'], 401, 'EIS_KEY_MISSING'],
    ['a key without a scheme', [`Authorization: ${KEY}`], 401, 'EIS_KEY_MISSING'],
    ['another scheme', [`Authorization: Basic ${KEY}`], 401, 'EIS_KEY_MISSING'],
    ['a very long key', [`X-Api-Key: ${KEY}${'x'.repeat(12_000)}`], 401, 'EIS_KEY_UNKNOWN'],
    ['a key that is too long for any header', [`X-Api-Key: ${KEY}${'x'.repeat(20_000)}`], 431, 'EIS_HEADERS_TOO_LARGE'],
    ['a key that is not ASCII', [`X-Api-Key: ${KEY}\u00e9`], 401, 'EIS_KEY_UNKNOWN'],
    ['a prefix of a key', [`X-Api-Key: ${KEY.slice(0, -1)}`], 401, 'EIS_KEY_UNKNOWN'],
    ['a key in other letters', [`X-Api-Key: ${KEY.toUpperCase()}`], 401, 'EIS_KEY_UNKNOWN'],
    ['its digest', [`X-Api-Key: ${createHash('sha256').update(KEY).digest('hex')}`], 401, 'EIS_KEY_UNKNOWN'],
  ])('is refused: %s', async (_, headers, status, code) => {
    const answer = await exchange(system.gateway.url, [`GET /queues HTTP/1.1\r\nHost: x\r\n${headers.join('\r\n')}\r\nConnection: close\r\n\r\n`]);
    expect(answer).toMatchObject({ status, body: { statusCode: status, code } });
    expect(Object.keys(answer.body as object).sort()).toEqual(['code', 'error', 'message', 'statusCode']);
    expect(JSON.stringify(answer.body)).not.toContain(KEY);
    expect(answer.head.includes('www-authenticate: bearer')).toBe(status === 401);
    expect(system.wrapper.seen).toEqual([]);
  });

  it('is not taken from the address', async () => {
    expect((await fetch(`${system.gateway.url}/queues?key=${KEY}&api_key=${KEY}&access_token=${KEY}`)).status).toBe(401);
  });
});
