/** Calls of a function that lets nobody in without a token, as Cloud Run guards one. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createEmbedClient, type EmbedClient } from '../../common/embed-client.js';
import type { EisError } from '../../common/errors.js';
import { createMeasureEmbeds } from '../../common/measured-embeds.js';
import { IdentityTokens } from '../../common/identity-token.js';
import { Metrics } from '../../common/metrics.js';
import { unsignedToken } from '../support/identity.js';
import { startStubFunction } from '../support/stub-function.js';

const IMAGE = { bytes: Buffer.from('an image') };
const hourly = async (): Promise<string> => unsignedToken(Date.now() + 3_600_000);

let stub: Awaited<ReturnType<typeof startStubFunction>>;
let guard: Server;
let url: string;
/** Tokens of the calls that came. */
let seen: (string | undefined)[];
let answers: (token: string | undefined) => 'pass' | 401 | 403;
let metrics: Metrics;
let clients: EmbedClient[];

beforeEach(async () => {
  seen = [];
  clients = [];
  answers = () => 'pass';
  metrics = new Metrics('gateway');
  stub = await startStubFunction({ model: 'm', dim: 8, delayMs: 0 });
  guard = createServer((request, response) => {
    const token = request.headers.authorization?.slice('Bearer '.length);
    seen.push(token);
    const verdict = answers(token);
    if (verdict !== 'pass') return void response.writeHead(verdict, { 'content-type': 'text/html' }).end('<html>refused</html>');
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const embedded = await fetch(stub.url, { method: 'POST', body: new Uint8Array(Buffer.concat(chunks)) });
      response.writeHead(200, Object.fromEntries(embedded.headers)).end(Buffer.from(await embedded.arrayBuffer()));
    })();
  }).listen(0, '127.0.0.1');
  await once(guard, 'listening');
  url = `http://127.0.0.1:${(guard.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  for (const server of [guard, stub.server]) server.close();
});

function client(fetchToken?: () => Promise<string>): EmbedClient {
  const tokens = fetchToken && new IdentityTokens({ audience: url, fetchToken });
  const made = createMeasureEmbeds(metrics)('m', createEmbedClient({ model: 'm', url, timeoutMs: 5_000, connections: 2, tokens }));
  clients.push(made);
  return made;
}

/** The value of a line of the metrics, whatever the order of its labels. */
const read = async (name: string, label: string): Promise<string | undefined> => (await metrics.text()).split('\n').find((line) => line.startsWith(`${name}{`) && line.includes(label))?.split(' ').at(-1);
const count = (outcome: string): Promise<string | undefined> => read('eis_embed_calls_total', `outcome="${outcome}"`);

describe('a call of a private function', () => {
  it('bears the token', async () => {
    const fetchToken = vi.fn(hourly);
    const calling = client(fetchToken);
    expect((await calling.embed(IMAGE)).vector).toHaveLength(8);
    await calling.embed(IMAGE);
    expect(seen).toEqual([await fetchToken.mock.results[0]!.value, await fetchToken.mock.results[0]!.value]);
  });

  it('bears none where plain http would show it', async () => {
    await client().embed(IMAGE);
    expect(seen).toEqual([undefined]);
  });

  it('is made once more with a newer token when the function refuses the one that it had', async () => {
    const calling = client(hourly);
    await calling.embed(IMAGE);
    const [revoked] = seen;
    answers = (token) => (token === revoked ? 401 : 'pass');
    expect((await calling.embed(IMAGE)).vector).toHaveLength(8);
    expect(seen).toHaveLength(3);
    expect(seen[2]).not.toBe(revoked);
  });

  it.each([[401, 2], [403, 1]] as const)('that is refused with %d for good is made %d time(s), and is an outage and no fault of the image', async (status, times) => {
    answers = () => status;
    const error = await client(hourly).embed(IMAGE).catch((thrown: unknown) => thrown as EisError);
    expect(error).toMatchObject({ code: 'EIS_FUNCTION_UNAVAILABLE', statusCode: 503 });
    expect(((error as EisError).cause as Error).message).toContain('roles/run.invoker');
    expect(seen).toHaveLength(times);
    expect(await count('EIS_FUNCTION_UNAVAILABLE')).toBe('1');
  });

  it('fails without being sent when there is no token; the log says why, and holds no token', async () => {
    const secret = unsignedToken(Date.now());
    const error = await client(() => Promise.reject(Object.assign(new Error(`connect ECONNREFUSED 169.254.169.254:80 ${secret}`), { config: { headers: { Authorization: secret } } }))).embed(IMAGE).catch((thrown: unknown) => thrown as EisError);
    expect(error).toMatchObject({ code: 'EIS_FUNCTION_UNAVAILABLE' });
    expect(seen).toEqual([]);
    let logged = '';
    pino({}, new Writable({ write: (chunk, _encoding, done) => ((logged += String(chunk)), done()) })).warn({ err: (error as EisError).cause }, 'failed');
    expect(logged).toContain('ECONNREFUSED 169.254.169.254:80');
    expect(logged).not.toContain(secret);
  });
});

describe('what a caller measures of a function', () => {
  it('is what came of its calls', async () => {
    const calling = client();
    await calling.embed(IMAGE);
    expect(await count('ok')).toBe('1');
    const leaving = new AbortController();
    leaving.abort(new Error('nobody waits'));
    await expect(calling.embed(IMAGE, { signal: leaving.signal })).rejects.toThrow('nobody waits');
    expect(await count('given_up')).toBe('1');
  });
});
