/** What people send by mistake or on purpose, to the function and to the gateway of a running system. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { pngBomb, pngOf } from '../support/png.js';

const MEMORY_MB_MAX = 900;
const noise = sharp({ create: { width: 90, height: 60, channels: 3, background: '#808080', noise: { type: 'gaussian', mean: 128, sigma: 60 } } });

describe('hostile input', () => {
  let folder: string;
  let stack: LocalStack;
  let jpeg: Buffer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-hostile-'));
    mkdirSync(join(folder, 'empty'));
    jpeg = await noise.clone().jpeg().toBuffer();
    stack = await startLocalStack({ folder, args: ['--images', join(folder, 'empty')] });
  }, 120_000);

  afterAll(async () => {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  type Body = Buffer | ReadableStream | object;
  interface Answer {
    readonly status: number;
    readonly body: { readonly code?: string; readonly message?: string; readonly statusCode?: number };
  }

  async function post(url: string, body: Body): Promise<Answer> {
    const isJson = !Buffer.isBuffer(body) && !(body instanceof ReadableStream);
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': isJson ? 'application/json' : 'application/octet-stream' },
      ...(body instanceof ReadableStream ? { body, duplex: 'half' as const } : { body: isJson ? JSON.stringify(body) : new Uint8Array(body as Buffer) }),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  const toFunction = (body: Body): Promise<Answer> => post(`http://127.0.0.1:${stack.basePort + 10}/`, body);
  const toGateway = (body: Body, query = ''): Promise<Answer> => post(`${stack.url}/search${query}`, body);

  const refused: [what: string, body: () => Body, status: number, code: string][] = [
    ['an empty body', () => Buffer.alloc(0), 400, 'EIS_IMAGE_MISSING'],
    ['a text', () => Buffer.from('This is a text and no image. '.repeat(20)), 400, 'EIS_IMAGE_INVALID'],
    ['a truncated JPEG', () => jpeg.subarray(0, Math.floor(jpeg.length / 2)), 422, 'EIS_IMAGE_UNDECODABLE'],
    ['20 MB and 1 byte', () => Buffer.alloc(20 * 1024 * 1024 + 1, 1), 413, 'EIS_IMAGE_TOO_LARGE'],
    ['a PNG of 30,000 × 30,000', () => pngOf(30_000, 30_000), 422, 'EIS_IMAGE_PIXELS'],
    ['a PNG bomb', () => pngBomb(7_100, 7_100), 422, 'EIS_IMAGE_PIXELS'],
    ['an SVG', () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'), 415, 'EIS_IMAGE_FORMAT'],
    ['a loopback URL', () => ({ url: 'http://127.0.0.1/' }), 403, 'EIS_URL_FORBIDDEN'],
    ['a loopback URL mapped into IPv6', () => ({ url: 'http://[::ffff:127.0.0.1]/' }), 403, 'EIS_URL_FORBIDDEN'],
    ['a loopback URL as one number', () => ({ url: 'http://2130706433/' }), 403, 'EIS_URL_FORBIDDEN'],
    ['a file', () => ({ url: 'file:///etc/passwd' }), 403, 'EIS_URL_FORBIDDEN'],
    ['an object of another bucket', () => ({ url: 'gs://other/x' }), 403, 'EIS_URL_FORBIDDEN'],
    ['an object of our bucket', () => ({ url: `eis://${'0'.repeat(64)}` }), 403, 'EIS_URL_FORBIDDEN'],
    ['no URL', () => ({ url: 'no url' }), 400, 'EIS_URL_INVALID'],
    ['JSON of another shape', () => ({ image: 'x' }), 400, 'EIS_BAD_REQUEST'],
  ];
  it.each(refused)('%s is refused by the function and the gateway in the same words', async (_what, body, status, code) => {
    const [ofFunction, ofGateway] = [await toFunction(body()), await toGateway(body())];
    expect([ofFunction.status, ofFunction.body.code]).toEqual([status, code]);
    expect([ofGateway.status, ofGateway.body.code]).toEqual([status, code]);
    for (const { body: error } of [ofFunction, ofGateway]) expect(error).toMatchObject({ statusCode: status, message: expect.stringMatching(/^["A-Z].*[.]/) as string });
    expect(`${ofFunction.body.message}${ofGateway.body.message}`).not.toMatch(/\/work\/|\/root\/|node_modules|\bat .+:\d+:\d+/);
  });

  const accepted: [what: string, body: () => Promise<Buffer>][] = [
    ['an animated GIF', async () => sharp(await Promise.all([1, 2, 3].map(() => noise.clone().png().toBuffer())), { join: { animated: true } }).gif().toBuffer()],
    ['a CMYK JPEG', () => noise.clone().toColourspace('cmyk').jpeg().toBuffer()],
    ['a 16-bit PNG', () => noise.clone().toColourspace('rgb16').png().toBuffer()],
    ['a photo turned by EXIF', () => noise.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer()],
    ['an image of one pixel', () => sharp({ create: { width: 1, height: 1, channels: 3, background: '#f00' } }).png().toBuffer()],
    ['a WebP with alpha', () => noise.clone().ensureAlpha(0.5).webp().toBuffer()],
  ];
  it.each(accepted)('%s is searched for', async (_what, image) => {
    const bytes = await image();
    expect((await toFunction(bytes)).status).toBe(200);
    expect((await toGateway(bytes)).status).toBe(200);
  });

  it.each([
    ['?top=0', 400, 'EIS_BAD_REQUEST'], ['?top=1e9', 400, 'EIS_BAD_REQUEST'], ['?top=-1', 400, 'EIS_BAD_REQUEST'], ['?top=x', 400, 'EIS_BAD_REQUEST'],
    ['?model=nobody', 404, 'EIS_MODEL_UNKNOWN'], ['?model=__proto__', 404, 'EIS_MODEL_UNKNOWN'], ['?model=constructor', 404, 'EIS_MODEL_UNKNOWN'],
  ])('/search%s is %i %s', async (query, status, code) => {
    const { status: answered, body } = await toGateway(jpeg, query);
    expect([answered, body.code]).toEqual([status, code]);
  });

  it('an id that is none, and one that is unknown, are told apart', async () => {
    for (const id of ['x', 'A'.repeat(64), '../../etc/passwd', '']) expect((await toGateway({ id })).body.code).toBe('EIS_IMAGE_ID_INVALID');
    expect((await toGateway({ id: 'a'.repeat(64) })).body.code).toBe('EIS_IMAGE_UNKNOWN');
  });

  it('a body that grows over the limit without having said so is cut off', async () => {
    const endless = (): ReadableStream => {
      let sent = 0;
      return new ReadableStream({
        pull(controller) {
          if ((sent += 1 << 20) > 64 << 20) controller.close();
          else controller.enqueue(new Uint8Array(1 << 20).fill(1));
        },
      });
    };
    for (const send of [toFunction, toGateway]) {
      const outcome = await send(endless()).then(({ body }) => body.code, () => 'cut off');
      expect(['EIS_IMAGE_TOO_LARGE', 'cut off']).toContain(outcome);
    }
  });

  it('an upload that the wrapper refuses before its end is answered in the wrapper’s words', async () => {
    for (let i = 0; i < 10; i++) {
      const { status, body } = await post(`${stack.url}/images`, { urls: ['x'.repeat(12_000_000)] });
      expect([status, body.code]).toEqual([413, 'EIS_BODY_TOO_LARGE']);
    }
  });

  it('a wrapper that hangs holds up no lookup for long', async () => {
    const pid = stack.pidOf('wrapper') as number;
    process.kill(pid, 'SIGSTOP');
    try {
      const response = await fetch(`${stack.url}/images`, { signal: AbortSignal.timeout(15_000) });
      expect([response.status, ((await response.json()) as Answer['body']).code]).toEqual([503, 'EIS_WRAPPER_UNAVAILABLE']);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    expect((await fetch(`${stack.url}/images`)).status).toBe(200);
  });

  it('has left every process alive, and its memory bounded', async () => {
    for (const name of ['function-builtin', 'gateway', 'wrapper']) {
      const status = readFileSync(`/proc/${stack.pidOf(name)}/status`, 'utf8');
      expect(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024, name).toBeLessThan(MEMORY_MB_MAX);
    }
    expect(stack.output()).not.toContain('starting it again');
    expect((await toGateway(jpeg)).status).toBe(200);
  });
});
