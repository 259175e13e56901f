import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { exchange } from '../support/raw-http.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { imageId, startSystem } from './stubs.js';

let system: Awaited<ReturnType<typeof startSystem>>;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await system.close();
});

async function start(variables: Record<string, string>): Promise<void> {
  system = await startSystem({ variables });
}

async function open(): Promise<Socket> {
  const socket = connect(Number(new URL(system.gateway.url).port), '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

describe('a client is cut off', () => {
  it.each([
    ['sends nothing', []],
    ['sends a part of its headers', ['GET /models HTTP/1.1\r\nHo']],
    ['drips them', ['GET /models HTTP/1.1\r\n', ...Array.from({ length: 80 }, (_, i) => `X-${i}: 1\r\n`)]],
  ])('that %s', async (_, pieces) => {
    await start({ EIS_HEADERS_TIMEOUT_MS: '200' });
    const answer = await Promise.race([exchange(system.gateway.url, pieces, { pauseMs: 20 }), sleep(8_000, undefined, { ref: false })]);
    expect(answer).toMatchObject({ status: 408, body: { code: 'EIS_BODY_TIMEOUT' } });
  });

  it('that asks for nothing more', async () => {
    await start({ EIS_IDLE_TIMEOUT_MS: '100' });
    const socket = await open();
    socket.write(get('/healthz'));
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    await once(socket, 'close');
    expect(received).toMatch(/^HTTP\/1\.1 200/);
  });

  it('that does not read its answer, and what was fetched for it is given up', async () => {
    await start({ EIS_ANSWER_TIMEOUT_MS: '200' });
    const fetched = new Promise((resolve) => {
      system.wrapper.behave = ({ socket }, response) => {
        socket.once('close', resolve);
        response.writeHead(200, { 'content-type': 'image/png' }).end(Buffer.alloc(64 * 1024 * 1024));
      };
    });
    const socket = await open();
    socket.pause().write(get(`/images/${imageId(0, 1)}`));
    await fetched;
  });
});

describe('a client is not cut off', () => {
  it('that waits for an answer which takes its time, or pauses', async () => {
    await start({ EIS_ANSWER_TIMEOUT_MS: '100', EIS_IDLE_TIMEOUT_MS: '100' });
    system.wrapper.behave = (_request, response) => {
      setTimeout(() => response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{}\n'), 350);
      setTimeout(() => response.end('{}\n'), 700);
    };
    expect(await (await fetch(`${system.gateway.url}/queues`)).text()).toBe('{}\n{}\n');
  });

  it('that comes back on its connection later than headers may take', async () => {
    await start({ EIS_HEADERS_TIMEOUT_MS: '100' });
    const socket = await open();
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    socket.write(get('/healthz'));
    await sleep(1_500);
    socket.write(get('/healthz'));
    await vi.waitFor(() => expect(received.match(/HTTP\/1\.1 200/g)).toHaveLength(2));
  });

  it('that reads slowly, but reads', async () => {
    await start({ EIS_ANSWER_TIMEOUT_MS: '1000' });
    const bytes = 24 * 1024 * 1024;
    system.wrapper.behave = (_request, response) => void response.writeHead(200, { 'content-type': 'image/png' }).end(Buffer.alloc(bytes));
    const { body } = await fetch(`${system.gateway.url}/images/${imageId(0, 1)}`);
    let received = 0;
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      received += chunk.length;
      if (received % (1024 * 1024) < chunk.length) await sleep(60);
    }
    expect(received).toBe(bytes);
  });
});

describe('connections', () => {
  it('are as many as may be; one more is closed at once, and counted', async () => {
    await start({ EIS_CONNECTIONS_MAX: '2' });
    const [first] = [await open(), await open()];
    await once(await open(), 'close');
    first.destroy();
    const metrics = async (): Promise<string> => (await fetch(`${system.gateway.url}/metrics`, { headers: { connection: 'close' } })).text();
    const text = await vi.waitFor(metrics, { timeout: 5_000 }); // once the gateway has seen that the first is gone
    expect(sumOf(parsePrometheus(text), 'eis_connections_dropped_total')).toBeGreaterThan(0);
  });
});
