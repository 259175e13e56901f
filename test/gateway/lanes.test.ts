/** Two lanes of a model behind one gateway: which one answers, and that an answer is of one. */
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { EisError } from '../../common/errors.js';
import type { SearchAnswer } from '../../common/wire.js';
import { Lanes, type LaneIndex, type LaneProbe } from '../../gateway/lanes.js';
import { image, imageId, QUERY, sendError, startFunction, startPod, startSystem, type Stub } from './stubs.js';

interface FakeLane extends LaneProbe {
  held: LaneIndex | undefined;
  runs: string | undefined;
  asked: number;
}

function fakeLane(version: string, live: string): FakeLane {
  const lane: FakeLane = {
    held: { version, live },
    runs: version,
    asked: 0,
    index: async () => {
      lane.asked++;
      return lane.held;
    },
    functionVersion: async () => lane.runs,
  };
  return lane;
}

const answerOf = (version: string, failed: SearchAnswer['shards']['failed'] = []): SearchAnswer => ({ model_version: version, shards: { total: 2, ok: 2 - failed.length, failed } }) as unknown as SearchAnswer;

function prepare({ patienceMs = 60_000 } = {}): { main: FakeLane; next: FakeLane; lanes: Lanes<FakeLane>; point: (version: string) => void; moves: string[] } {
  const [main, next] = [fakeLane('old', 'old'), fakeLane('new', 'old')];
  const moves: string[] = [];
  const point = (version: string): void => [main, next].forEach((lane) => (lane.held &&= { ...lane.held, live: version }));
  return { main, next, lanes: new Lanes({ main, next, patienceMs, onMoved: (version) => moves.push(version), onGivenUp: () => moves.push('given up') }), point, moves };
}

describe('Lanes', () => {
  it('follows the pointer, there and back', async () => {
    const { main, next, lanes, point, moves } = prepare();
    await lanes.choose();
    expect(lanes.current).toBe(main);
    expect(next.asked).toBe(0);
    point('new');
    await lanes.choose();
    expect(lanes.current).toBe(next);
    point('old');
    await lanes.choose();
    expect(lanes.current).toBe(main);
    expect(moves).toEqual(['new', 'old']);
  });

  it('goes to no lane that is not whole: a shard that is away or behind, another function', async () => {
    const { main, next, lanes, point } = prepare();
    point('new');
    next.held = undefined;
    await lanes.choose();
    expect(lanes.current).toBe(main);
    next.held = { version: 'new', live: 'new' };
    next.runs = undefined;
    await lanes.choose();
    expect(lanes.current).toBe(main);
    next.runs = 'new';
    await lanes.choose();
    expect(lanes.current).toBe(next);
  });

  it('stays where it is while that loses a shard, and goes back to the main lane once that has the version that is searched', async () => {
    const { main, next, lanes, point } = prepare();
    point('new');
    await lanes.choose();
    next.held = undefined;
    await lanes.choose();
    expect(lanes.current).toBe(next);
    main.held = { version: 'new', live: 'new' };
    await lanes.choose();
    expect(lanes.current).toBe(next); // its function is still the one of before
    main.runs = 'new';
    await lanes.choose();
    expect(lanes.current).toBe(main);
  });

  it('searches neither at first until one of them is known to have the version that is searched, and goes back to that never', async () => {
    const { main, next, lanes, point, moves } = prepare();
    point('new');
    [main.held, next.held] = [undefined, undefined];
    const search = () => lanes.search(async (lane) => answerOf(lane.runs as string));
    for (const held of [undefined, { version: 'old', live: 'new' }]) {
      main.held = held; // at first it does not answer; then it does not hold what is searched
      await lanes.choose();
      expect(lanes.isDecided).toBe(false);
      await expect(search()).rejects.toMatchObject({ code: 'EIS_NOT_READY' });
    }
    next.held = { version: 'new', live: 'new' };
    await lanes.choose();
    expect(await search()).toMatchObject({ model_version: 'new' });
    [main.held, next.held] = [undefined, undefined];
    await lanes.choose();
    expect(lanes.isDecided).toBe(true);
    expect(moves).toEqual(['new']);
  });

  it('searches the main lane in the end, where the other does not come up, and goes to that when it does', async () => {
    const { next, lanes, point, moves } = prepare({ patienceMs: 0 });
    point('new');
    next.held = undefined;
    await lanes.choose();
    await lanes.choose();
    expect(await lanes.search(async (lane) => answerOf(lane.runs as string))).toMatchObject({ model_version: 'old' });
    next.held = { version: 'new', live: 'new' };
    await lanes.choose();
    expect(moves).toEqual(['given up', 'new']);
  });

  it('searches the main lane at once where nothing is stored yet, whatever its function embeds with', async () => {
    const { main, next, lanes, moves } = prepare();
    main.held = { version: '', live: '' };
    next.held = undefined;
    await lanes.choose();
    expect(lanes.isDecided).toBe(true);
    expect(lanes.current).toBe(main);
    expect(moves).toEqual([]);
  });

  it('waits for seconds, and not for as long as for another lane, where only the function of the main lane is of another version', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { main, next, lanes } = prepare();
    main.runs = 'changed';
    next.held = undefined;
    await lanes.choose();
    expect(lanes.isDecided).toBe(false);
    vi.advanceTimersByTime(10_000);
    await lanes.choose();
    expect(lanes.isDecided).toBe(true);
    expect(lanes.current).toBe(main);

    const behind = prepare();
    behind.point('new');
    behind.next.held = undefined;
    vi.advanceTimersByTime(10_000);
    await behind.lanes.choose();
    expect(behind.lanes.isDecided).toBe(false);
    vi.advanceTimersByTime(60_000);
    await behind.lanes.choose();
    expect(behind.lanes.current).toBe(behind.main);
  });

  it('asks nothing of a model that has one lane', async () => {
    const main = fakeLane('old', 'old');
    const lanes = new Lanes({ main, next: undefined, patienceMs: 60_000, onMoved: () => undefined, onGivenUp: () => undefined });
    await lanes.choose();
    expect(main.asked).toBe(0);
    expect(await lanes.search(async () => answerOf('old'))).toMatchObject({ model_version: 'old' });
  });

  it('begins in no lane whose function was replaced, though its index is whole', async () => {
    const { main, next, lanes, point } = prepare();
    point('new');
    main.held = { version: 'new', live: 'new' };
    await lanes.choose();
    expect(lanes.current).toBe(next); // that of main is still the one of before
    main.runs = 'new';
    await lanes.choose();
    expect(lanes.current).toBe(main);
  });

  describe('search()', () => {
    it('does it in the other lane while instances of the function are replaced, though that says it has the version', async () => {
      const { main, next, lanes, point } = prepare();
      point('new');
      main.held = { version: 'new', live: 'new' };
      main.runs = 'new';
      await lanes.choose();
      expect(lanes.current).toBe(main);
      expect(await lanes.search(async (lane) => (lane === main ? Promise.reject(new EisError('EIS_MODEL_VERSION', { held: 'new', asked: 'old' })) : answerOf('new')))).toMatchObject({ model_version: 'new' });
      expect(lanes.current).toBe(next);
      await lanes.choose();
      expect(lanes.current).toBe(main);
    });

    it('does a search once more in the other lane, where the first one failed by its version and the pointer had moved', async () => {
      const { main, lanes, point } = prepare();
      const failures = [async () => Promise.reject(new EisError('EIS_MODEL_VERSION', { held: 'x', asked: 'y' })), async () => answerOf('old', [{ shard: '1/2', code: 'EIS_MODEL_VERSION' }])];
      for (const fail of failures) {
        point('old');
        await lanes.choose();
        point('new');
        expect(await lanes.search(async (lane) => (lane === main ? fail() : answerOf('new')))).toMatchObject({ model_version: 'new', shards: { ok: 2 } });
      }
    });

    it('leaves a failure as it is where there is no better lane, and of any other kind', async () => {
      const { lanes, next, point } = prepare();
      await lanes.choose();
      await expect(lanes.search(async () => Promise.reject(new EisError('EIS_MODEL_VERSION', { held: 'x', asked: 'y' })))).rejects.toMatchObject({ code: 'EIS_MODEL_VERSION' });
      point('new');
      await expect(lanes.search(async (lane) => (lane === next ? answerOf('new') : Promise.reject(new Error('other'))))).rejects.toThrow('other');
    });
  });
});

describe('a gateway over two lanes', () => {
  const [OLD, NEW] = ['version-1', 'version-2'];
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
  });

  const kept = async (stub: Promise<Stub>): Promise<Stub> => {
    closing.push(async () => (await stub).close());
    return stub;
  };
  const startLane = async (version: string, live: () => string): Promise<{ fn: Stub; pods: Stub[] }> => {
    const pods = ([0, 1] as const).map((shard) => kept(startPod({ shard: `${shard}/2`, images: [image(shard, shard)], version, live })));
    return { fn: await kept(startFunction(version)), pods: await Promise.all(pods) };
  };

  it('answers by the version that is searched, by image and by id, from function and index of one lane', async () => {
    const pointer = { live: OLD };
    const [main, next] = await Promise.all([OLD, NEW].map((version) => startLane(version, () => pointer.live)));
    const system = await startSystem({ models: [{ name: 'm', function: main!.fn, pods: main!.pods.map((pod) => [pod]) }], variables: { FUNCTION_URL_M_NEXT: next!.fn.url, INDEX_URLS_M_NEXT: next!.pods.map(({ url }) => url).join(';') } });
    closing.push(() => system.close());
    const search = async (body: Uint8Array<ArrayBuffer> | string, type: string): Promise<SearchAnswer & { status: number }> => {
      const response = await fetch(`${system.gateway.url}/search`, { method: 'POST', body, headers: { 'content-type': type } });
      return { ...((await response.json()) as SearchAnswer), status: response.status };
    };
    const versions = async (): Promise<string[]> => {
      const answers = [await search(new Uint8Array(QUERY), 'image/png'), await search(JSON.stringify({ id: imageId(0, 0) }), 'application/json')];
      expect(answers.map(({ status, partial }) => ({ status, partial }))).toEqual([{ status: 200, partial: false }, { status: 200, partial: false }]);
      return answers.map(({ model_version }) => model_version);
    };
    expect(await versions()).toEqual([OLD, OLD]);
    pointer.live = NEW;
    await vi.waitFor(async () => expect(await versions()).toEqual([NEW, NEW]), { timeout: 10_000 });
    pointer.live = OLD;
    await vi.waitFor(async () => expect(await versions()).toEqual([OLD, OLD]), { timeout: 10_000 });
    pointer.live = NEW;
    for (const pod of main!.pods) pod.behave = (_request, response) => sendError(response, 409, 'EIS_MODEL_VERSION');
    expect(await versions()).toEqual([NEW, NEW]); // at once: what the old lane refuses is asked of the other
  });

  it('is not ready after a start until the lane is up whose version is searched, and never answers by the other', async () => {
    const [main, next] = await Promise.all([OLD, NEW].map((version) => startLane(version, () => NEW)));
    for (const pod of next!.pods) pod.behave = (_request, response) => sendError(response, 503, 'EIS_NOT_READY');
    const system = await startSystem({ models: [{ name: 'm', function: main!.fn, pods: main!.pods.map((pod) => [pod]) }], variables: { FUNCTION_URL_M_NEXT: next!.fn.url, INDEX_URLS_M_NEXT: next!.pods.map(({ url }) => url).join(';') } });
    closing.push(() => system.close());
    const search = (): Promise<Response> => fetch(`${system.gateway.url}/search`, { method: 'POST', body: new Uint8Array(QUERY), headers: { 'content-type': 'image/png' } });
    const ready = async (): Promise<[number, string]> => {
      const response = await fetch(`${system.gateway.url}/readyz`);
      return [response.status, await response.text()];
    };
    expect(await ready()).toEqual([503, expect.stringContaining('of: m.')]);
    const early = await search();
    expect([early.status, await early.json()]).toEqual([503, expect.objectContaining({ code: 'EIS_NOT_READY' })]);
    for (const pod of next!.pods) pod.behave = undefined;
    await vi.waitFor(async () => expect((await ready())[0]).toBe(200), { timeout: 10_000 });
    expect(((await (await search()).json()) as SearchAnswer).model_version).toBe(NEW);
  });
});
