import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { QUERY, sendError, startSystem } from './stubs.js';

type System = Awaited<ReturnType<typeof startSystem>>;

let system: System;
beforeEach(async () => {
  system = await startSystem({ variables: { EIS_IN_FLIGHT_BYTES_MAX: '1000', EIS_LOOP_DELAY_MAX_MS: '150', EIS_RECEIVING_MAX: '4', EIS_IN_FLIGHT_MAX: '2' } });
});
afterEach(() => system.close());

async function search(init: RequestInit & { duplex?: string } = {}): Promise<{ status: number; retryAfter: string | null; body: ErrorBody }> {
  const response = await fetch(`${system.gateway.url}/search`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' }, ...init });
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: (await response.json()) as ErrorBody };
}

async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  return sumOf(parsePrometheus(await (await fetch(`${system.gateway.url}/metrics`)).text()), name, labels);
}

/** A search of which these bytes are sent, of so many. */
function beginRequest(length: number, bytes: Buffer): ClientRequest {
  const request = httpRequest(`${system.gateway.url}/search`, { method: 'POST', headers: { 'content-type': 'image/jpeg', 'content-length': length } });
  request.on('error', () => undefined).write(bytes);
  return request;
}

/** The function holds every image until the returned call. */
function holdImages(): () => void {
  const held: (() => void)[] = [];
  system.fn.behave = (request, response) => {
    request.resume();
    held.push(() => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE'));
  };
  return () => {
    for (const release of held) release();
  };
}

describe('bytes of images that a gateway holds', () => {
  it('are bounded: one image more is turned away, until there is room', async () => {
    const release = holdImages();
    const first = search({ body: Buffer.alloc(600, 1) });
    while ((await metric('eis_embed_calls_in_flight')) < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await metric('eis_request_bytes_in_flight')).toBe(600);
    const refused = await search({ body: Buffer.alloc(600, 2) });
    expect([refused.status, refused.body.code, refused.retryAfter]).toEqual([429, 'EIS_OVERLOADED', '1']);
    expect(await metric('eis_requests_refused_total', { bound: 'bytes' })).toBe(1);
    release();
    expect((await first).status).toBe(422);
    system.fn.behave = undefined;
    expect((await search({ body: Buffer.alloc(600, 3) })).status).toBe(200);
    expect(await metric('eis_request_bytes_in_flight')).toBe(0);
  });

  it('are counted as they arrive, and not as they are announced', async () => {
    const slow = beginRequest(20_000_000, Buffer.alloc(500, 5));
    while ((await metric('eis_request_bytes_in_flight')) < 500) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await search({ body: Buffer.alloc(400, 6) })).status).toBe(200);
    expect((await search({ body: Buffer.alloc(600, 7) })).status).toBe(429);
    slow.destroy();
  });

  it('let one image in that is larger than the bound, when it is alone', async () => {
    expect((await search({ body: Buffer.alloc(5_000, 4) })).status).toBe(200);
  });
});

describe('requests whose bodies are on their way', () => {
  it('take no place of those that are answered, and are bounded by themselves', async () => {
    const slow = Array.from({ length: 3 }, () => beginRequest(100, Buffer.alloc(10, 8)));
    while ((await metric('eis_requests_receiving')) < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await metric('eis_requests_in_flight')).toBe(0);
    expect((await search()).status).toBe(200);
    const [first, ...others] = [...slow, beginRequest(100, Buffer.alloc(10, 8))];
    while ((await metric('eis_requests_receiving')) < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    expect([(await search()).status, await metric('eis_requests_refused_total', { bound: 'receiving' })]).toEqual([429, 1]);
    first.destroy();
    while ((await metric('eis_requests_receiving')) > 3) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await search()).status).toBe(200);
    for (const request of others) request.destroy();
  });

  it('are turned away when they have come and as many are answered as may be', async () => {
    const slow = beginRequest(100, Buffer.alloc(99, 9));
    while ((await metric('eis_requests_receiving')) < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const release = holdImages();
    const held = [search({ body: Buffer.alloc(50, 1) }), search({ body: Buffer.alloc(50, 2) })];
    while ((await metric('eis_requests_in_flight')) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const answered = once(slow, 'response') as Promise<[IncomingMessage]>;
    slow.end(Buffer.alloc(1));
    expect((await answered)[0].statusCode).toBe(429);
    release();
    await Promise.all(held);
  });
});

describe('a gateway whose event loop turns late', () => {
  it('turns requests away until it turns in time again, but for those of health', async () => {
    let answer = await search();
    while (answer.status !== 429) {
      const until = performance.now() + 400;
      while (performance.now() < until); // holds up the loop, which is the gateway's too
      answer = await search();
    }
    expect(answer.body.code).toBe('EIS_OVERLOADED');
    expect(await metric('eis_requests_refused_total', { bound: 'loop_delay' })).toBeGreaterThan(0);
    expect((await fetch(`${system.gateway.url}/healthz`)).status).toBe(200);
    while ((await search()).status !== 200);
  });
});

describe('an answer to a search', () => {
  it('says in Server-Timing what took how long', async () => {
    const response = await fetch(`${system.gateway.url}/search`, { method: 'POST', body: QUERY, headers: { 'content-type': 'image/jpeg' } });
    expect(response.headers.get('server-timing')).toMatch(/^embed;dur=[\d.]+, fan_out;dur=[\d.]+, merge;dur=[\d.]+, total;dur=[\d.]+$/);
    await response.body?.cancel();
  });
});
