import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmbedClient } from '../../common/embed-client.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { packagePath } from '../../common/package-root.js';
import { dot } from '../../common/vector.js';
import type { EmbedAnswer } from '../../common/wire.js';
import { spawnFunction, startFunction, type FunctionProcess } from './support/function-process.js';
import { freePort } from '../support/free-ports.js';
import { startFileServer } from '../support/file-server.js';
import { pngBomb, pngOf } from '../support/png.js';
import { seededRandom, temporaryFolder, tinyClassifier, writeModel } from './support/tiny-model.js';

const random = seededRandom(21);
const noise = sharp(Uint8Array.from({ length: 90 * 60 * 3 }, (_, i) => (Math.floor(i / 3) % 90) * 2 + Math.floor(random() * 60)), { raw: { width: 90, height: 60, channels: 3 } });

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: EmbedAnswer & { readonly code?: string; readonly statusCode?: number; readonly message?: string };
}

let jpeg: Buffer;
let plain: FunctionProcess;
/** With limits that are quickly met, and a server of images that it may fetch from. */
let narrow: FunctionProcess;
let images: Server;
let imagesUrl: string;

beforeAll(async () => {
  jpeg = await noise.clone().jpeg({ quality: 95 }).toBuffer();
  images = createServer((request, response) => {
    if (request.url === '/image.jpg') response.end(jpeg);
    else if (request.url === '/slow') return;
    else if (request.url === '/large') response.end(Buffer.alloc(50_001));
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(images, 'listening');
  imagesUrl = `http://127.0.0.1:${(images.address() as AddressInfo).port}`;
  [plain, narrow] = await Promise.all([startFunction(), startFunction({ EIS_FETCH_ALLOW: '127.0.0.0/8', EIS_FUNCTION_CONCURRENCY: '2', EIS_FUNCTION_TIMEOUT_MS: '700', EIS_FETCH_TIMEOUT_MS: '1000', EIS_IMAGE_BYTES_MAX: '50000', BUCKET: 'gs://ours' })]);
});
afterAll(async () => {
  images.closeAllConnections();
  images.close();
  await Promise.all([plain, narrow].map((started) => started?.stop()));
});

async function send(to: FunctionProcess, path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Answer> {
  const response = await fetch(`${to.url}${path}`, init);
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
}

const post = (body: string | Buffer, type = 'image/jpeg', to = plain): Promise<Answer> => send(to, '/', { method: 'POST', body: body, headers: { 'content-type': type } });
const postUrl = (url: unknown, to = plain): Promise<Answer> => post(JSON.stringify({ url }), 'application/json', to);

function expectError(answer: Answer, statusCode: number, code: string): void {
  expect({ status: answer.status, code: answer.body.code }).toEqual({ status: statusCode, code });
  expect(answer.body).toMatchObject({ statusCode, error: expect.any(String) as string, message: expect.any(String) as string });
  expect(answer.body.message).not.toMatch(/node_modules|at .*\(|Error:/);
  expect(answer.headers.get('x-request-id')).toBeTruthy();
}

describe('POST / with the bytes of an image', () => {
  it('answers its embedding, and what is known of it', async () => {
    const { status, body, headers } = await post(jpeg);
    expect(status).toBe(200);
    expect(body).toMatchObject({ model: 'builtin', dim: 256, width: 90, height: 60, format: 'jpeg' });
    expect(body.model_version).toMatch(/^[0-9a-f]{64}$/);
    expect(body.phash).toMatch(/^[0-9a-f]{16}$/);
    expect(body.sha256).toBe((await import('node:crypto')).createHash('sha256').update(jpeg).digest('hex'));
    expect(dot(Float32Array.from(body.embedding), Float32Array.from(body.embedding))).toBeCloseTo(1, 5);
    expect(body.timings_ms).toEqual({ fetch: 0, decode: expect.any(Number) as number, infer: expect.any(Number) as number });
    expect(headers.get('content-type')).toContain('application/json');
  });

  it('answers the same in binary to the client that the other roles use', async () => {
    const client = createEmbedClient({ model: 'builtin', url: plain.url, timeoutMs: 5_000, connections: 2 });
    const [embedding, { body }] = await Promise.all([client.embed({ bytes: jpeg }, { requestId: 'mine-1' }), post(jpeg)]);
    expect([...embedding.vector]).toEqual(body.embedding);
    expect(embedding).toMatchObject({ model: body.model, modelVersion: body.model_version, sha256: body.sha256, phash: body.phash, width: 90, height: 60, format: 'jpeg' });
    await expect(client.embed({ bytes: Buffer.from('no image') })).rejects.toMatchObject({ code: 'EIS_IMAGE_INVALID' });
    await client.close();
  });

  it('answers every one of many clients the embedding of its own image', async () => {
    const own = await Promise.all(Array.from({ length: 16 }, (_, i) => noise.clone().modulate({ hue: i * 20, lightness: i }).jpeg({ quality: 95 }).toBuffer()));
    const alone: EmbedAnswer[] = [];
    for (const bytes of own) alone.push((await post(bytes)).body);
    for (let round = 0; round < 3; round++) {
      const together = await Promise.all(own.map((bytes) => post(bytes)));
      together.forEach(({ body: { sha256, embedding } }, i) => {
        expect(sha256).toBe(alone[i]!.sha256);
        expect(dot(Float32Array.from(embedding), Float32Array.from(alone[i]!.embedding))).toBeGreaterThan(0.99999);
      });
    }
    const similar = dot(Float32Array.from(alone[0]!.embedding), Float32Array.from(alone[8]!.embedding));
    expect(similar).toBeLessThan(0.999); // else one image could be answered for another unseen
  });

  it('takes odd but right images: animated, CMYK, 16 bits, turned, tiny, and one that unpacks to 49 million pixels', async () => {
    const frames = await sharp(Buffer.concat([Buffer.alloc(768, 250), Buffer.alloc(768, 9)]), { raw: { width: 16, height: 32, channels: 3, pageHeight: 16 } }).gif().toBuffer();
    const odd: [Buffer, object][] = [
      [frames, { width: 16, height: 16, format: 'gif' }],
      [await noise.clone().toColourspace('cmyk').jpeg().toBuffer(), { width: 90, height: 60, format: 'jpeg' }],
      [await noise.clone().toColourspace('rgb16').png().toBuffer(), { width: 90, height: 60, format: 'png' }],
      [await noise.clone().rotate(270).withMetadata({ orientation: 6 }).jpeg().toBuffer(), { width: 90, height: 60 }],
      [await noise.clone().resize(1, 1).png().toBuffer(), { width: 1, height: 1 }],
      [pngBomb(7_000, 7_000), { width: 7_000, height: 7_000 }],
    ];
    for (const [bytes, expected] of odd) {
      const { status, body } = await post(bytes, 'application/octet-stream');
      expect(status, JSON.stringify(body)).toBe(200);
      expect(body).toMatchObject(expected);
    }
  });

  it('refuses what is no image, with the reason', async () => {
    expectError(await post(Buffer.from('a text')), 400, 'EIS_IMAGE_INVALID');
    expectError(await post(jpeg.subarray(0, jpeg.length / 2)), 422, 'EIS_IMAGE_UNDECODABLE');
    expectError(await post(pngOf(30_000, 30_000), 'image/png'), 422, 'EIS_IMAGE_PIXELS');
    expectError(await post(pngBomb(8_000, 7_000), 'image/png'), 422, 'EIS_IMAGE_PIXELS');
    expectError(await post('<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'), 415, 'EIS_IMAGE_FORMAT');
    expectError(await post(await noise.clone().tiff().toBuffer(), 'image/tiff'), 415, 'EIS_IMAGE_FORMAT');
    expectError(await post('a text', 'text/plain'), 415, 'EIS_MEDIA_TYPE');
    expectError(await send(plain, '/', { method: 'POST', body: jpeg, headers: { 'content-type': 'image/jpeg', 'content-encoding': 'gzip' } }), 415, 'EIS_MEDIA_TYPE');
  });

  it('refuses a request without a body', async () => {
    expectError(await send(plain, '/', { method: 'POST' }), 400, 'EIS_IMAGE_MISSING');
    expectError(await send(plain, '/', { method: 'POST', body: '', headers: { 'content-type': 'image/jpeg' } }), 400, 'EIS_IMAGE_MISSING');
    const empty = new ReadableStream({ start: (controller) => controller.close() });
    expectError(await send(plain, '/', { method: 'POST', body: empty, duplex: 'half', headers: { 'content-type': 'image/jpeg' } }), 400, 'EIS_IMAGE_MISSING');
  });

  it('refuses one byte more than 20 MB, announced or chunked', async () => {
    const large = Buffer.alloc(DEFAULT_LIMITS.imageBytesMax + 1);
    jpeg.copy(large);
    expectError(await post(large), 413, 'EIS_IMAGE_TOO_LARGE');
    let sent = 0;
    const chunked = new ReadableStream({
      pull: (controller) => {
        if (sent > large.length) return controller.close();
        controller.enqueue(new Uint8Array(large.subarray(sent, sent + 1_000_000)));
        sent += 1_000_000;
      },
    });
    expectError(await send(plain, '/', { method: 'POST', body: chunked, duplex: 'half', headers: { 'content-type': 'image/jpeg' } }), 413, 'EIS_IMAGE_TOO_LARGE');
    expect((await post(large.subarray(0, -1))).status).toBe(200);
  });

  it('refuses an announced length before the body is sent, to a client that asks first', async () => {
    const request = httpRequest(`${plain.url}/`, { method: 'POST', headers: { 'content-type': 'image/jpeg', 'content-length': DEFAULT_LIMITS.imageBytesMax + 1, expect: '100-continue' } });
    let invited = false;
    request.on('continue', () => (invited = true));
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    expect([response.statusCode, invited]).toEqual([413, false]);
    request.on('error', () => undefined).destroy();
  });
});

describe('POST / with a URL', () => {
  it('fetches the image, from hosts that it may', async () => {
    const { status, body } = await postUrl(`${imagesUrl}/image.jpg`, narrow);
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body.embedding).toEqual((await post(jpeg)).body.embedding);
    expect(body.timings_ms.fetch).toBeGreaterThan(0);
  });

  it('refuses what may not be fetched', async () => {
    for (const url of ['http://127.0.0.1/', `${imagesUrl}/image.jpg`, 'http://[::ffff:127.0.0.1]/', 'http://2130706433/', 'http://localhost/', 'http://169.254.169.254/computeMetadata/v1/', 'file:///etc/passwd', 'gs://other/x', `eis://${'a'.repeat(64)}`]) {
      expectError(await postUrl(url), 403, 'EIS_URL_FORBIDDEN');
    }
    expectError(await postUrl('gs://other/x', narrow), 403, 'EIS_URL_FORBIDDEN');
    expectError(await postUrl('gs://ours', narrow), 400, 'EIS_URL_INVALID');
  });

  it('says what became of a fetch that failed', async () => {
    expectError(await postUrl(`${imagesUrl}/missing`, narrow), 422, 'EIS_URL_REJECTED');
    expectError(await postUrl(`${imagesUrl}/slow`, narrow), 504, 'EIS_URL_TIMEOUT');
    expectError(await postUrl(`${imagesUrl}/large`, narrow), 413, 'EIS_IMAGE_TOO_LARGE');
    expectError(await postUrl(`http://127.0.0.1:${await freePort()}/`, narrow), 502, 'EIS_URL_FAILED');
  });

  it('refuses what is no JSON with a url', async () => {
    expectError(await post('{"url": ', 'application/json'), 400, 'EIS_BAD_REQUEST');
    for (const body of ['null', '[]', '{}', '{"url": 1}', '{"__proto__": {"url": "http://127.0.0.1/"}}']) expectError(await post(body, 'application/json; charset=utf-8'), 400, 'EIS_BAD_REQUEST');
    expectError(await postUrl('not a url'), 400, 'EIS_URL_INVALID');
    expectError(await postUrl(`http://host/${'a'.repeat(70_000)}`), 413, 'EIS_BODY_TOO_LARGE');
  });
});

describe('the other routes', () => {
  it('tell life, readiness and the engine', async () => {
    expect((await send(plain, '/health')).status).toBe(200);
    const { status, body } = await send(plain, '/ready');
    expect(status).toBe(200);
    expect(body).toMatchObject({ model: 'builtin', model_version: (await post(jpeg)).body.model_version, engine: expect.stringMatching(/^(tfjs-wasm|tfjs-node|onnxruntime)$/) as string, dim: 256, threads: expect.any(Number) as number, workers: expect.any(Number) as number, batch: expect.any(Number) as number, passed_over: expect.any(Array) as string[] });
  });

  it('answer paths, methods and URLs that are wrong in our words', async () => {
    for (const path of ['/nothing', '/favicon.ico', '/%', '/%00', '//', '/../x']) expectError(await send(plain, path), 404, 'EIS_ROUTE_UNKNOWN');
    const wrong = await send(plain, '/', { method: 'PUT', body: 'x' });
    expectError(wrong, 405, 'EIS_METHOD_NOT_ALLOWED');
    expect(wrong.headers.get('allow')).toBe('POST');
    expectError(await send(plain, '/'), 405, 'EIS_METHOD_NOT_ALLOWED');
    expectError(await send(plain, '/ready', { method: 'POST', body: '{bad', headers: { 'content-type': 'application/json' } }), 405, 'EIS_METHOD_NOT_ALLOWED');
  });

  it('answer what is not HTTP with an error of ours', async () => {
    const socket = connect(plain.port, '127.0.0.1');
    socket.write('GET / HTTP/9\r\nwhat\r\n\r\n');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*"code":"EIS_BAD_REQUEST"/);
    socket.destroy();
  });

  it('return the request id that was sent, and make one where it is unfit', async () => {
    expect((await send(plain, '/health', { headers: { 'x-request-id': 'trace-7' } })).headers.get('x-request-id')).toBe('trace-7');
    expect((await send(plain, '/health', { headers: { 'x-request-id': 'a b"c' } })).headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('count images by outcome', async () => {
    const read = async (outcome: string): Promise<number> => Number(new RegExp(`eis_function_images_total\\{outcome="${outcome}"[^}]*\\} (\\d+)`).exec(await (await fetch(`${plain.url}/metrics`)).text())?.[1] ?? 0);
    const before = [await read('ok'), await read('EIS_IMAGE_INVALID')] as const;
    await Promise.all([post(jpeg), post(jpeg), post(Buffer.from('a text'))]);
    expect([await read('ok'), await read('EIS_IMAGE_INVALID')]).toEqual([before[0] + 2, before[1] + 1]);
  });
});

describe('the process of the function', () => {
  it('finishes what is under way when it is told to end', async () => {
    const started = await startFunction();
    const request = httpRequest(`${started.url}/`, { method: 'POST', headers: { 'content-type': 'image/jpeg', 'content-length': jpeg.length, expect: '100-continue' } });
    request.flushHeaders();
    await once(request, 'continue');
    const exited = once(started.child, 'exit');
    started.child.kill('SIGTERM');
    while (!started.output().includes('"closing"')) await new Promise((resolve) => setTimeout(resolve, 10));
    request.end(jpeg);
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    expect(response.statusCode).toBe(200);
    response.resume();
    expect(await exited).toEqual([0, null]);
  });

  it('ends with the process that started it', async () => {
    const started = await startFunction();
    started.child.disconnect();
    const [code] = (await once(started.child, 'exit')) as [number];
    expect(code).toBe(0);
  });

  it('downloads the model that it serves, and logs how far it is', async () => {
    const folder = await temporaryFolder();
    const files = await Promise.all(['model.json', 'weights.bin'].map(async (name) => [`/m/${name}`, await readFile(packagePath('models/builtin', name))] as const));
    const server = await startFileServer(Object.fromEntries(files));
    await writeFile(join(folder.path, 'config.json'), JSON.stringify({ models: [{ name: 'remote', model_url: `${server.url}/m` }] }));
    const started = await startFunction({ MODEL: 'remote', EIS_CONFIG: join(folder.path, 'config.json'), EIS_DATA_DIR: join(folder.path, 'data') });
    const lines = started.output().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { msg: string; receivedBytes?: number; totalBytes?: number });
    const bytes = files.reduce((sum, [, { length }]) => sum + length, 0);
    expect(lines.filter(({ msg }) => msg === 'fetching the model').at(-1)).toMatchObject({ receivedBytes: bytes, totalBytes: bytes });
    expect(server.asked).toEqual(['/m/model.json', '/m/weights.bin']);
    await started.stop();
    server.close();
    await folder.remove();
  });

  it('says in words, without a stack, why it cannot start', async () => {
    const folder = await temporaryFolder();
    const config = join(folder.path, 'config.json');
    await writeFile(config, JSON.stringify({ models: [{ name: 'builtin' }, { name: 'resnet' }, { name: 'mobilenet' }, { name: 'own' }] }));
    await writeModel(join(folder.path, 'mobilenet'), tinyClassifier(224));
    for (const [environment, said] of [
      [{ MODEL: 'biultin' }, /^EIS_MODEL_UNKNOWN: .*builtin/],
      [{ MODEL: '', EIS_CONFIG: config }, /^EIS_ENVIRONMENT_INVALID: .*MODEL.*builtin, resnet, mobilenet, own/],
      [{ MODEL: 'own', EIS_CONFIG: config }, /EIS_MODEL_FILE: The model own cannot be used: [^]*"model_url"/],
      [{ MODEL: 'resnet', EIS_CONFIG: config, EIS_MODEL_MIRROR: folder.path }, /EIS_MODEL_FILE: The model .*\/resnet cannot be used: EIS_MODEL_MIRROR is /],
      [{ MODEL: 'mobilenet', EIS_CONFIG: config, EIS_MODEL_MIRROR: folder.path }, /EIS_MODEL_FILE: .* it gives 4 numbers where mobilenet gives 1280/],
    ] as const) {
      const started = await spawnFunction(environment);
      const [code] = (await once(started.child, 'close')) as [number];
      expect(code).toBe(1);
      expect(started.output()).toMatch(said);
      expect(started.output()).not.toContain('    at ');
    }
    await folder.remove();
  });
});
