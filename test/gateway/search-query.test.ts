/** Searches for several images at once, for what is unlike one, and with filters. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../common/errors.js';
import { compareHits, normalise } from '../../common/vector.js';
import type { SearchAnswer } from '../../common/wire.js';
import { random } from '../indexer/vectors.js';
import { DIM, image, imageId, QUERY, startSystem, type StubImage } from './stubs.js';

/** Images in every direction, on two shards, every other with a year. */
const next = random(7);
const IMAGES = Array.from({ length: 24 }, (_, n): StubImage => ({
  ...image(n % 2 as 0 | 1, n, Array.from({ length: DIM }, () => next() - 0.5)),
  ...(n % 3 === 0 ? {} : { metadata: { year: 2000 + n, tags: n % 4 === 0 ? ['cat'] : ['dog', 'garden'] } }),
}));
const BY_ID = new Map(IMAGES.map((each) => [each.id, each]));

let system: Awaited<ReturnType<typeof startSystem>>;
beforeAll(async () => {
  const on = (shard: number): StubImage[] => IMAGES.filter((_, n) => n % 2 === shard);
  system = await startSystem({ images: [on(0), on(1)], variables: { EIS_QUERY_IMAGES_MAX: '4', EIS_FILTER_BYTES_MAX: '200', EIS_TOP_MAX: '30' } });
});
afterAll(() => system.close());
beforeEach(() => {
  for (const stub of [system.fn, ...system.pods]) stub.seen.length = 0;
});

async function post<T = SearchAnswer>(body: unknown, query = ''): Promise<{ readonly status: number; readonly body: T }> {
  const isForm = body instanceof FormData || Buffer.isBuffer(body);
  const init = isForm ? { body: body as FormData | Uint8Array<ArrayBuffer>, ...(Buffer.isBuffer(body) && { headers: { 'content-type': 'image/jpeg' } }) } : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await fetch(`${system.gateway.url}/search${query}`, { method: 'POST', ...init });
  return { status: response.status, body: (await response.json()) as T };
}

function form(...fields: readonly [name: string, value: Buffer | string][]): FormData {
  const data = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, new Blob([value]), 'photo.jpg');
  }
  return data;
}

/** In float64: the ranking by the weighted sum of vectors, without some images. */
function rank(parts: readonly (readonly [vector: ArrayLike<number>, weight: number])[], { without = [], candidates = IMAGES }: { without?: readonly string[]; candidates?: readonly StubImage[] } = {}): { id: string; score: number }[] {
  const sum = Array.from({ length: DIM }, (_, i) => parts.reduce((total, [vector, weight]) => total + weight * vector[i]!, 0));
  const norm = Math.sqrt(sum.reduce((total, x) => total + x * x, 0));
  const score = ({ vector }: StubImage): number => sum.reduce((total, x, i) => total + (x / norm) * vector[i]!, 0);
  return candidates.filter(({ id }) => !without.includes(id)).map((each) => ({ id: each.id, score: score(each) })).sort(compareHits);
}
const stored = (n: number): readonly [Float32Array, string] => [IMAGES[n]!.vector, IMAGES[n]!.id];
const expectRanked = (results: SearchAnswer['results'], expected: readonly { id: string; score: number }[]): void => {
  expect(results.map(({ id }) => id)).toEqual(expected.slice(0, results.length).map(({ id }) => id));
  results.forEach(({ score }, i) => expect(score).toBeCloseTo(expected[i]!.score, 6));
};

describe('POST /search for several images', () => {
  it('ranks by the sum of their embeddings, by their weights, as in float64, and leaves those named by id out', async () => {
    const next2 = random(3);
    for (let round = 0; round < 20; round++) {
      const chosen = Array.from({ length: 1 + (round % 4) }, (_, i) => ({ n: (round * 5 + i * 7) % 24, weight: Math.round((next2() * 4 - 1.5) * 100) / 100 || 1 }));
      const { body } = await post({ images: chosen.map(({ n, weight }) => ({ id: stored(n)[1], weight })) }, '?top=20');
      const without = chosen.map(({ n }) => stored(n)[1]);
      expect(body.results).toHaveLength(20);
      expectRanked(body.results, rank(chosen.map(({ n, weight }) => [stored(n)[0], weight]), { without }));
    }
  });

  it('is less like a negative example, the more so the more it weighs', async () => {
    const [[, wanted], [unwantedVector]] = [stored(1), stored(5)];
    const similarityTo = ({ results }: SearchAnswer): number => results.slice(0, 5).reduce((sum, { id }) => sum + rank([[unwantedVector, 1]]).find((each) => each.id === id)!.score, 0);
    const answers: SearchAnswer[] = [];
    for (const weight of [0, -0.5, -1, -3]) answers.push((await post({ images: [{ id: wanted }, { id: stored(5)[1], weight }] }, '?top=22')).body);
    const similarities = answers.map(similarityTo);
    expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
    expect(similarities[0]! - similarities[3]!).toBeGreaterThan(0.5);
    expect(answers[0]!.results.map(({ id }) => id)).not.toEqual(answers[2]!.results.map(({ id }) => id));
  });

  it('takes files with weights before them, and stored images beside them', async () => {
    const one = [255, 128, 128, 128].map((byte) => (byte - 127.5) / 127.5);
    const two = [0, 255, 200, 90].map((byte) => (byte - 127.5) / 127.5);
    const { status, body } = await post(form(['image', Buffer.from([255, 128, 128, 128])], ['weight', '-0.25'], ['other', 'x'], ['image', Buffer.from([0, 255, 200, 90])], ['images', JSON.stringify([{ id: stored(4)[1], weight: 0.5 }])]), '?top=20');
    expect(status).toBe(200);
    expectRanked(body.results, rank([[normalise(one), 1], [normalise(two), -0.25], [stored(4)[0], 0.5]], { without: [stored(4)[1]] }));
    expect(body.query).toEqual({ id: 'a'.repeat(64), width: 10, height: 20 });
    expect(body.examples?.map(({ id, weight }) => [id, weight])).toEqual([['a'.repeat(64), 1], ['a'.repeat(64), -0.25], [stored(4)[1], 0.5]]);
    expect(system.fn.seen).toHaveLength(2);
  });

  it('takes a URL beside an id', async () => {
    const { body } = await post({ images: [{ url: 'https://example.com/a.jpg' }, { id: stored(2)[1], weight: -1 }] });
    expectRanked(body.results, rank([[normalise([1, 1, 1, 1]), 1], [stored(2)[0], -1]], { without: [stored(2)[1]] }));
    expect(system.fn.seen[0]!.body.toString()).toContain('https://example.com/a.jpg');
  });

  it('answers one image in a list as that image alone, to the last bit', async () => {
    const [alone, listed, heavy] = [await post({ id: stored(3)[1] }), await post({ images: [{ id: stored(3)[1] }] }), await post({ images: [{ id: stored(3)[1], weight: 7 }] })];
    expect(listed.body.results).toEqual(alone.body.results);
    expect(heavy.body.results).toEqual(alone.body.results);
    expect(listed.body).not.toHaveProperty('examples');
  });

  it('finds what is unlike one image alone', async () => {
    const { body } = await post({ images: [{ id: stored(3)[1], weight: -1 }] }, '?top=23');
    expectRanked(body.results, rank([[stored(3)[0], -1]], { without: [stored(3)[1]] }));
  });

  it('asks every shard to pass over the named images, whether it collapses or not', async () => {
    const ids = [0, 1, 2].map((n) => ({ id: stored(n)[1] }));
    await post({ images: ids }, '?top=10');
    await post({ images: ids }, '?top=30&collapse=false');
    const asked = system.pods[0].seen.filter(({ method }) => method === 'POST').map(({ url }) => url);
    const passedOver = `without=${ids.map(({ id }) => id).join(',')}`;
    expect(asked).toEqual([`/search?top=10&collapse=true&${passedOver}`, `/search?top=30&${passedOver}`]);
  });

  it.each<[string, unknown]>([
    ['an image less itself', { images: [{ id: imageId(0, 0) }, { id: imageId(0, 0), weight: -1 }] }],
    ['no weight at all', { images: [{ id: imageId(0, 0), weight: 0 }] }],
    ['next to nothing', { images: [{ id: imageId(0, 0), weight: 1 }, { id: imageId(0, 0), weight: -1.0000001 }] }],
  ])('refuses %s, of which nothing is left', async (_name, body) => {
    expect(await post<ErrorBody>(body)).toMatchObject({ status: 400, body: { code: 'EIS_QUERY_CANCELLED', message: expect.stringContaining('cancel each other out') as string } });
  });

  it.each<[string, unknown, RegExp]>([
    ['an empty list', { images: [] }, /not a list of images/],
    ['no list', { images: { id: imageId(0, 0) } }, /not a list of images/],
    ['a text in it', { images: ['x'] }, /Number 1 of "images" is not an object/],
    ['an image without either', { images: [{ id: imageId(0, 0) }, { weight: 1 }] }, /Number 2 of "images" has neither/],
    ['a weight that is a list', { images: [{ id: imageId(0, 0), weight: [1] }] }, /A weight is a number from -1000 to 1000/],
    ['a weight beyond all', { images: [{ id: imageId(0, 0), weight: 1e9 }] }, /A weight is a number/],
    ['an id beside them', { id: imageId(0, 0), images: [{ id: imageId(0, 1) }] }, /"id" stands beside "images"/],
    ['more than may be', { images: Array.from({ length: 5 }, () => ({ id: imageId(0, 0) })) }, /more than 4 images/],
    ['a form with more', form(...Array.from({ length: 5 }, () => ['image', QUERY] as [string, Buffer])), /more than 4 images/],
    ['a weight of no image', form(['image', QUERY], ['weight', '2']), /No image follows the last weight/],
    ['a weight that is a word', form(['weight', 'much'], ['image', QUERY]), /A weight is a number/],
    ['an empty weight', form(['weight', ''], ['image', QUERY]), /A weight is a number/],
    ['a field that is no list', form(['image', QUERY], ['images', '{']), /not JSON/],
  ])('refuses %s, and says what would be right', async (_name, body, message) => {
    expect(await post<ErrorBody>(body)).toMatchObject({ status: 400, body: { code: 'EIS_BAD_REQUEST', message: expect.stringMatching(message) as string } });
  });
});

describe('POST /search with a filter', () => {
  const FILTER = { year: { gte: 2010 }, not: { tags: 'cat' } };
  const matching = IMAGES.filter(({ metadata }) => metadata !== undefined && (metadata['year'] as number) >= 2010 && !(metadata['tags'] as string[]).includes('cat'));
  const one = normalise([255, 128, 128, 128].map((byte) => (byte - 127.5) / 127.5));

  it('finds what matches, from every form of it, with its metadata', async () => {
    const expected = rank([[one, 1]], { candidates: matching });
    const [image4, text] = [Buffer.from([255, 128, 128, 128]), JSON.stringify(FILTER)];
    for (const { body } of [await post(image4, `?filter=${encodeURIComponent(text)}&top=20`), await post(form(['image', image4], ['filter', text]), '?top=20')]) {
      expect(body.results).toHaveLength(matching.length);
      expectRanked(body.results, expected);
      for (const { id, metadata } of body.results) expect(metadata).toEqual(BY_ID.get(id)!.metadata);
    }
    const { body } = await post({ id: stored(1)[1], filter: FILTER }, '?top=20');
    expectRanked(body.results, rank([[stored(1)[0], 1]], { candidates: matching, without: [stored(1)[1]] }));
    expect(body.query.metadata).toEqual(IMAGES[1]!.metadata);
  });

  it('hands it to every shard as it came, and vectors alone where there is none', async () => {
    await post({ id: stored(1)[1], filter: FILTER });
    await post({ id: stored(1)[1] });
    for (const { seen } of system.pods) {
      const [filtered, plain] = seen.filter(({ method }) => method === 'POST');
      expect(JSON.parse(filtered!.body.toString())).toEqual({ vectors: plain!.body.toString('base64'), filter: FILTER });
      expect(plain!.headers['content-type']).toBe('application/octet-stream');
    }
  });

  it('answers nothing where nothing matches', async () => {
    expect((await post({ id: stored(1)[1], filter: { year: 1900 } })).body).toMatchObject({ results: [], partial: false });
  });

  it.each<[string, unknown, string, RegExp]>([
    ['in the body', { id: imageId(0, 0), filter: { year: null } }, '', /not right at \/year/],
    ['in the query', { id: imageId(0, 0) }, '?filter={', /is not JSON/],
    ['in a form', form(['image', QUERY], ['filter', '{"a.b":1}']), '', /asks for "a\.b"/],
    ['of too many bytes', { id: imageId(0, 0), filter: { title: 'x'.repeat(200) } }, '', /at most 200/],
    ['twice', { id: imageId(0, 0), filter: {} }, '?filter={}', /in the body and another one in the query/],
  ])('refuses one that is wrong, %s, and asks nobody', async (_name, body, query, message) => {
    expect(await post<ErrorBody>(body, query)).toMatchObject({ status: 400, body: { code: 'EIS_FILTER_INVALID', message: expect.stringMatching(message) as string } });
    expect([...system.fn.seen, ...system.pods.flatMap(({ seen }) => seen)]).toEqual([]);
  });
});
