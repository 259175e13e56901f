import { connect } from 'node:net';
import { FormData } from 'undici';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { FolderBucket } from '../../common/bucket/folder-bucket.js';
import type { App } from '../../common/http.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import type { ImageMessage, IngestAnswer, LedgerAnswer } from '../../common/wire.js';
import type { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { PublishError } from '../../ingest/queue/queue.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { MemoryStore } from '../support/memory-store.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { tempFolder } from '../support/temp-folder.js';
import { LIMITS, embeddingOf, openQueue, sha256, url } from './support.js';

const MODELS = ['alpha', 'beta'];
const IMAGE_BYTES_MAX = 1000;
const limits = { ...LIMITS, imageBytesMax: IMAGE_BYTES_MAX, imagesPerRequestMax: 10, urlLengthMax: 200, metadataBytesMax: 100, metadataKeysMax: 5 };
const JPEG = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(50, 1)]);

let app: App;
let queue: EmbeddedQueue;
let store: MemoryStore;
let bucket: FolderBucket;
let address: string;

beforeEach(async () => {
  queue = openQueue(MODELS, 100);
  store = new MemoryStore();
  bucket = new FolderBucket({ folder: tempFolder(), imageBytesMax: IMAGE_BYTES_MAX });
  app = await createWrapperApp({ queue, store, bucket, ingestModels: MODELS, models: MODELS, limits, metrics: new Metrics('wrapper'), log: SILENT_LOG });
  onTestFinished(() => app.close());
  address = await app.listen({ port: 0, host: '127.0.0.1' });
});

const post = (body: string | Buffer | FormData, headers: Record<string, string> = {}, query = ''): Promise<Response> => fetch(`${address}/images${query}`, { method: 'POST', body: body as never, headers });
const postJson = (body: unknown, query = ''): Promise<Response> => post(JSON.stringify(body), { 'content-type': 'application/json' }, query);
const answerOf = async (response: Response): Promise<IngestAnswer> => {
  expect(response.status, await response.clone().text()).toBe(202);
  return (await response.json()) as IngestAnswer;
};
const errorOf = async (response: Response): Promise<{ status: number; code: string; message: string; confirmed?: string[]; submission?: string }> => {
  const body = (await response.json()) as { statusCode: number; code: string; message: string };
  expect(body.statusCode).toBe(response.status);
  return { status: response.status, ...body };
};
const form = (...files: [name: string | undefined, bytes: Buffer][]): FormData => {
  const data = new FormData();
  for (const [name, bytes] of files) data.append('images', new Blob([bytes]), name);
  return data;
};
const readyIn = async (model: string): Promise<number> => (await queue.depth(model)).ready;

describe('POST /images with URLs', () => {
  it('takes a list of URLs into the queue of every model and into the ledger', async () => {
    const answer = await answerOf(await postJson({ urls: [url(1), 'gs://bucket/a.jpg'] }));
    expect(answer).toMatchObject({ accepted: 2, sources: [url(1), 'gs://bucket/a.jpg'], submission: expect.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) as string });
    expect([await readyIn('alpha'), await readyIn('beta')]).toEqual([2, 2]);
    expect(await store.ledger.counts(answer.submission)).toMatchObject({ accepted: 4 });
  });

  it('takes NDJSON, a string or an object a line', async () => {
    const answer = await answerOf(await post(`${JSON.stringify(url(1))}\n\n{"url":"${url(2)}"}\r\n${JSON.stringify(url(3))}`, { 'content-type': 'application/x-ndjson' }));
    expect(answer.sources).toEqual([1, 2, 3].map(url));
  });

  it('makes ids that sort by time', async () => {
    const first = await answerOf(await postJson({ urls: [url(1)] }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await answerOf(await postJson({ urls: [url(1)] }));
    expect(second.submission > first.submission).toBe(true);
  });

  it('counts a source that is sent twice once', async () => {
    expect(await answerOf(await postJson({ urls: [url(1), url(1), url(2)] }))).toMatchObject({ accepted: 2, sources: [url(1), url(2)] });
    expect(await readyIn('alpha')).toBe(2);
  });

  it('changes nothing when the same is sent again under its submission', async () => {
    await answerOf(await postJson({ urls: [url(1), url(2)] }, '?submission=mine'));
    const again = await answerOf(await postJson({ urls: [url(1), url(2), url(3)] }, '?submission=mine'));
    expect(again).toEqual({ submission: 'mine', accepted: 3, sources: [1, 2, 3].map(url) });
    expect(await readyIn('alpha')).toBe(3);
  });

  it('does not undo an outcome that was there before the ledger was told', async () => {
    await store.ledger.settle([{ submission: 'mine', source: url(1), model: 'alpha', state: 'stored', id: sha256('x') }]);
    await answerOf(await postJson({ urls: [url(1)] }, '?submission=mine'));
    expect(await store.ledger.counts('mine')).toMatchObject({ stored: 1, accepted: 1 });
  });

  it('takes the submission from the header too', async () => {
    const response = await post(JSON.stringify({ urls: [url(1)] }), { 'content-type': 'application/json', 'x-eis-submission': 'by-header' });
    expect((await answerOf(response)).submission).toBe('by-header');
  });

  it.each([
    ['a body that is no JSON', '{', 'application/json', 400, 'EIS_BAD_REQUEST'],
    ['a body without urls', '{"images":[]}', 'application/json', 400, 'EIS_BAD_REQUEST'],
    ['null', 'null', 'application/json', 400, 'EIS_BAD_REQUEST'],
    ['an empty list', '{"urls":[]}', 'application/json', 400, 'EIS_BAD_REQUEST'],
    ['something else than strings', '{"urls":[5]}', 'application/json', 400, 'EIS_URL_INVALID'],
    ['what is no URL', '{"urls":["https://example.com/a.jpg","photo.jpg"]}', 'application/json', 400, 'EIS_URL_INVALID'],
    ['a file URL', '{"urls":["file:///etc/passwd"]}', 'application/json', 403, 'EIS_URL_FORBIDDEN'],
    ['an object of the bucket', `{"urls":["eis://${sha256('x')}"]}`, 'application/json', 403, 'EIS_URL_FORBIDDEN'],
    ['a URL that is too long', `{"urls":["https://example.com/${'a'.repeat(200)}"]}`, 'application/json', 400, 'EIS_URL_INVALID'],
    ['too many URLs', JSON.stringify({ urls: Array.from({ length: 11 }, (_, i) => url(i)) }), 'application/json', 400, 'EIS_BAD_REQUEST'],
    ['too many lines', Array.from({ length: 11 }, (_, i) => JSON.stringify(url(i))).join('\n'), 'application/x-ndjson', 400, 'EIS_BAD_REQUEST'],
    ['a line that is no JSON', `${JSON.stringify(url(1))}\nhello`, 'application/x-ndjson', 400, 'EIS_BAD_REQUEST'],
    ['a line without end', `"${'a'.repeat(3_000)}`, 'application/x-ndjson', 400, 'EIS_BAD_REQUEST'],
    ['a body that is too large', JSON.stringify({ urls: ['x'.repeat(10_000)] }), 'application/json', 413, 'EIS_BODY_TOO_LARGE'],
    ['a type that is not taken', 'hello', 'text/plain', 415, 'EIS_MEDIA_TYPE'],
  ])('refuses %s, and takes nothing', async (_, body, type, status, code) => {
    expect(await errorOf(await post(body, { 'content-type': type }))).toMatchObject({ status, code });
    expect(await readyIn('alpha')).toBe(0);
  });

  it('names the URL that is wrong', async () => {
    const { message } = await errorOf(await postJson({ urls: [url(1), 'ftp://example.com/a.jpg'] }));
    expect(message).toContain('number 2');
    expect(message).toContain('ftp://example.com/a.jpg');
  });

  it('refuses a submission that is no id', async () => {
    expect(await errorOf(await postJson({ urls: [url(1)] }, '?submission=a%20b'))).toMatchObject({ status: 400, code: 'EIS_BAD_REQUEST' });
    expect(await errorOf(await post(JSON.stringify({ urls: [url(1)] }), { 'content-type': 'application/json', 'x-eis-submission': 'a b' }))).toMatchObject({ status: 400 });
  });

  it('says 503 and names nothing when the queue is full', async () => {
    await queue.publish(Array.from({ length: 99 }, (_, i) => ({ submission: 'other', source: url(i), acceptedAt: 1 })));
    const response = await postJson({ urls: [url(1), url(2)] }, '?submission=mine');
    expect(response.headers.get('retry-after')).toBe('5');
    expect(await errorOf(response)).toMatchObject({ status: 503, code: 'EIS_QUEUE_FULL', submission: 'mine', confirmed: [] });
    expect(await store.ledger.counts('mine')).toMatchObject({ accepted: 0 });
  });

  it('names what was confirmed when the queue broke half-way, and notes only that', async () => {
    queue.publish = async (messages) => {
      throw new PublishError(new Error('connection lost'), messages.slice(0, 1));
    };
    expect(await errorOf(await postJson({ urls: [url(1), url(2)] }, '?submission=mine'))).toMatchObject({ status: 503, code: 'EIS_QUEUE_UNAVAILABLE', submission: 'mine', confirmed: [url(1)] });
    expect((await store.ledger.list({ submission: 'mine', limit: 10 })).entries.map(({ source, model }) => [source, model])).toEqual([[url(1), 'alpha'], [url(1), 'beta']]);
  });
});

describe('POST /images with bytes', () => {
  it('stores the parts, and names them by content and file name', async () => {
    const { sources, accepted } = await answerOf(await post(form(['holiday/a b#ü.jpg', JPEG], ['b.png', Buffer.from('b')])));
    expect(accepted).toBe(2);
    expect(sources).toEqual([`eis://${sha256(JPEG)}#holiday%2Fa%20b%23%C3%BC.jpg`, `eis://${sha256('b')}#b.png`]);
    expect(await bucket.get(sha256(JPEG))).toEqual(JPEG);
    expect(await readyIn('beta')).toBe(2);
    const samples = parsePrometheus(await (await fetch(`${address}/metrics`)).text());
    expect(sumOf(samples, 'eis_ingest_accepted_total')).toBe(2);
    expect(sumOf(samples, 'eis_ingest_bytes_total')).toBe(JPEG.length + 1);
  });

  it('takes the bytes of one image as they are', async () => {
    expect((await answerOf(await post(JPEG, { 'content-type': 'image/jpeg' }))).sources).toEqual([`eis://${sha256(JPEG)}`]);
    expect((await answerOf(await post(JPEG, { 'content-type': 'application/octet-stream' }))).accepted).toBe(1);
  });

  it('cleans and bounds file names', async () => {
    const { sources } = await answerOf(await post(form([`a\u0000\u202eb${'x'.repeat(1000)}.jpg`, JPEG])));
    const name = decodeURIComponent(sources[0]!.split('#')[1]!);
    expect(name).toHaveLength(512);
    expect(name.endsWith('.jpg')).toBe(true);
    expect((await answerOf(await post(form(['a\u202eb.jpg', JPEG])))).sources[0]).toMatch(/#ab\.jpg$/);
  });

  it('takes the same bytes under two names as two sources and one object', async () => {
    const { sources } = await answerOf(await post(form(['a.jpg', JPEG], ['b.jpg', JPEG])));
    expect(new Set(sources).size).toBe(2);
  });

  it.each([
    ['one that is too large', [['a.jpg', JPEG], ['b.jpg', Buffer.alloc(IMAGE_BYTES_MAX + 1, 7)], ['c.jpg', JPEG]], 413, 'EIS_IMAGE_TOO_LARGE'],
    ['one that is much too large', [['a.jpg', JPEG], ['b.jpg', Buffer.alloc(3_000_000, 7)], ['c.jpg', JPEG]], 413, 'EIS_IMAGE_TOO_LARGE'],
    ['one that is empty', [['a.jpg', JPEG], ['b.jpg', Buffer.alloc(0)]], 400, 'EIS_IMAGE_MISSING'],
    ['too many', Array.from({ length: 11 }, (_, i) => [`${i}.jpg`, JPEG]), 400, 'EIS_BAD_REQUEST'],
    ['none', [], 400, 'EIS_BAD_REQUEST'],
  ] as [string, [string, Buffer][], number, string][])('takes none of a request with %s', async (_, files, status, code) => {
    expect(await errorOf(await post(form(...files)))).toMatchObject({ status, code });
    expect(await readyIn('alpha')).toBe(0);
  });

  it('takes an image of exactly the largest size', async () => {
    expect((await answerOf(await post(form(['a.jpg', Buffer.alloc(IMAGE_BYTES_MAX, 1)])))).accepted).toBe(1);
  });

  it('refuses a body that is too large or empty where it is the image', async () => {
    expect(await errorOf(await post(Buffer.alloc(IMAGE_BYTES_MAX + 1), { 'content-type': 'image/png' }))).toMatchObject({ status: 413, code: 'EIS_IMAGE_TOO_LARGE' });
    expect(await errorOf(await post('', { 'content-type': 'image/png' }))).toMatchObject({ status: 400, code: 'EIS_IMAGE_MISSING' });
  });

  it('takes nothing of a request that is cut off', async () => {
    const head = `--x\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n`;
    await new Promise<void>((resolve, reject) => {
      const socket = connect(Number(new URL(address).port), '127.0.0.1', () => {
        socket.write(`POST /images?submission=cut HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n${head}half an image`);
        setTimeout(() => socket.destroy(), 50);
      });
      socket.once('close', () => resolve());
      socket.once('error', reject);
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await readyIn('alpha')).toBe(0);
    expect(await bucket.get(sha256('half an image'))).toBeUndefined();
  });
});

describe('POST /images with metadata', () => {
  const CAT = { tags: ['cat'], year: 2024 };
  /** By source, as the workers of a model get it. */
  const delivered = async (): Promise<Map<string, unknown>> => {
    const messages: ImageMessage[] = [];
    const { ready } = await queue.depth('alpha');
    const consumer = await queue.consume('alpha', { prefetch: 100, onDelivery: ({ message }) => messages.push(message) });
    await vi.waitFor(() => expect(messages).toHaveLength(ready));
    await consumer.close();
    return new Map(messages.map(({ source, metadata }) => [source, metadata?.values]));
  };
  const mixed = (...parts: [field: string, value: string | Buffer, name?: string][]): FormData => {
    const data = new FormData();
    for (const [field, value, name] of parts) {
      if (typeof value === 'string') data.append(field, value);
      else data.append(field, new Blob([value]), name);
    }
    return data;
  };

  it('hands on what stands beside a URL, in JSON and in NDJSON', async () => {
    await answerOf(await postJson({ urls: [url(1), { url: url(2), metadata: CAT }, { url: url(3) }, { url: url(4), metadata: {} }] }));
    await answerOf(await post(`"${url(5)}"\n${JSON.stringify({ url: url(6), metadata: CAT })}`, { 'content-type': 'application/x-ndjson' }));
    expect(await delivered()).toEqual(new Map<string, unknown>([[url(1), undefined], [url(2), CAT], [url(3), undefined], [url(4), {}], [url(5), undefined], [url(6), CAT]]));
  });

  it('hands on what stands before a file, for that file alone', async () => {
    await answerOf(await post(mixed(['other', 'x'], ['metadata', JSON.stringify(CAT)], ['image', JPEG, 'a.jpg'], ['image', JPEG, 'b.jpg'], ['metadata', '{}'], ['other', 'y'], ['image', JPEG, 'c.jpg'])));
    const id = sha256(JPEG);
    expect(await delivered()).toEqual(new Map<string, unknown>([[`eis://${id}#a.jpg`, CAT], [`eis://${id}#b.jpg`, undefined], [`eis://${id}#c.jpg`, {}]]));
  });

  it('says when it was given, and keeps what was given last for a source that stands there twice', async () => {
    const before = Date.now();
    await answerOf(await postJson({ urls: [{ url: url(1), metadata: { n: 1 } }, { url: url(1), metadata: { n: 2 } }, url(1)] }));
    expect(await delivered()).toEqual(new Map([[url(1), { n: 2 }]]));
    const messages: ImageMessage[] = [];
    const consumer = await queue.consume('beta', { prefetch: 1, onDelivery: ({ message }) => messages.push(message) });
    await vi.waitFor(() => expect(messages).toHaveLength(1));
    await consumer.close();
    expect(messages[0]!.metadata!.givenAt).toBeGreaterThanOrEqual(before);
  });

  it.each<[string, () => Promise<Response>, RegExp]>([
    ['a text for metadata in JSON', () => postJson({ urls: [url(1), { url: url(2), metadata: 'x' }] }), /of image number 2 is not an object/],
    ['more bytes than are kept', () => postJson({ urls: [{ url: url(2), metadata: { a: 'x'.repeat(100) } }] }), /at most 100/],
    ['more names than are kept', () => postJson({ urls: [{ url: url(2), metadata: { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 } }] }), /at most 5/],
    ['a field that is not JSON', () => post(mixed(['image', JPEG, 'a.jpg'], ['metadata', '{year: 1}'], ['image', JPEG, 'b.jpg'])), /of image number 2 is not JSON/],
    ['a field that is cut off', () => post(mixed(['metadata', JSON.stringify({ a: 'x'.repeat(1_000) })], ['image', JPEG, 'b.jpg'])), /more than 100 bytes/],
    ['two fields for one file', () => post(mixed(['metadata', '{}'], ['metadata', '{}'], ['image', JPEG, 'b.jpg'])), /stands in the form twice/],
    ['a field behind the last file', () => post(mixed(['image', JPEG, 'b.jpg'], ['metadata', '{}'])), /No image follows/],
    ['a file for a field', () => post(mixed(['metadata', Buffer.from('{}'), 'a.json'], ['image', JPEG, 'b.jpg'])), /is a file of the form/],
  ])('refuses %s, and takes nothing', async (_name, send, message) => {
    expect(await errorOf(await send())).toMatchObject({ status: 400, code: 'EIS_METADATA_INVALID', message: expect.stringMatching(message) as string });
    expect(await readyIn('alpha')).toBe(0);
  });
});

describe('GET /images', () => {
  it('pages through a submission, with its counts', async () => {
    await answerOf(await postJson({ urls: [1, 2, 3].map(url) }, '?submission=mine'));
    await store.ledger.settle([{ submission: 'mine', source: url(1), model: 'alpha', state: 'rejected', code: 'EIS_IMAGE_INVALID', message: 'No image.' }]);
    const seen: unknown[] = [];
    let after: string | null = '';
    while (after !== null) {
      const page = (await (await fetch(`${address}/images?submission=mine&limit=4${after && `&after=${after}`}`)).json()) as LedgerAnswer;
      expect(page.counts).toEqual({ accepted: 5, stored: 0, duplicate: 0, rejected: 1, dead: 0 });
      seen.push(...page.entries);
      after = page.next;
    }
    expect(seen).toHaveLength(6);
    const rejected = (await (await fetch(`${address}/images?submission=mine&state=rejected`)).json()) as LedgerAnswer;
    expect(rejected.entries).toEqual([{ submission: 'mine', source: url(1), model: 'alpha', state: 'rejected', code: 'EIS_IMAGE_INVALID', message: 'No image.', updated_at: expect.stringMatching(/^\d{4}-.*Z$/) as string }]);
  });

  it('gives no counts without a submission', async () => {
    expect(await (await fetch(`${address}/images`)).json()).toEqual({ entries: [], next: null });
  });

  it.each(['limit=0', 'limit=1001', 'state=unknown', 'submission=a%20b'])('refuses %s', async (query) => {
    expect(await errorOf(await fetch(`${address}/images?${query}`))).toMatchObject({ status: 400, code: 'EIS_BAD_REQUEST' });
  });
});

describe('GET /images/:id', () => {
  it('hands out a stored image so that nothing in it can run', async () => {
    await answerOf(await post(JPEG, { 'content-type': 'image/png' }));
    const response = await fetch(`${address}/images/${sha256(JPEG)}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/jpeg');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(response.headers.get('cache-control')).toContain('max-age=');
    expect(response.headers.get('content-disposition')).toBeNull();
    expect(Buffer.from(await response.arrayBuffer())).toEqual(JPEG);
  });

  it('makes a download of what is no image', async () => {
    await answerOf(await post('<svg onload="alert(1)">', { 'content-type': 'image/svg+xml' }));
    const response = await fetch(`${address}/images/${sha256('<svg onload="alert(1)">')}`);
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
    expect(response.headers.get('content-disposition')).toBe('attachment');
  });

  it('says 304 to who has it already', async () => {
    await answerOf(await post(JPEG, { 'content-type': 'image/jpeg' }));
    const first = await fetch(`${address}/images/${sha256(JPEG)}`);
    const second = await fetch(`${address}/images/${sha256(JPEG)}`, { headers: { 'if-none-match': first.headers.get('etag')! } });
    expect(second.status).toBe(304);
  });

  it('knows no id that is none, and none that is unknown', async () => {
    expect(await errorOf(await fetch(`${address}/images/..%2f..%2fetc`))).toMatchObject({ status: 400, code: 'EIS_IMAGE_ID_INVALID' });
    expect(await errorOf(await fetch(`${address}/images/${sha256('x').toUpperCase()}`))).toMatchObject({ status: 400 });
    expect(await errorOf(await fetch(`${address}/images/${sha256('x')}`))).toMatchObject({ status: 404, code: 'EIS_IMAGE_UNKNOWN' });
  });
});

describe('DELETE /images/:id', () => {
  it('removes an image from every model that has it, and keeps its bytes', async () => {
    const live = { version: 'v', dim: 2 };
    const { vector, phash, width, height, format } = embeddingOf('x');
    const id = sha256(JPEG);
    for (const model of ['beta']) {
      await store.setLiveVersion(model, live);
      await store.collection(model, live).write([{ id, vector, phash, width, height, format, url: url(1), origin: 'o' }]);
    }
    await answerOf(await post(JPEG, { 'content-type': 'image/jpeg' }));
    expect(await (await fetch(`${address}/images/${id}`, { method: 'DELETE' })).json()).toEqual({ id, models: ['beta'] });
    expect(await store.collection('beta', live).count()).toBe(0);
    expect(await bucket.get(id)).toEqual(JPEG);
    expect(await errorOf(await fetch(`${address}/images/${id}`, { method: 'DELETE' }))).toMatchObject({ status: 404, code: 'EIS_IMAGE_UNKNOWN' });
  });

  it('leaves word of it in every model, for what is on its way there, and none of an id that nobody knows', async () => {
    const live = { version: 'v', dim: 2 };
    const { vector, phash, width, height, format } = embeddingOf('x');
    const image = { id: sha256(JPEG), vector, phash, width, height, format, url: url(1), origin: 'o' };
    for (const model of MODELS) await store.setLiveVersion(model, live);
    await store.collection('beta', live).write([image]);
    for (const id of [image.id, sha256('nobody knows it')]) await fetch(`${address}/images/${id}`, { method: 'DELETE' });
    await store.collection('alpha', live).write([{ ...image, givenAt: Date.now() - 1_000 }]);
    expect(await store.collection('alpha', live).count()).toBe(0);
    expect(await store.collection('alpha', live).getMany([sha256('nobody knows it')])).toEqual([]);
  });

  it('removes its bytes where that is asked for, also those of an image that was removed before, and takes it in again', async () => {
    const id = sha256(JPEG);
    const remove = (query: string): Promise<Response> => fetch(`${address}/images/${id}${query}`, { method: 'DELETE' });
    await answerOf(await post(JPEG, { 'content-type': 'image/jpeg' }));
    expect(await errorOf(await remove('?object=false'))).toMatchObject({ status: 404, code: 'EIS_IMAGE_UNKNOWN' });
    expect(await bucket.get(id)).toEqual(JPEG);
    expect(await (await remove('?object=true')).json()).toEqual({ id, models: [], object: true });
    expect(await bucket.get(id)).toBeUndefined();
    expect(await errorOf(await remove('?object=true'))).toMatchObject({ status: 404, code: 'EIS_IMAGE_UNKNOWN' });
    expect((await answerOf(await post(JPEG, { 'content-type': 'image/jpeg' }))).sources).toEqual([bucket.uri(id)]);
    expect(await (await fetch(`${address}/images/${id}`)).arrayBuffer()).toEqual(new Uint8Array(JPEG).buffer);
    expect((await remove('?object=maybe')).status).toBe(400);
  });

  it('refuses what is no id', async () => {
    expect(await errorOf(await fetch(`${address}/images/x`, { method: 'DELETE' }))).toMatchObject({ status: 400, code: 'EIS_IMAGE_ID_INVALID' });
  });
});
