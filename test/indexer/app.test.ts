import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { HEADERS } from '../../common/headers.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { slotRange } from '../../common/slots.js';
import { dot, encodeVector } from '../../common/vector.js';
import { GroupsAnswer, IndexAnswer, IndexStats, ReloadAnswer, VectorAnswer } from '../../common/wire.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { image, MODEL, startPod, V1, V2 } from './index-pod.js';
import { idOf } from './vectors.js';

type Pod = ReturnType<typeof startPod>;
const OCTETS = { 'content-type': 'application/octet-stream' };

async function startLoaded(count = 20, options: Parameters<typeof startPod>[0] = {}): Promise<Pod> {
  const pod = startPod(options);
  await pod.store.setLiveVersion(MODEL, V1);
  await pod.store.collection(MODEL, V1).write(Array.from({ length: count }, (_, i) => image(i)));
  await pod.follow();
  return pod;
}

const post = (pod: Pod, payload: Uint8Array | string, { query = '', headers = {} }: { query?: string; headers?: Record<string, string> } = {}) =>
  pod.app.inject({ method: 'POST', url: `/search${query}`, headers: { ...OCTETS, ...headers }, payload: Buffer.from(payload) });

const bytes = (...vectors: Float32Array[]): Buffer => Buffer.concat(vectors.map(encodeVector));

describe('POST /search', () => {
  it('answers one vector with one answer, ten hits unless asked for others', async () => {
    const pod = await startLoaded();
    const response = await post(pod, bytes(image(3).vector));
    const answer = response.json<IndexAnswer>();
    expect(response.statusCode).toBe(200);
    expect(Value.Check(IndexAnswer, answer)).toBe(true);
    expect(answer).toMatchObject({ model_version: V1.version, vectors: 20 });
    expect(answer.hits).toHaveLength(10);
    expect(answer.hits[0]).toMatchObject({ id: idOf(3), url: 'https://example.com/3', urls: ['https://example.com/3'], width: 640, height: 480 });
    expect((await post(pod, bytes(image(3).vector), { query: '?top=1' })).json<IndexAnswer>().hits).toHaveLength(1);
    expect((await post(pod, bytes(image(3).vector), { query: '?top=1000' })).json<IndexAnswer>().hits).toHaveLength(20);
  });

  it('answers several vectors with a list', async () => {
    const pod = await startLoaded();
    const answers = (await post(pod, bytes(image(1).vector, image(2).vector, image(3).vector))).json<IndexAnswer[]>();
    expect(answers.map(({ hits }) => hits[0]?.id)).toEqual([1, 2, 3].map(idOf));
    expect(answers.every((answer) => Value.Check(IndexAnswer, answer))).toBe(true);
  });

  it('takes a unit vector bit for bit and gives others length 1', async () => {
    const pod = await startLoaded();
    const { vector } = image(3);
    const exact = (await post(pod, bytes(vector))).json<IndexAnswer>().hits[0]?.score;
    expect(exact).toBe(dot(vector, vector));
    const tenfold = (await post(pod, bytes(vector.map((x) => x * 10)))).json<IndexAnswer>().hits[0];
    expect(tenfold?.id).toBe(idOf(3));
    expect(tenfold?.score).toBeCloseTo(1, 6);
  });

  it.each([
    ['no body', Buffer.alloc(0)],
    ['half a number', Buffer.alloc(15)],
    ['another length', bytes(new Float32Array(5).fill(1))],
    ['a number that is none', bytes(new Float32Array([1, Number.NaN, 0, 0]))],
    ['an infinite one', bytes(new Float32Array([1, Number.POSITIVE_INFINITY, 0, 0]))],
    ['a vector without direction', bytes(new Float32Array(4))],
    ['too many vectors', bytes(...Array.from({ length: 65 }, () => image(1).vector))],
  ])('refuses %s', async (_case, payload) => {
    const response = await post(await startLoaded(), payload);
    expect(response.json()).toMatchObject({ statusCode: 400, code: 'EIS_VECTOR_INVALID' });
  });

  it('refuses a body beyond any number of vectors', async () => {
    const response = await post(await startLoaded(), Buffer.alloc(64 * 16_384 * 4 + 4));
    expect(response.json()).toMatchObject({ statusCode: 413, code: 'EIS_BODY_TOO_LARGE' });
  });

  it.each(['?top=0', '?top=1001', '?top=1e9', '?top=1.5', '?top=many'])('refuses %s', async (query) => {
    expect((await post(await startLoaded(), bytes(image(1).vector), { query })).json()).toMatchObject({ statusCode: 400, code: 'EIS_BAD_REQUEST' });
  });

  it('refuses another content type', async () => {
    const pod = await startLoaded();
    const response = await pod.app.inject({ method: 'POST', url: '/search', headers: { 'content-type': 'text/plain' }, payload: 'hello' });
    expect(response.json()).toMatchObject({ statusCode: 415, code: 'EIS_MEDIA_TYPE' });
  });

  it('takes JSON with a filter, and answers the nearest of those that match, with their metadata', async () => {
    const pod = await startLoaded();
    await pod.store.collection(MODEL, V1).write([3, 7].map((n) => ({ ...image(n), metadata: { values: { year: 2000 + n }, givenAt: 1 } })));
    await pod.follow();
    const search = (filter: unknown) => pod.app.inject({ method: 'POST', url: '/search?top=5', payload: { vectors: bytes(image(7).vector).toString('base64'), filter } });
    expect((await search({ year: { gte: 2004 } })).json()).toMatchObject({ hits: [{ id: image(7).id, metadata: { year: 2007 } }] });
    expect((await search({ year: { exists: true } })).json<IndexAnswer>().hits.map(({ id }) => id)).toEqual([image(7).id, image(3).id]);
    expect((await pod.app.inject(`/vectors/${image(3).id}`)).json()).toMatchObject({ metadata: { year: 2003 } });
    const [filtered, plain] = [await search({}), await post(pod, bytes(image(7).vector), { query: '?top=5' })];
    expect(filtered.json<IndexAnswer>().hits).toEqual(plain.json<IndexAnswer>().hits);
  });

  it.each<[string, unknown, string]>([
    ['a filter that is none', { vectors: '', filter: { year: null } }, 'EIS_FILTER_INVALID'],
    ['vectors that are no base64', { vectors: 'äöü' }, 'EIS_BAD_REQUEST'],
    ['numbers', { vectors: [1, 2] }, 'EIS_BAD_REQUEST'],
    ['no vectors', { vectors: '' }, 'EIS_VECTOR_INVALID'],
    ['a list', [], 'EIS_BAD_REQUEST'],
    ['something else beside them', { vectors: '', top: 3 }, 'EIS_BAD_REQUEST'],
  ])('refuses JSON with %s', async (_case, payload, code) => {
    const pod = await startLoaded();
    expect((await pod.app.inject({ method: 'POST', url: '/search', payload: payload as object })).json()).toMatchObject({ statusCode: 400, code });
  });

  it('refuses a vector of another model version than it holds', async () => {
    const pod = await startLoaded();
    const asked = { headers: { [HEADERS.modelVersion]: V2.version } };
    expect((await post(pod, bytes(image(1).vector), asked)).json()).toMatchObject({ statusCode: 409, code: 'EIS_MODEL_VERSION' });
    expect((await post(pod, bytes(image(1).vector), { headers: { [HEADERS.modelVersion]: V1.version } })).statusCode).toBe(200);
  });

  it('answers no hits, whatever version is asked for, while it holds none', async () => {
    const pod = startPod();
    await pod.follow();
    const response = await post(pod, bytes(image(1).vector), { headers: { [HEADERS.modelVersion]: V1.version } });
    expect(response.json()).toMatchObject({ model_version: '', hits: [], vectors: 0 });
    expect((await post(pod, Buffer.alloc(15))).statusCode).toBe(400);
  });

  it('is not answered before the pod is ready', async () => {
    const pod = startPod();
    const response = await post(pod, bytes(image(1).vector));
    expect(response.json()).toMatchObject({ statusCode: 503, code: 'EIS_NOT_READY' });
    expect(response.headers['retry-after']).toBe('1');
  });

  it('shows what the store says two polls later at most', async () => {
    const pod = await startLoaded();
    await pod.store.collection(MODEL, V1).write([image('new')]);
    await pod.store.collection(MODEL, V1).delete(idOf(3));
    await pod.follow();
    expect((await post(pod, bytes(image('new').vector))).json<IndexAnswer>().hits[0]?.id).toBe(idOf('new'));
    const { hits } = (await post(pod, bytes(image(3).vector), { query: '?top=100' })).json<IndexAnswer>();
    expect(hits.map(({ id }) => id)).not.toContain(idOf(3));
  });
});

describe('groups of near-duplicates', () => {
  async function startGrouped(options: Parameters<typeof startPod>[0] = {}): Promise<Pod> {
    const pod = await startLoaded(20, options);
    await pod.store.collection(MODEL, V1).setGroups([3, 4, 5].map((i) => ({ id: idOf(i), canonical: idOf(3) })));
    await pod.follow();
    return pod;
  }
  const search = async (pod: Pod, query: string): Promise<string[]> => (await post(pod, bytes(image(3).vector), { query })).json<IndexAnswer>().hits.map(({ id }) => id);

  it('are followed, and are one hit each for a search that asks for it', async () => {
    const pod = await startGrouped();
    const all = await search(pod, '?top=20');
    expect(all).toHaveLength(20);
    expect(await search(pod, '?top=20&collapse=true')).toEqual(all.filter((id) => id !== idOf(4) && id !== idOf(5)));
    const without = all.filter((id) => id !== idOf(3));
    const group = without.filter((id) => id === idOf(4) || id === idOf(5));
    expect(await search(pod, `?top=20&collapse=true&without=${idOf(3)}`)).toEqual(without.filter((id) => id !== group[1]));
  });

  it('are all hits for a search that does not, which may pass over images too', async () => {
    const pod = await startGrouped();
    const [first, second, ...others] = await search(pod, '?top=20');
    expect(await search(pod, `?top=18&without=${first},${second}`)).toEqual(others);
  });

  it('are told by the id that stands for them, as far as they are here', async () => {
    const pod = await startGrouped();
    const ask = async (): Promise<GroupsAnswer> => (await pod.app.inject({ method: 'POST', url: '/groups', payload: { canonical: [idOf(3), idOf(9)] } })).json<GroupsAnswer>();
    const answer = await ask();
    expect(Value.Check(GroupsAnswer, answer)).toBe(true);
    expect(answer).toMatchObject({ model_version: V1.version, groups: [{ canonical: idOf(3), count: 3 }, { canonical: idOf(9), count: 0, members: [] }] });
    expect(answer.groups[0]!.members.map(({ id }) => id)).toEqual([3, 4, 5].map(idOf).sort());
    await pod.store.collection(MODEL, V1).delete(idOf(4));
    await pod.store.collection(MODEL, V1).setGroups([{ id: idOf(5), canonical: undefined }]);
    await pod.follow();
    expect((await ask()).groups[0]!.count).toBe(1);
  });

  it('are told without images that are passed over, and name no more than EIS_DUPLICATES_MAX', async () => {
    const pod = await startGrouped({ limits: { ...DEFAULT_LIMITS, duplicatesMax: 2 } });
    const ask = async (without?: string[]): Promise<GroupsAnswer> => (await pod.app.inject({ method: 'POST', url: '/groups', payload: { canonical: [idOf(3)], without } })).json<GroupsAnswer>();
    const sorted = [3, 4, 5].map(idOf).sort() as [string, string, string];
    const told = ({ groups: [group] }: GroupsAnswer): [number, string[]] => [group!.count, group!.members.map(({ id }) => id)];
    expect(told(await ask())).toEqual([3, sorted.slice(0, 2)]);
    expect(told(await ask([sorted[2]]))).toEqual([2, sorted.slice(0, 2)]);
    expect(told(await ask([sorted[0], sorted[1]]))).toEqual([1, [sorted[2]]]);
  });
});

describe('GET /vectors/:id', () => {
  it('gives the vector as it is stored', async () => {
    const pod = await startLoaded();
    const answer = (await pod.app.inject(`/vectors/${idOf(3)}`)).json<VectorAnswer>();
    expect(Value.Check(VectorAnswer, answer)).toBe(true);
    expect(answer).toMatchObject({ id: idOf(3), model_version: V1.version, dim: V1.dim, urls: ['https://example.com/3'], width: 640, height: 480 });
    expect(Float32Array.from(answer.vector)).toEqual(image(3).vector);
  });

  it('refuses what is no id, and knows only its own images', async () => {
    const pod = await startLoaded(20, { slots: slotRange(0, 2) });
    const elsewhere = Array.from({ length: 20 }, (_, i) => idOf(i)).find((id) => id >= '8') as string;
    for (const id of ['x', idOf(1).toUpperCase(), '__proto__', idOf(1).slice(1)]) {
      expect((await pod.app.inject(`/vectors/${id}`)).json()).toMatchObject({ statusCode: 400, code: 'EIS_IMAGE_ID_INVALID' });
    }
    for (const id of [idOf('unknown'), elsewhere]) {
      expect((await pod.app.inject(`/vectors/${id}`)).json()).toMatchObject({ statusCode: 404, code: 'EIS_IMAGE_UNKNOWN' });
    }
  });
});

describe('POST /reload and GET /stats', () => {
  it('reloads, with or without a body, and tells what is held', async () => {
    const pod = await startLoaded(5, { shard: '1/3' });
    for (const request of [{}, { payload: {} }]) {
      const answer = (await pod.app.inject({ method: 'POST', url: '/reload', ...request })).json<ReloadAnswer>();
      expect(Value.Check(ReloadAnswer, answer)).toBe(true);
      expect(answer).toMatchObject({ model: MODEL, model_version: V1.version, shard: '1/3', vectors: 5 });
    }
    const stats = (await pod.app.inject('/stats')).json<IndexStats>();
    expect(Value.Check(IndexStats, stats)).toBe(true);
    expect(stats).toMatchObject({ model: MODEL, model_version: V1.version, shard: '1/3', algorithm: 'brute', dim: V1.dim, vectors: 5, loaded_at: new Date(pod.clock.now).toISOString() });
    expect(stats.memory_bytes).toBeGreaterThan(5 * 16);
  });

  it('tells of an empty pod too', async () => {
    const pod = startPod();
    await pod.follow();
    expect((await pod.app.inject('/stats')).json()).toMatchObject({ model_version: '', dim: 0, vectors: 0, loaded_at: null, memory_bytes: 0 });
  });
});

describe('health and metrics', () => {
  it('is alive at once and ready once it is loaded', async () => {
    const pod = startPod();
    expect((await pod.app.inject('/healthz')).statusCode).toBe(200);
    expect((await pod.app.inject('/readyz')).json()).toMatchObject({ statusCode: 503, code: 'EIS_NOT_READY' });
    await pod.follow();
    expect((await pod.app.inject('/readyz')).statusCode).toBe(200);
  });

  it('counts what it did', async () => {
    const pod = await startLoaded();
    await post(pod, bytes(image(1).vector, image(2).vector));
    await pod.store.collection(MODEL, V1).delete(idOf(1));
    await pod.follow();
    pod.clock.now += 1_500;
    const samples = parsePrometheus((await pod.app.inject('/metrics')).body);
    expect(sumOf(samples, 'eis_index_vectors')).toBe(19);
    expect(sumOf(samples, 'eis_index_searches_total')).toBe(2);
    expect(sumOf(samples, 'eis_index_scan_duration_seconds_count')).toBe(1);
    expect(sumOf(samples, 'eis_index_changes_applied_total', { kind: 'remove' })).toBe(1);
    expect(sumOf(samples, 'eis_index_loads_total', { outcome: 'ok' })).toBe(1);
    expect(sumOf(samples, 'eis_index_load_duration_seconds_count')).toBe(1);
    expect(sumOf(samples, 'eis_index_freshness_seconds')).toBe(1.5);
    expect(sumOf(samples, 'eis_index_memory_bytes')).toBe(pod.host.stats().memoryBytes);
    expect(sumOf(samples, 'eis_index_follow_failures_total')).toBe(0);
  });
});
