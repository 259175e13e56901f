import { describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import type { Metrics } from '../../common/metrics.js';
import { MemoryStore } from '../support/memory-store.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { LIMITS, LIVE, MODEL, MemoryBucket, StubFunction, embeddingOf, entriesOf, message, openQueue, settled, sha256, startWorker, until, url } from './support.js';

/** What its metrics say that the worker waits for. */
async function waiting(metrics: Metrics): Promise<Record<string, number>> {
  const samples = parsePrometheus(await metrics.text());
  return Object.fromEntries(['function', 'store'].map((part) => [part, sumOf(samples, 'eis_ingest_waiting', { part })]));
}

describe('Worker, when something fails', () => {
  it('rejects an image that is not in the bucket', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    await queue.publish([message(`eis://${sha256('gone')}`)]);
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(await entriesOf(store)).toMatchObject([{ state: 'rejected', code: 'EIS_IMAGE_UNKNOWN' }]);
  });

  it('rejects what is no image at once, and goes on with the rest', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.behave = (content) => {
      if (content === url(1)) throw new EisError('EIS_IMAGE_INVALID', {});
      return undefined;
    };
    await queue.publish([0, 1, 2].map((i) => message(url(i))));
    await startWorker({ queue, store, client });
    await settled(store, 3);
    expect(client.calls.filter((call) => call === url(1))).toHaveLength(1);
    expect((await entriesOf(store)).find(({ source }) => source === url(1))).toMatchObject({ state: 'rejected', code: 'EIS_IMAGE_INVALID', message: expect.stringContaining('not an image') as string });
    expect(await queue.depth(MODEL)).toMatchObject({ dead: 0 });
  });

  it('tries a dead URL as often as the delivery limit says, then rejects it', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.behave = () => {
      throw new EisError('EIS_URL_FAILED', { detail: 'no such host.' });
    };
    await queue.publish([message(url(0))]);
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(await entriesOf(store)).toMatchObject([{ state: 'rejected', code: 'EIS_URL_FAILED' }]);
    expect(client.calls).toHaveLength(LIMITS.deliveryMax);
    await until(async () => (await queue.depth(MODEL)).unacked === 0);
    expect(await queue.depth(MODEL)).toMatchObject({ ready: 0, dead: 0 });
  });

  it('takes a URL that comes back to life', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.behave = (_, call) => {
      if (call < LIMITS.deliveryMax) throw new EisError('EIS_URL_TIMEOUT', { timeoutMs: 1 });
      return undefined;
    };
    await queue.publish([message(url(0))]);
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(await entriesOf(store)).toMatchObject([{ state: 'stored' }]);
  });

  it('dead-letters what fails unexpectedly each time, and a replay after the fix stores it', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let isFixed = false;
    client.behave = (content) => {
      if (content === url(0) && !isFixed) throw new EisError('EIS_FUNCTION_RESPONSE', { model: MODEL, detail: 'nonsense.' });
      return undefined;
    };
    await queue.publish([message(url(0)), message(url(1))]);
    await startWorker({ queue, store, client });
    await settled(store, 2);
    await until(async () => (await queue.depth(MODEL)).dead === 1);
    expect((await entriesOf(store)).find(({ source }) => source === url(0))).toMatchObject({ state: 'dead', code: 'EIS_DELIVERY_LIMIT', message: expect.stringContaining('nonsense') as string });
    expect((await queue.dead(MODEL, { limit: 10 })).letters).toMatchObject([{ reason: { code: 'EIS_FUNCTION_RESPONSE' } }]);
    isFixed = true;
    await queue.replay(MODEL, { prepare: (messages) => store.ledger.reopen(messages.map(({ submission, source }) => ({ submission, source, model: MODEL }))) });
    await until(async () => (await entriesOf(store)).every(({ state }) => state === 'stored'));
    expect(await queue.depth(MODEL)).toMatchObject({ dead: 0 });
  });

  it('fails only the image that the store will not take, not its whole batch', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    await store.setLiveVersion(MODEL, LIVE);
    client.behave = (content) => (content === url(3) ? { ...embeddingOf(content), vector: Float32Array.of(1, 0, 0) } : undefined);
    await queue.publish(Array.from({ length: 10 }, (_, i) => message(url(i))));
    await startWorker({ queue, store, client });
    await settled(store, 10);
    const entries = await entriesOf(store);
    expect(entries.filter(({ state }) => state === 'stored')).toHaveLength(9);
    expect(entries.find(({ source }) => source === url(3))).toMatchObject({ state: 'dead' });
  });

  it('waits for a function that is away, counts nothing, and loses nothing', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.isReady = false;
    client.behave = () => {
      if (!client.isReady) throw new EisError('EIS_FUNCTION_UNAVAILABLE', { model: MODEL });
      return undefined;
    };
    await queue.publish(Array.from({ length: 120 }, (_, i) => message(url(i))));
    const { worker, metrics } = await startWorker({ queue, store, client });
    await until(() => client.calls.length > 0 && worker.awaited.includes('function'));
    expect(await waiting(metrics)).toEqual({ function: 1, store: 0 });
    const before = client.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(client.calls.length).toBeLessThanOrEqual(before + LIMITS.workerEmbedsMax);
    expect(await entriesOf(store)).toEqual([]);
    client.isReady = true;
    await settled(store, 120);
    expect((await entriesOf(store)).every(({ state }) => state === 'stored')).toBe(true);
    expect(await queue.depth(MODEL)).toMatchObject({ dead: 0 });
    expect(worker.awaited).toEqual([]);
    expect(await waiting(metrics)).toEqual({ function: 0, store: 0 });
    expect(sumOf(parsePrometheus(await metrics.text()), 'eis_ingest_retries_total', { kind: 'message' })).toBe(0);
  });

  it('waits for a function at its capacity, and counts nothing', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.behave = (_, call) => {
      if (call <= LIMITS.deliveryMax * 2) throw new EisError('EIS_OVERLOADED', { detail: 'Full.' });
      return undefined;
    };
    await queue.publish([message(url(0))]);
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(await entriesOf(store)).toMatchObject([{ state: 'stored' }]);
  });

  it('does not wait for ever for an image that breaks the function each time', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.behave = async (content) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (content === url(2)) throw new EisError('EIS_FUNCTION_UNAVAILABLE', { model: MODEL });
      return undefined;
    };
    await queue.publish(Array.from({ length: 12 }, (_, i) => message(url(i))));
    await startWorker({ queue, store, client });
    await settled(store, 12);
    const entries = await entriesOf(store);
    expect(entries.find(({ source }) => source === url(2))).toMatchObject({ state: 'dead', code: 'EIS_DELIVERY_LIMIT' });
    expect(entries.filter(({ state }) => state === 'stored')).toHaveLength(11);
  });

  it('does not hold the breaking of the function against the images that were there with the culprit', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let culpritRuns = false;
    client.behave = async (content) => {
      if (content === url(0)) culpritRuns = true;
      await new Promise((resolve) => setTimeout(resolve, 2));
      const broken = culpritRuns;
      if (content === url(0)) culpritRuns = false;
      if (broken) throw new EisError('EIS_FUNCTION_UNAVAILABLE', { model: MODEL });
      return undefined;
    };
    await queue.publish(Array.from({ length: 20 }, (_, i) => message(url(i))));
    await startWorker({ queue, store, client });
    await settled(store, 20);
    expect((await entriesOf(store)).filter(({ state }) => state !== 'stored').map(({ source }) => source)).toEqual([url(0)]);
  });

  it('tries again while the store is away, and calls the function for each image once', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let failures = 6;
    store.fault = () => {
      if (failures-- > 0) throw new EisError('EIS_STORE_UNAVAILABLE', { detail: 'away.' });
    };
    await queue.publish([0, 1, 2].map((i) => message(url(i))));
    await startWorker({ queue, store, client });
    await until(() => failures < 0);
    await settled(store, 3);
    expect(client.calls).toHaveLength(3);
    expect((await entriesOf(store)).every(({ state }) => state === 'stored')).toBe(true);
  });

  it('takes no more messages while the store is away', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let isAway = true;
    store.fault = () => {
      if (isAway) throw new EisError('EIS_STORE_UNAVAILABLE', { detail: 'away.' });
    };
    await queue.publish([message(url(0))]);
    const { worker, metrics } = await startWorker({ queue, store, client });
    await until(() => worker.awaited.includes('store'));
    expect(await waiting(metrics)).toEqual({ function: 0, store: 1 });
    await queue.publish(Array.from({ length: 20 }, (_, i) => message(url(i + 1))));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await queue.depth(MODEL)).toMatchObject({ ready: 20, unacked: 1 });
    isAway = false;
    await settled(store, 21);
    expect(worker.awaited).toEqual([]);
  });

  it('gives back, uncounted, what it has held for too long, and nothing is lost or embedded twice', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.isReady = false;
    client.behave = () => {
      if (!client.isReady) throw new EisError('EIS_FUNCTION_UNAVAILABLE', { model: MODEL });
      return undefined;
    };
    await queue.publish(Array.from({ length: 30 }, (_, i) => message(url(i))));
    const { metrics } = await startWorker({ queue, store, client, limits: { deliveryHoldMs: 150 } });
    await until(async () => (await queue.depth(MODEL)).unacked === 30);
    await until(async () => (await queue.depth(MODEL)).ready === 30);
    const before = client.calls.length;
    client.isReady = true;
    await settled(store, 30);
    expect((await entriesOf(store)).every(({ state }) => state === 'stored')).toBe(true);
    expect(client.calls.length - before).toBe(30);
    const samples = parsePrometheus(await metrics.text());
    expect(sumOf(samples, 'eis_ingest_redeliveries_total')).toBe(30);
    expect(sumOf(samples, 'eis_ingest_retries_total', { kind: 'message' })).toBe(0);
  });

  it('lets an image that cannot be read from the bucket hold up no other', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    const bucket = new MemoryBucket();
    let isAway = true;
    const get = async (id: string): Promise<Buffer | undefined> => {
      if (id === sha256('poison') && isAway) throw new EisError('EIS_BUCKET_UNAVAILABLE', { detail: 'not now.' });
      return Buffer.from(id);
    };
    await queue.publish([message(`eis://${sha256('poison')}`), ...Array.from({ length: 40 }, (_, i) => message(`eis://${sha256(String(i))}`))]);
    const { worker, metrics } = await startWorker({ queue, store, client, bucket: { get, sha256Of: (uri) => bucket.sha256Of(uri) } });
    await settled(store, 40);
    expect(worker.awaited).toEqual([]);
    expect(sumOf(parsePrometheus(await metrics.text()), 'eis_ingest_retries_total', { kind: 'function' })).toBe(0);
    isAway = false;
    await settled(store, 41);
    expect((await entriesOf(store)).every(({ state }) => state === 'stored')).toBe(true);
  });

  it('dead-letters an image that is damaged in the bucket', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    const bucket = new MemoryBucket();
    const get = async (): Promise<Buffer | undefined> => {
      throw new EisError('EIS_OBJECT_DAMAGED', { detail: 'its checksum differs.' });
    };
    await queue.publish([message(`eis://${sha256('poison')}`)]);
    await startWorker({ queue, store, client, bucket: { get, sha256Of: (uri) => bucket.sha256Of(uri) } });
    await settled(store, 1);
    await until(async () => (await queue.depth(MODEL)).dead === 1);
    expect(await entriesOf(store)).toMatchObject([{ state: 'dead', code: 'EIS_DELIVERY_LIMIT' }]);
  });

  it('still says stored after a crash between the write and the ledger', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let isCutOff = false;
    store.fault = (operation) => {
      if (operation !== 'settle') return;
      isCutOff = true;
      throw new EisError('EIS_STORE_UNAVAILABLE', { detail: 'the ledger is cut off.' });
    };
    await queue.publish([message(url(0))]);
    const { worker } = await startWorker({ queue, store, client });
    await until(() => isCutOff);
    await worker.close();
    expect(await store.collection(MODEL, LIVE).count()).toBe(1);
    expect(await queue.depth(MODEL)).toMatchObject({ ready: 1, unacked: 0 });
    store.fault = () => undefined;
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(client.calls).toHaveLength(2);
    expect(await entriesOf(store)).toMatchObject([{ state: 'stored' }]);
    expect(await store.collection(MODEL, LIVE).count()).toBe(1);
  });

  it('acknowledges a redelivered message without work when its outcome stands', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    await store.ledger.settle([{ submission: 's', source: url(0), model: MODEL, state: 'stored', id: sha256('x') }]);
    await queue.publish([message(url(0))]);
    await startWorker({ queue, store, client });
    await until(async () => { const { ready, unacked } = await queue.depth(MODEL); return ready + unacked === 0; });
    expect(client.calls).toEqual([]);
  });

  it('gives back what it holds when it closes', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let release: () => void = () => {};
    const held = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
    client.behave = () => held;
    await queue.publish(Array.from({ length: 30 }, (_, i) => message(url(i))));
    const { worker } = await startWorker({ queue, store, client });
    await until(() => client.calls.length === LIMITS.workerEmbedsMax);
    const closing = worker.close();
    release();
    await closing;
    const { ready, unacked } = await queue.depth(MODEL);
    expect(unacked).toBe(0);
    expect(ready + (await entriesOf(store)).length).toBe(30);
    expect((await entriesOf(store)).length).toBe(LIMITS.workerEmbedsMax);
  });
});
