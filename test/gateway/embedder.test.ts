import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SearchAnswer } from '../../common/wire.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { eventually, QUERY, sendError, startSystem } from './stubs.js';

type System = Awaited<ReturnType<typeof startSystem>>;

let system: System;
beforeEach(async () => {
  system = await startSystem({ variables: { EIS_EMBEDDING_CACHE_BYTES_MAX: '3000' } });
});
afterEach(() => system.close());

async function search(body: Buffer = QUERY, init: RequestInit = {}): Promise<{ status: number; body: SearchAnswer; timing: string | null }> {
  const response = await fetch(`${system.gateway.url}/search?top=10`, { method: 'POST', body: new Uint8Array(body), headers: { 'content-type': 'image/jpeg' }, ...init });
  return { status: response.status, timing: response.headers.get('server-timing'), body: (await response.json()) as SearchAnswer };
}

async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  return sumOf(parsePrometheus(await (await fetch(`${system.gateway.url}/metrics`)).text()), name, labels);
}

const other = (n: number): Buffer => Buffer.from([...QUERY, n]);

describe('an image that is searched again', () => {
  it('is not embedded again, and finds the same', async () => {
    const [first, second] = [await search(), await search()];
    expect(second.body.results).toEqual(first.body.results);
    expect(system.fn.seen).toHaveLength(1);
    expect(await metric('eis_embedding_cache_lookups_total', { result: 'hit' })).toBe(1);
    expect(await metric('eis_embedding_cache_entries')).toBe(1);
  });

  it('is asked of the function anew when every shard holds another version than what is remembered', async () => {
    await search();
    let version = 'v1-0123456789';
    for (const pod of system.pods) {
      pod.behave = (request, response) => {
        if (request.headers['x-eis-model-version'] !== 'v2') return sendError(response, 409, 'EIS_MODEL_VERSION');
        return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ model_version: 'v2', hits: [], vectors: 0, freshness_s: 0 }));
      };
    }
    system.fn.behave = (request, response) => {
      request.resume();
      version = 'v2';
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'x-eis-model': 'stub', 'x-eis-model-version': version, 'x-eis-dim': '4', 'x-eis-sha256': 'a'.repeat(64), 'x-eis-phash': 'b'.repeat(16), 'x-eis-width': '10', 'x-eis-height': '20', 'x-eis-format': 'jpeg', 'x-eis-timings-ms': '{"fetch":0,"decode":1,"infer":2}' });
      response.end(Buffer.from(new Float32Array([1, 0, 0, 0]).buffer));
    };
    const { status, body } = await search();
    expect([status, body.model_version, version]).toEqual([200, 'v2', 'v2']);
  });

  it('is remembered only as long as there is room', async () => {
    for (let n = 0; n < 8; n++) await search(other(n));
    expect(await metric('eis_embedding_cache_bytes')).toBeLessThanOrEqual(3_000);
    expect(await metric('eis_embedding_cache_entries')).toBe(4);
    await search(other(7));
    await search(other(0));
    expect(await metric('eis_embedding_cache_lookups_total', { result: 'hit' })).toBe(1);
  });
});

describe('the same image from several clients at once', () => {
  it('is one call of the function, which ends only when all have left', async () => {
    const held: (() => void)[] = [];
    system.fn.behave = (_request, response) => held.push(() => response.destroy());
    const clients = [new AbortController(), new AbortController(), new AbortController()];
    const asking = clients.map(({ signal }) => search(QUERY, { signal }).catch((error: Error) => error.name));
    await eventually(() => held.length === 1);
    while ((await metric('eis_embed_calls_shared_total')) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    clients[0]?.abort();
    expect(await asking[0]).toBe('AbortError');
    expect([held.length, system.fn.aborted]).toEqual([1, 0]);
    clients[1]?.abort();
    clients[2]?.abort();
    await eventually(() => system.fn.aborted === 1);
    expect(held).toHaveLength(1);
  });

  it('is answered to the others when the first one left', async () => {
    let isHeld = false;
    let release = (): void => undefined;
    system.fn.behave = (_request, response) => {
      release = () => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE');
      isHeld = true;
    };
    const leaving = new AbortController();
    const first = search(QUERY, { signal: leaving.signal }).catch((error: Error) => error.name);
    await eventually(() => isHeld);
    const second = search();
    while ((await metric('eis_embed_calls_shared_total')) < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    leaving.abort();
    expect(await first).toBe('AbortError');
    release();
    expect((await second).status).toBe(422);
  });
});

describe('a call of the function that fails', () => {
  it('is made again after a while when the connection is lost or the function is not ready', async () => {
    let calls = 0;
    system.fn.behave = (request, response) => {
      request.resume();
      if (++calls === 1) return void request.socket.destroy();
      system.fn.behave = undefined;
      return void sendError(response, 503, 'EIS_NOT_READY');
    };
    expect((await search()).status).toBe(200);
    expect(calls).toBe(2);
    expect(await metric('eis_embed_calls_repeated_total')).toBe(2);
  });

  it('is made again not before the time in Retry-After, and not at all when that is after the deadline', async () => {
    system.fn.behave = (_request, response) => sendError(response.setHeader('retry-after', '3600'), 429, 'EIS_OVERLOADED');
    expect((await search()).status).toBe(429);
    expect(await metric('eis_embed_calls_repeated_total')).toBe(0);
  });

  it('is not made again for what is the image’s fault', async () => {
    system.fn.behave = (_request, response) => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE');
    expect((await search()).status).toBe(422);
    expect(await metric('eis_embed_calls_repeated_total')).toBe(0);
  });

  it('is made again for a tenth of all at most, when everything fails', async () => {
    await system.fn.close();
    for (const { status } of await Promise.all(Array.from({ length: 60 }, (_, n) => search(other(n))))) expect(status).toBe(503);
    expect(await metric('eis_embed_calls_repeated_total')).toBeLessThanOrEqual(10 + 6);
  });
});

describe('the time that a part has', () => {
  it('is told to the function and to every shard', async () => {
    await search();
    const told = [system.fn, ...system.pods].map(({ seen }) => Number(seen[0]?.headers['x-eis-timeout-ms']));
    expect(told[0]).toBeGreaterThan(9_000);
    expect(told[0]).toBeLessThanOrEqual(10_000);
    for (const ms of told.slice(1)) expect(ms).toBe(2_000);
  });
});
