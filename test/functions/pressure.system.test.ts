import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import sharp from 'sharp';
import { Agent, request as undiciRequest } from 'undici';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { startFunction, type FunctionProcess } from './support/function-process.js';
import { pngBomb } from '../support/png.js';
import { seededRandom } from './support/tiny-model.js';

const MEMORY_MB_MAX = 900;
/** What decoding one AVIF of 12 million pixels takes, and more than what else varies. */
const AVIF_MEMORY_MB = 120;
/** What garbage varies by. */
const GROWTH_MB_MAX = 40;
/** Longer than a server that closes too early would wait. */
const SLOW_CLIENT_MS = 2_500;
const UPLOAD_BYTES = 5_000_000;

const random = seededRandom(22);
let jpeg: Buffer;
/** The photo, and then bytes that no decoder looks at. */
let upload: Buffer;

beforeAll(async () => {
  jpeg = await sharp(Uint8Array.from({ length: 90 * 60 * 3 }, () => random() * 256), { raw: { width: 90, height: 60, channels: 3 } }).jpeg({ quality: 95 }).toBuffer();
  upload = Buffer.concat([jpeg, Buffer.alloc(UPLOAD_BYTES - jpeg.length)]);
});

async function start(environment: Record<string, string> = {}): Promise<FunctionProcess> {
  const started = await startFunction({ EIS_FUNCTION_TIMEOUT_MS: '60000', ...environment });
  onTestFinished(() => started.stop());
  return started;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly code: string | undefined;
  readonly message: string | undefined;
}

async function post(to: FunctionProcess, body: string | Buffer, type = 'image/jpeg'): Promise<Answer> {
  const response = await fetch(`${to.url}/`, { method: 'POST', body, headers: { 'content-type': type } });
  const { code, message } = (await response.json()) as { code?: string; message?: string };
  return { status: response.status, headers: response.headers, code, message };
}

interface Stuck {
  readonly destroy: () => void;
  readonly answer: Promise<number>;
}

/** Waits until the function holds so much: what was sent may not have arrived. */
async function untilHeld(by: FunctionProcess, metric: 'images' | 'bytes', value: number): Promise<void> {
  const line = new RegExp(`^eis_function_in_flight_${metric}\\{.*\\} ${value}$`, 'm');
  while (!line.test(await (await fetch(`${by.url}/metrics`)).text())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A request whose body never ends. */
function stuck(at: FunctionProcess, begun: Buffer = jpeg.subarray(0, 10)): Promise<Stuck> {
  return new Promise((resolve) => {
    const request = httpRequest(`${at.url}/`, { method: 'POST', headers: { 'content-type': 'image/jpeg', 'transfer-encoding': 'chunked' } });
    const answer = new Promise<number>((settle) => request.on('response', (response) => settle(response.resume().statusCode!)).on('error', () => settle(0)));
    request.write(begun, () => resolve({ destroy: () => void request.destroy(), answer }));
  });
}

const stuckOnes = (at: FunctionProcess, count: number): Promise<Stuck[]> => Promise.all(Array.from({ length: count }, () => stuck(at)));

/** Sends a whole request slowly, and reads nothing before all of it is sent. What it then reads. */
async function sendSlowly(to: FunctionProcess): Promise<string> {
  const socket = connect(to.port, '127.0.0.1').pause();
  const failed = once(socket, 'error').then(([error]) => Promise.reject(error as Error));
  const sent = async (): Promise<string> => {
    socket.write(`POST / HTTP/1.1\r\nHost: function\r\nContent-Type: image/jpeg\r\nContent-Length: ${upload.length}\r\n\r\n`);
    socket.write(upload.subarray(0, UPLOAD_BYTES / 2));
    await new Promise((resolve) => setTimeout(resolve, SLOW_CLIENT_MS));
    await new Promise<void>((resolve, reject) => socket.write(upload.subarray(UPLOAD_BYTES / 2), (error) => (error ? reject(error) : resolve())));
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return text;
  };
  return Promise.race([sent(), failed]);
}

describe('the function, when more comes than it holds', () => {
  it('is not shut by clients that send slowly, up to a bound, and takes images again when one is gone', async () => {
    const held = await start({ EIS_FUNCTION_CONCURRENCY: '2' });
    const holders = await stuckOnes(held, 7);
    await untilHeld(held, 'images', 7);
    expect((await post(held, jpeg)).status).toBe(200);
    await untilHeld(held, 'images', 7);
    holders.push(await stuck(held));
    await untilHeld(held, 'images', 8);
    const refused = await post(held, jpeg);
    expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([429, 'EIS_OVERLOADED', '1']);
    for (const { destroy } of holders) destroy();
    await untilHeld(held, 'images', 0);
    expect((await post(held, jpeg)).status).toBe(200);
  });

  it('refuses a whole image when it works on as many as it may', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => void silent.close().closeAllConnections());
    const busy = await start({ EIS_FUNCTION_CONCURRENCY: '1', EIS_FETCH_ALLOW: '127.0.0.0/8', EIS_FETCH_TIMEOUT_MS: '60000' });
    const fetched = once(silent, 'request');
    const working = post(busy, JSON.stringify({ url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}/` }), 'application/json').catch(() => undefined);
    await fetched;
    const refused = await post(busy, upload);
    expect([refused.status, refused.code]).toEqual([429, 'EIS_OVERLOADED']);
    expect(refused.message).toContain('works on 1 images');
    expect(refused.headers.get('connection')).toBe('keep-alive');
    silent.closeAllConnections();
    await working;
    await untilHeld(busy, 'images', 0);
    expect((await post(busy, jpeg)).status).toBe(200);
  });

  it('refuses bytes that would be more than all bodies together may hold', async () => {
    const held = await start({ EIS_FUNCTION_CONCURRENCY: '1', EIS_IMAGE_BYTES_MAX: '50000' });
    const { destroy } = await stuck(held, upload.subarray(0, 49_900));
    await untilHeld(held, 'bytes', 49_900);
    const refused = await post(held, jpeg);
    expect(refused.status).toBe(429);
    expect(refused.message).toContain('50000 bytes');
    destroy();
    await untilHeld(held, 'bytes', 0);
    expect((await post(held, jpeg)).status).toBe(200);
  });

  it('lets every client that it refuses read why, however it sends', async () => {
    const full = await start({ EIS_FUNCTION_CONCURRENCY: '1' });
    await stuckOnes(full, 4);
    await untilHeld(full, 'images', 4);
    const agent = new Agent({ connections: 32 });
    onTestFinished(() => agent.destroy());
    const undici = Array.from({ length: 100 }, async () => {
      const { statusCode, headers, body } = await undiciRequest(full.url, { dispatcher: agent, method: 'POST', body: upload, headers: { 'content-type': 'image/jpeg' } });
      expect([statusCode, headers['connection'], await body.json()]).toEqual([429, 'close', expect.objectContaining({ code: 'EIS_OVERLOADED' })]);
    });
    const slow = Array.from({ length: 10 }, async () => expect(await sendSlowly(full)).toMatch(/^HTTP\/1\.1 429 [\s\S]*"code":"EIS_OVERLOADED"/));
    await Promise.all([...undici, ...slow]);
  });

  it('does not wait for a body that does not come', async () => {
    const hasty = await start({ EIS_FUNCTION_TIMEOUT_MS: '300' });
    expect(await (await stuck(hasty)).answer).toBe(408);
  });

  it('ends although a client that was refused goes on sending', async () => {
    const full = await start({ EIS_FUNCTION_CONCURRENCY: '1', EIS_IMAGE_BYTES_MAX: '1000' });
    const request = httpRequest(`${full.url}/`, { method: 'POST', headers: { 'content-type': 'image/jpeg', 'transfer-encoding': 'chunked' } }).on('error', () => undefined);
    request.write(upload.subarray(0, 1_001));
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    expect(response.statusCode).toBe(413);
    const exited = once(full.child, 'exit');
    full.child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});

describe('the memory of the function', () => {
  it('stays within its bound, whatever was sent before', async () => {
    const plain = await start();
    const bomb = pngBomb(7_000, 7_000);
    const large = Buffer.alloc(DEFAULT_LIMITS.imageBytesMax + 1);
    await Promise.all([...Array.from({ length: 8 }, () => post(plain, bomb, 'image/png')), ...Array.from({ length: 8 }, () => post(plain, large))]);
    expect(plain.peakMemoryMb() ?? 0).toBeLessThan(MEMORY_MB_MAX);
    expect((await post(plain, jpeg)).status).toBe(200);
  });

  it('does not grow with the images that it has answered', async () => {
    const plain = await start();
    const answer = (images: number): Promise<unknown> => Promise.all(Array.from({ length: 8 }, async () => {
      for (let i = 0; i < images / 8; i++) expect((await post(plain, jpeg)).status).toBe(200);
    }));
    await answer(480); // by then each number of images a call was tried
    const warm = plain.peakMemoryMb() ?? 0;
    await answer(400);
    expect(plain.peakMemoryMb() ?? 0).toBeLessThan(warm + GROWTH_MB_MAX);
  });

  it('is that of one image of the most pixels, however many come at once', async () => {
    const narrow = await start({ EIS_IMAGE_PIXELS_MAX: '12000000' });
    const avif = await sharp({ create: { width: 4_000, height: 3_000, channels: 3, background: '#777777' } }).avif({ effort: 0 }).toBuffer();
    expect((await post(narrow, avif)).status).toBe(200);
    const one = narrow.peakMemoryMb() ?? 0;
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(narrow, avif)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(narrow.peakMemoryMb() ?? 0).toBeLessThan(one + AVIF_MEMORY_MB);
  });
});
