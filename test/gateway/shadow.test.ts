import { afterEach, describe, expect, it } from 'vitest';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { SeededRandom } from '../support/seeded-random.js';
import { eventually, image, QUERY, sendError, startFunction, startGateway, startPod, startWrapper, type RunningGateway, type Stub, type StubImage } from './stubs.js';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

interface Shadowed {
  readonly gateway: RunningGateway;
  readonly live: { readonly fn: Stub; readonly pod: Stub };
  readonly shadow: { readonly fn: Stub; readonly pod: Stub };
}

interface Options {
  readonly share?: number;
  readonly liveImages?: readonly StubImage[];
  readonly shadowImages?: readonly StubImage[];
  readonly variables?: Record<string, string>;
  readonly random?: () => number;
}

/** A machine with other things to do is not taken for a function that queues. */
const PATIENT = { EIS_FUNCTION_QUEUE_TIME_MAX_MS: '600000', EIS_INDEX_TIMEOUT_MS: '30000', EIS_SHADOW_TIMEOUT_MS: '30000' };
const IMAGES = [0, 1, 2, 3].map((n) => image(0, n));

async function start({ share = 1, liveImages = IMAGES, shadowImages = IMAGES, variables, random = () => 0.5 }: Options = {}): Promise<Shadowed> {
  const [fn, shadowFn, pod, shadowPod, wrapper] = await Promise.all([startFunction(), startFunction(), startPod({ shard: '0/1', images: liveImages }), startPod({ shard: '0/1', images: shadowImages }), startWrapper()]);
  const gateway = await startGateway({
    models: [{ name: 'live', function: fn, pods: [[pod]], shadow: { model: 'next', share } }, { name: 'next', function: shadowFn, pods: [[shadowPod]], isServed: false }],
    wrapper, random, variables: { ...PATIENT, ...variables },
  });
  open.push(...[fn, shadowFn, pod, shadowPod, wrapper].map((stub) => () => stub.close()), () => gateway.close());
  return { gateway, live: { fn, pod }, shadow: { fn: shadowFn, pod: shadowPod } };
}

async function search({ url }: RunningGateway, body: object | Buffer = QUERY): Promise<{ status: number; body: { model: string; results: { id: string }[] } }> {
  const isBytes = Buffer.isBuffer(body);
  const response = await fetch(`${url}/search?model=live`, { method: 'POST', headers: { 'content-type': isBytes ? 'image/jpeg' : 'application/json' }, body: isBytes ? new Uint8Array(body) : JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as never };
}

async function metricsOf({ url }: RunningGateway): Promise<(name: string, labels?: Record<string, string>) => number> {
  const samples = parsePrometheus(await (await fetch(`${url}/metrics`)).text());
  return (name, labels) => sumOf(samples, name, labels);
}

/** Until so many shadow searches came to an end, one way or the other. */
async function ended(gateway: RunningGateway, count: number): Promise<(name: string, labels?: Record<string, string>) => number> {
  for (;;) {
    const read = await metricsOf(gateway);
    if (read('eis_shadow_searches_total') + read('eis_shadow_dropped_total') >= count && read('eis_shadow_in_flight') === 0) return read;
  }
}

describe('shadow traffic', () => {
  it('answers a share of the searches by a second model as well, whose answer nobody sees', async () => {
    const system = await start({ shadowImages: [] });
    const { status, body } = await search(system.gateway);
    expect([status, body.model, body.results.length]).toEqual([200, 'live', 4]);
    await ended(system.gateway, 1);
    expect(system.shadow.fn.seen.map(({ body: bytes }) => bytes)).toEqual([QUERY]);
    expect(system.shadow.pod.seen.map(({ url }) => url)).toEqual(['/search?top=10&collapse=true']);
    const models = (await (await fetch(`${system.gateway.url}/models`)).json()) as { models: { name: string }[] };
    expect(models.models.map(({ name }) => name)).toEqual(['live']);
  });

  it('says overlap, times and outcomes as a count by hand has them', async () => {
    const [seeded, again] = [new SeededRandom(7), new SeededRandom(7)];
    const drawn = Array.from({ length: 40 }, () => again.next());
    const system = await start({ share: 0.3, random: () => seeded.next(), shadowImages: [...IMAGES.slice(0, 2), image(0, 8), image(0, 9)] });
    for (let i = 0; i < drawn.length; i++) {
      await search(system.gateway);
      await ended(system.gateway, drawn.slice(0, i + 1).filter((value) => value < 0.3).length); // one after the other: none is dropped
    }
    const followed = drawn.filter((value) => value < 0.3).length;
    const read = await metricsOf(system.gateway);
    const names = { model: 'live', shadow: 'next' };
    expect(followed).toBeGreaterThan(4);
    expect(read('eis_shadow_searches_total', { ...names, outcome: 'ok' })).toBe(followed);
    expect(read('eis_shadow_dropped_total')).toBe(0);
    expect(system.shadow.fn.seen).toHaveLength(followed);
    // Two of four results are the same images.
    expect(read('eis_shadow_overlap_ratio_count', names)).toBe(followed);
    expect(read('eis_shadow_overlap_ratio_sum', names)).toBeCloseTo(followed * 0.5, 9);
    expect([read('eis_shadow_overlap_ratio_bucket', { ...names, le: '0.4' }), read('eis_shadow_overlap_ratio_bucket', { ...names, le: '0.5' })]).toEqual([0, followed]);
    for (const of of ['live', 'shadow']) expect(read('eis_shadow_duration_seconds_count', { ...names, of, stage: 'total' })).toBe(followed);
    expect(read('eis_search_total')).toBe(drawn.length);
    expect(read('eis_search_total', { model: 'next' })).toBe(0);
    expect(read('eis_embed_calls_total', { model: 'next' })).toBe(0);
  });

  it('begins when the answer was sent, and is not waited for', async () => {
    const system = await start();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    system.shadow.fn.behave = (_request, response) => void held.then(() => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE'));
    expect((await search(system.gateway)).status).toBe(200);
    expect((await search(system.gateway)).status).toBe(200);
    release();
    const read = await ended(system.gateway, 2);
    expect(read('eis_shadow_searches_total', { outcome: 'EIS_IMAGE_UNDECODABLE' })).toBe(2);
    expect(read('eis_shadow_overlap_ratio_count')).toBe(0);
    expect(read('eis_search_total', { outcome: 'ok' })).toBe(2);
  });

  it('drops and counts what is beyond the searches that may be followed at once', async () => {
    const system = await start({ variables: { EIS_SHADOW_IN_FLIGHT_MAX: '2' } });
    const waiting: (() => void)[] = [];
    system.shadow.fn.behave = (_request, response) => void waiting.push(() => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE'));
    for (let i = 0; i < 5; i++) await search(system.gateway);
    await eventually(() => waiting.length === 2);
    waiting.splice(0).forEach((answer) => answer());
    const read = await ended(system.gateway, 5);
    expect([read('eis_shadow_dropped_total', { reason: 'in_flight' }), read('eis_shadow_searches_total')]).toEqual([3, 2]);
  });

  it('asks the function as for something that can wait, and leaves it alone after it refused', async () => {
    const system = await start();
    system.shadow.fn.behave = (_request, response) => sendError(response, 429, 'EIS_OVERLOADED');
    await search(system.gateway);
    await ended(system.gateway, 1);
    system.shadow.fn.behave = undefined;
    await search(system.gateway);
    const read = await ended(system.gateway, 2);
    expect(read('eis_shadow_dropped_total', { reason: 'function' })).toBe(2);
    expect(system.shadow.fn.seen).toEqual([]);
  });

  it('marks its calls of the function as background, and no search', async () => {
    const system = await start();
    await search(system.gateway);
    await ended(system.gateway, 1);
    expect([system.live.fn.seen[0]!.headers['priority'], system.shadow.fn.seen[0]!.headers['priority']]).toEqual([undefined, 'u=7']);
  });

  it('ends by a deadline of its own', async () => {
    const system = await start({ variables: { EIS_SHADOW_TIMEOUT_MS: '50' } });
    system.shadow.pod.behave = () => undefined;
    expect((await search(system.gateway)).status).toBe(200);
    const read = await ended(system.gateway, 1);
    expect(read('eis_shadow_searches_total', { outcome: 'ok' })).toBe(0);
    expect(read('eis_shadow_searches_total')).toBe(1);
    expect(read('eis_shard_failures_total')).toBe(0);
  });

  it('is given up when the gateway closes', async () => {
    const system = await start();
    system.shadow.fn.behave = () => undefined;
    await search(system.gateway);
    await eventually(() => system.live.pod.seen.length === 1);
    await system.gateway.close(); // the test's own timeout bounds it
    open.pop();
  });

  it('follows searches by id; an image that the second model lacks is an error of the shadow alone', async () => {
    const system = await start({ shadowImages: IMAGES.slice(1) });
    expect((await search(system.gateway, { id: IMAGES[0]!.id })).status).toBe(200);
    expect((await search(system.gateway, { id: IMAGES[1]!.id })).status).toBe(200);
    const read = await ended(system.gateway, 2);
    expect([read('eis_shadow_searches_total', { outcome: 'EIS_IMAGE_UNKNOWN' }), read('eis_shadow_searches_total', { outcome: 'ok' })]).toEqual([1, 1]);
  });

  it('follows no search that failed', async () => {
    const system = await start();
    system.live.fn.behave = (_request, response) => sendError(response, 422, 'EIS_IMAGE_UNDECODABLE');
    expect((await search(system.gateway)).status).toBe(422);
    system.live.fn.behave = undefined;
    await search(system.gateway);
    const read = await ended(system.gateway, 1);
    expect([read('eis_shadow_searches_total'), system.shadow.fn.seen.length]).toEqual([1, 1]);
  });
});
