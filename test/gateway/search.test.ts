import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import type { SearchAnswer } from '../../common/wire.js';
import { image, imageId, QUERY, sendError, startFunction, startGateway, startPod, startSystem, startWrapper, VERSION } from './stubs.js';

type System = Awaited<ReturnType<typeof startSystem>>;

let system: System;
const LIMITS = { EIS_IMAGE_BYTES_MAX: '100000', EIS_TOP_MAX: '1000' };

beforeAll(async () => {
  system = await startSystem({ variables: LIMITS });
});
afterAll(() => system.close());
beforeEach(() => {
  for (const stub of [system.fn, ...system.pods]) {
    stub.seen.length = 0;
    stub.behave = undefined;
  }
});

interface Answered<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

async function post<T = SearchAnswer>(path: string, init: RequestInit & { duplex?: 'half' } = {}): Promise<Answered<T>> {
  const response = await fetch(`${system.gateway.url}${path}`, { method: 'POST', ...init });
  return { status: response.status, headers: response.headers, body: (await response.json()) as T };
}

const bytes = (body: NonNullable<RequestInit['body']>, type = 'image/jpeg'): RequestInit => ({ body, headers: { 'content-type': type } });
const json = (value: unknown): RequestInit => bytes(typeof value === 'string' ? value : JSON.stringify(value), 'application/json');

function form(...fields: [name: string, value: Blob | string][]): RequestInit {
  const body = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === 'string') body.append(name, value);
    else body.append(name, value, 'photo.jpg');
  }
  return { body };
}

const ids = ({ body }: Answered<SearchAnswer>): string[] => body.results.map(({ id }) => id);
const RANKED = [imageId(0, 0), imageId(1, 1), imageId(0, 2), imageId(1, 3), imageId(0, 4), imageId(1, 5)];

describe('POST /search', () => {
  it('merges the hits of all shards and says how it came by them', async () => {
    const answer = await post('/search?top=3', bytes(QUERY));
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-eis-model')).toBe('m');
    expect(answer.body).toMatchObject({
      model: 'm', model_version: VERSION, partial: false, shards: { total: 2, ok: 2, failed: [] }, index: { vectors: 6, freshness_s: 1.5 },
    });
    expect(ids(answer)).toEqual(RANKED.slice(0, 3));
    expect(answer.body.results[0]).toEqual({ id: RANKED[0], score: expect.closeTo(1, 3) as number, url: `/images/${RANKED[0]}`, urls: [`eis://${RANKED[0]}#photo-0.jpg`], width: 30, height: 40 });
    const { embed, fan_out, merge, total } = answer.body.timings_ms;
    expect(embed + fan_out + merge).toBeCloseTo(total, 1);
  });

  it.each([
    ['image/* bytes', bytes(QUERY)],
    ['bytes of no stated kind', bytes(QUERY, 'application/octet-stream')],
    ['the multipart field image', form(['note', 'x'], ['other', new Blob(['zzzz'])], ['image', new Blob([QUERY])])],
  ])('takes %s and hands them on unchanged', async (_name, init) => {
    expect(ids(await post('/search', init))).toEqual(RANKED);
    expect(system.fn.seen.map(({ body }) => body)).toEqual([QUERY]);
  });

  it('hands a URL to the function, which fetches it', async () => {
    const answer = await post('/search', json({ url: 'https://example.com/cat.jpg' }));
    expect(answer.status).toBe(200);
    expect(system.fn.seen.map(({ body }) => JSON.parse(body.toString()) as unknown)).toEqual([{ url: 'https://example.com/cat.jpg' }]);
  });

  it('takes an image of exactly the limit, in either form', async () => {
    const largest = Buffer.concat([QUERY, Buffer.alloc(100_000 - QUERY.length)]);
    for (const init of [bytes(largest), form(['image', new Blob([largest])])]) {
      expect((await post('/search', init)).status).toBe(200);
    }
    expect(system.fn.seen.map(({ body }) => body.length)).toEqual([100_000, 100_000]);
  });

  it('asks every shard for as many as are wanted, ten by default', async () => {
    await post('/search?top=1000', bytes(QUERY));
    await post('/search?model=&top=10', bytes(QUERY));
    await post('/search', bytes(QUERY));
    for (const { seen } of system.pods) expect(seen.map(({ url }) => url)).toEqual(['/search?top=1000&collapse=true', '/search?top=10&collapse=true', '/search?top=10&collapse=true']);
  });

  it('passes the request id on to the function and to every shard, and returns it', async () => {
    const answer = await post('/search', { body: QUERY, headers: { 'content-type': 'image/png', 'x-request-id': 'trace-7' } });
    expect(answer.headers.get('x-request-id')).toBe('trace-7');
    expect([system.fn, ...system.pods].map(({ seen }) => seen[0]?.headers['x-request-id'])).toEqual(['trace-7', 'trace-7', 'trace-7']);
  });

  it('presents no score beyond 1, which rounding gives, but ranks by what the shards said', async () => {
    const hit = { id: imageId(0, 9), score: 1.0000001, url: 'https://a/', urls: ['https://a/'], width: 1, height: 1, phash: '' };
    const above = { ...hit, id: imageId(0, 10), score: 1.0000002 };
    system.pods[0].behave = (_request, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ model_version: VERSION, hits: [hit, above], vectors: 2, freshness_s: 0 }));
    const answer = await post('/search?top=2', bytes(QUERY));
    expect(answer.body.results.map(({ id, score }) => [id, score])).toEqual([[above.id, 1], [hit.id, 1]]);
  });
});

describe('POST /search, more like this one', () => {
  it('asks the shard that owns the id for its vector, and leaves the image itself out', async () => {
    const answer = await post('/search?top=2', json({ id: imageId(1, 3) }));
    expect(answer.status).toBe(200);
    expect(ids(answer)).toEqual([imageId(0, 4), imageId(1, 5)]);
    expect(system.pods.map(({ seen }) => seen.map(({ method, url }) => `${method} ${url}`))).toEqual([[`POST /search?top=2&collapse=true&without=${imageId(1, 3)}`], [`GET /vectors/${imageId(1, 3)}`, `POST /search?top=2&collapse=true&without=${imageId(1, 3)}`]]);
    expect(system.pods.map(({ seen }) => seen.at(-1)?.headers['x-eis-model-version'])).toEqual([VERSION, VERSION]);
    expect(system.fn.seen).toEqual([]);
  });

  it('says which image was searched for: by its id with its sources, by its bytes with its sha256', async () => {
    const id = imageId(1, 3);
    expect((await post('/search', json({ id }))).body.query).toEqual({ id, url: `/images/${id}`, urls: [`eis://${id}#photo-3.jpg`], width: 30, height: 40 });
    expect((await post('/search', bytes(QUERY))).body.query).toEqual({ id: 'a'.repeat(64), width: 10, height: 20 });
  });

  it('never asks a shard for more than it may be asked for', async () => {
    await post('/search?top=1000', json({ id: imageId(0, 2) }));
    expect(system.pods.map(({ seen }) => seen.at(-1)?.url)).toEqual([0, 1].map(() => `/search?top=1000&collapse=true&without=${imageId(0, 2)}`));
  });

  it('chooses a model by weight when none is named', async () => {
    const answer = await post('/search', json({ id: imageId(0, 2) }));
    expect([answer.status, answer.headers.get('x-eis-model')]).toEqual([200, 'm']);
  });
});

describe('POST /search with bad input', () => {
  const tooLarge = Buffer.alloc(100_001);
  it.each([
    ['no body at all', '', {}, 400, 'EIS_IMAGE_MISSING'],
    ['an empty image', '', bytes(''), 400, 'EIS_IMAGE_MISSING'],
    ['an empty form', '', bytes('', 'application/x-www-form-urlencoded'), 400, 'EIS_IMAGE_MISSING'],
    ['an empty file', '', form(['image', new Blob([])]), 400, 'EIS_IMAGE_MISSING'],
    ['an image one byte too large', '', bytes(tooLarge), 413, 'EIS_IMAGE_TOO_LARGE'],
    ['a file one byte too large', '', form(['image', new Blob([tooLarge])]), 413, 'EIS_IMAGE_TOO_LARGE'],
    ['what curl sends without a Content-Type', '', bytes(QUERY, 'application/x-www-form-urlencoded'), 415, 'EIS_MEDIA_TYPE'],
    ['text', '', bytes('hello', 'text/plain'), 415, 'EIS_MEDIA_TYPE'],
    ['a form without the field image', '', form(['picture', new Blob([QUERY])]), 400, 'EIS_BAD_REQUEST'],
    ['a form with text in the field image', '', form(['image', 'photo.jpg']), 400, 'EIS_BAD_REQUEST'],
    ['a form that is cut off', '', bytes('--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc', 'multipart/form-data; boundary=x'), 400, 'EIS_BAD_REQUEST'],
    ['a form without a boundary', '', bytes('abc', 'multipart/form-data'), 400, 'EIS_BAD_REQUEST'],
    ['a form with a hostile field name', '', form(['__proto__', 'x'], ['image', new Blob([QUERY])]), 400, 'EIS_BAD_REQUEST'],
    ['a form of many files', '', form(...Array.from({ length: 30 }, (): [string, Blob] => ['other', new Blob(['x'])])), 400, 'EIS_BAD_REQUEST'],
    ['JSON that is none', '', json('{'), 400, 'EIS_BAD_REQUEST'],
    ['JSON that is empty', '', json(''), 400, 'EIS_BAD_REQUEST'],
    ['a JSON list', '', json([]), 400, 'EIS_BAD_REQUEST'],
    ['JSON null', '', json('null'), 400, 'EIS_BAD_REQUEST'],
    ['neither url nor id', '', json({}), 400, 'EIS_BAD_REQUEST'],
    ['both url and id', '', json({ url: 'https://a/', id: imageId(0, 0) }), 400, 'EIS_BAD_REQUEST'],
    ['a property that is not known', '', json({ url: 'https://a/', top: 3 }), 400, 'EIS_BAD_REQUEST'],
    ['a url that is no text', '', json({ url: 7 }), 400, 'EIS_BAD_REQUEST'],
    ['a url beyond its length', '', json({ url: `https://a/${'b'.repeat(2_048)}` }), 400, 'EIS_URL_INVALID'],
    ['an id that is none', '', json({ id: 'ABC' }), 400, 'EIS_IMAGE_ID_INVALID'],
    ['an id in upper case', '', json({ id: 'A'.repeat(64) }), 400, 'EIS_IMAGE_ID_INVALID'],
    ['an id that is no text', '', json({ id: { $ne: '' } }), 400, 'EIS_IMAGE_ID_INVALID'],
    ['an id that is not known', '', json({ id: imageId(0, 99) }), 404, 'EIS_IMAGE_UNKNOWN'],
    ['a prototype in JSON', '', json('{"__proto__":{"id":"x"}}'), 400, 'EIS_BAD_REQUEST'],
    ['top=0', '?top=0', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['top=1001', '?top=1001', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['top=1e9', '?top=1e9', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['top=-1', '?top=-1', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['top=1.5', '?top=1.5', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['top=NaN', '?top=NaN', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['top twice', '?top=1&top=2', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
    ['an unknown model', '?model=other', bytes(QUERY), 404, 'EIS_MODEL_UNKNOWN'],
    ['the model __proto__', '?model=__proto__', bytes(QUERY), 404, 'EIS_MODEL_UNKNOWN'],
    ['the model constructor', '?model=constructor', bytes(QUERY), 404, 'EIS_MODEL_UNKNOWN'],
    ['two models', '?model=m&model=n', bytes(QUERY), 400, 'EIS_BAD_REQUEST'],
  ])('answers %s', async (_name, query, init, status, code) => {
    const { status: answered, body } = await post<ErrorBody>(`/search${query}`, init);
    expect([answered, body.code]).toEqual([status, code]);
    expect(body).toMatchObject({ statusCode: status, error: expect.any(String) as string, message: expect.stringMatching(/\w/) as string });
    expect(system.fn.seen).toEqual([]);
  });

  it('stops reading an image without a stated length at the limit', async () => {
    const chunk = Buffer.alloc(40_000);
    const stream = new ReadableStream({ start: (controller) => { for (let i = 0; i < 5; i++) controller.enqueue(chunk); controller.close(); } });
    const { status, body } = await post<ErrorBody>('/search', { ...bytes(stream), duplex: 'half' });
    expect([status, body.code]).toEqual([413, 'EIS_IMAGE_TOO_LARGE']);
  });

  it('says what would be right', async () => {
    expect((await post<ErrorBody>('/search?model=constructor', bytes(QUERY))).body.message).toContain('Choose one of: m.');
    expect((await post<ErrorBody>('/search', bytes('a=b', 'application/x-www-form-urlencoded'))).body.message).toMatch(/image\/\*.*multipart\/form-data.*application\/json/);
    expect((await post<ErrorBody>('/search', json({ url: 'https://a/', top: 3 }))).body.message).toContain('/search?top=');
  });

  it.each([
    [400, 'EIS_IMAGE_INVALID'], [403, 'EIS_URL_FORBIDDEN'], [415, 'EIS_IMAGE_FORMAT'], [422, 'EIS_URL_REJECTED'], [422, 'EIS_IMAGE_UNDECODABLE'], [502, 'EIS_URL_FAILED'], [504, 'EIS_URL_TIMEOUT'],
  ])('relays what the function says of the image: %i %s', async (status, code) => {
    system.fn.behave = (_request, response) => sendError(response, status, code);
    const { status: answered, body } = await post<ErrorBody>('/search', json({ url: 'http://127.0.0.1/' }));
    expect([answered, body.code, body.message]).toEqual([status, code, `It is ${code}.`]);
  });
});

describe('POST /search with several models', () => {
  it('chooses by weight, takes the one that is named, and says which', async () => {
    const [wrapper, first, second, ...pods] = await Promise.all([startWrapper(), startFunction('va'), startFunction('vb'), startPod({ shard: '0/1', images: [image(0, 1)], version: 'va' }), startPod({ shard: '0/1', images: [image(0, 2)], version: 'vb' })]);
    const draws = [0, 0.24, 0.25, 0.99];
    const gateway = await startGateway({
      models: [{ name: 'a', function: first, pods: [[pods[0]]], weight: 1 }, { name: 'b', function: second, pods: [[pods[1]]], weight: 3 }],
      wrapper, random: () => draws.shift() ?? 0,
    });
    const search = async (query: string): Promise<string | null> => (await fetch(`${gateway.url}/search${query}`, { method: 'POST', ...bytes(QUERY) })).headers.get('x-eis-model');
    expect([await search(''), await search(''), await search(''), await search('')]).toEqual(['a', 'a', 'b', 'b']);
    expect([await search('?model=b'), await search('?model=a')]).toEqual(['b', 'a']);
    await gateway.close();
    await Promise.all([wrapper, first, second, ...pods].map((stub) => stub.close()));
  });
});
