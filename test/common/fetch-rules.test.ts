import { describe, expect, it } from 'vitest';
import { parseEnvironment, type FetchSettings } from '../../common/environment.js';
import { parseFetchRules } from '../../common/fetch-rules.js';

const DEFAULTS = parseEnvironment({}).fetchFrom;
const refusal = (url: string, settings: Partial<FetchSettings> = {}): string | undefined => parseFetchRules({ ...DEFAULTS, ...settings }).refusal(new URL(url));

describe('the ports of parseFetchRules()', () => {
  it.each(['http://a/', 'https://a/', 'http://a:443/', 'http://a:1024/', 'http://a:8080/', 'https://a:65535/'])('take %s', (url) => {
    expect(refusal(url)).toBeUndefined();
  });

  it.each([0, 1, 21, 22, 23, 25, 110, 139, 143, 445, 465, 587, 873, 993, 1023])('refuse port %i, where no web server is', (port) => {
    for (const scheme of ['http', 'https']) expect(refusal(`${scheme}://a:${port}/`)).toBe(`it names port ${port}; images are fetched from 80, 443, 1024-65535.`);
  });

  it('are those that the operator names', () => {
    const ports = ['443', '8000-8002'];
    expect(['https://a/', 'http://a:8000/', 'http://a:8002/'].map((url) => refusal(url, { ports }))).toEqual([undefined, undefined, undefined]);
    for (const url of ['http://a/', 'http://a:7999/', 'http://a:8003/']) expect(refusal(url, { ports }), url).toMatch(/names port/);
  });

  it.each(['http', '0', '65536', '99999', '9-8', '-5', '5-', '80:90', '1.5'])('may not be %s', (entry) => {
    expect(() => refusal('http://a/', { ports: [entry] })).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringMatching(/EIS_FETCH_PORTS: .*is not a port from 1 to 65535 or a range/) as string }));
  });
});

describe('the denied names of parseFetchRules()', () => {
  const deny = ['Inside.Example', '*.corp.example', 'bücher.example', '10.1.0.0/16'];

  it.each(['inside.example', 'INSIDE.example', 'inside.example.', 'inside.example:8080', 'a.corp.example', 'a.b.corp.example.', 'xn--bcher-kva.example', 'BÜCHER.example', 'ｉｎｓｉｄｅ.example'])('hold for %s, however it is written', (host) => {
    expect(refusal(`http://${host}/`, { deny })).toBe('nothing is fetched from its host here.');
  });

  it.each(['corp.example', 'outside.example', 'a.inside.example', 'notcorp.example', 'inside.example.org'])('leave %s alone', (host) => {
    expect(refusal(`http://${host}/`, { deny })).toBeUndefined();
  });

  it.each(['10.0.0.1', '2130706433', '0x7f.1', 'fd00::1', '[::1]', '10.0.0.0/99', '10/8', 'http://a', 'a:80', 'user@a', '*', '*.', 'a.*', '**.a', 'a b'])('may not be %s', (entry) => {
    expect(() => refusal('http://a/', { deny: [entry] })).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringMatching(/EIS_FETCH_DENY: .* is not a CIDR range/) as string }));
  });
});

it('names the variable when what is allowed is no range', () => {
  expect(() => refusal('http://a/', { allow: ['a.example'] })).toThrow(/EIS_FETCH_ALLOW: "a.example" is not a CIDR range/);
});

it('are read from the environment', () => {
  expect(parseEnvironment({ EIS_FETCH_ALLOW: '10.0.0.0/8', EIS_FETCH_DENY: ' 10.1.0.0/16, *.corp.example,', EIS_FETCH_PORTS: '443' }).fetchFrom).toEqual({ allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16', '*.corp.example'], ports: ['443'] });
});
