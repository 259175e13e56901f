import { describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import { slotRange } from '../../common/slots.js';
import type { ExactIndex } from '../../indexer/exact-index.js';
import { image, MODEL, startPod, V1, V2 } from './index-pod.js';
import { idOf } from './vectors.js';

const search = (pod: ReturnType<typeof startPod>, name: string | number, dim = V1.dim) => pod.host.search([image(name, dim).vector], { top: 3 });

describe('IndexHost', () => {
  it('is not ready before it knows which version is live', async () => {
    const pod = startPod();
    expect(pod.host.readiness().ready).toBe(false);
    pod.store.fault = () => {
      throw new Error('down');
    };
    await expect(pod.host.poll()).rejects.toThrow('down');
    expect(pod.host.readiness().ready).toBe(false);
  });

  it('is ready and answers nothing while no version is live', async () => {
    const pod = startPod();
    await pod.follow();
    expect(pod.host.readiness().ready).toBe(true);
    expect(await search(pod, 1)).toEqual({ modelVersion: '', hits: [[]] });
    expect(await pod.host.reload()).toMatchObject({ modelVersion: '', vectors: 0 });
  });

  it('loads before it is ready when a version is live', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write([image(1), image(2)]);
    await pod.host.poll();
    expect(pod.host.readiness().ready).toBe(false);
    await pod.host.whenLoaded();
    expect(pod.host.readiness().ready).toBe(true);
    expect((await search(pod, 1)).hits[0]?.[0]).toMatchObject({ id: idOf(1), url: 'https://example.com/1', urls: ['https://example.com/1'], width: 640, height: 480, phash: idOf(1).slice(0, 16) });
  });

  it('finds the first images of a model that had none', async () => {
    const pod = startPod();
    await pod.follow();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write([image(1)]);
    await pod.follow();
    expect((await search(pod, 1)).hits[0]).toHaveLength(1);
  });

  it('holds only its slots', async () => {
    const slots = slotRange(0, 2);
    const pod = startPod({ slots });
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write(Array.from({ length: 30 }, (_, i) => image(i)));
    await pod.follow();
    const { hits } = await pod.host.search([image(0).vector], { top: 100 });
    expect(hits[0]?.every(({ id }) => id < '8')).toBe(true);
    const other = Array.from({ length: 30 }, (_, i) => idOf(i)).find((id) => id >= '8') as string;
    await expect(pod.host.vector(other)).rejects.toMatchObject({ code: 'EIS_IMAGE_UNKNOWN' });
  });

  it('answers from the old version until the new one is loaded, then only from the new one', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write(Array.from({ length: 50 }, (_, i) => image(i)));
    await pod.follow();
    await pod.store.collection(MODEL, V2).write(Array.from({ length: 50 }, (_, i) => image(i, V2.dim)));
    await pod.store.setLiveVersion(MODEL, V2);
    let goOn = (): void => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    pod.store.fault = (operation) => (operation === 'scan' ? gate : undefined);
    await pod.host.poll();
    expect((await search(pod, 1)).modelVersion).toBe(V1.version);
    await pod.store.collection(MODEL, V1).write([image('while loading')]);
    pod.clock.now += 500;
    await pod.host.poll(); // the old one is followed meanwhile
    expect((await search(pod, 'while loading')).hits[0]?.[0]?.id).toBe(idOf('while loading'));
    goOn();
    await pod.host.whenLoaded();
    const answer = await search(pod, 1, V2.dim);
    expect(answer.modelVersion).toBe(V2.version);
    expect(answer.hits[0]?.[0]?.id).toBe(idOf(1));
    expect(pod.host.stats()).toMatchObject({ modelVersion: V2.version, dim: V2.dim, vectors: 50 });
    expect(pod.closed).toEqual(['reclaimed', `dim ${V1.dim}`, 'reclaimed']);
  });

  it('finishes searches that run while it swaps', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write(Array.from({ length: 50 }, (_, i) => image(i)));
    await pod.follow();
    const searches: Promise<unknown>[] = [];
    let reloading = true;
    const reload = pod.host.reload().finally(() => (reloading = false));
    while (reloading) {
      searches.push(search(pod, searches.length % 50));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await reload;
    for (const answer of await Promise.all(searches)) expect(answer).toMatchObject({ hits: [{ length: 3 }] });
    expect(searches.length).toBeGreaterThan(0);
  });

  it('closes what it swapped out only when that has taken in what it was reading', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write([image(1)]);
    await pod.follow();
    await pod.store.collection(MODEL, V1).write([image(2)]);
    let goOn = (): void => undefined;
    let gate: Promise<void> | undefined = new Promise((resolve) => (goOn = resolve));
    pod.store.fault = (operation) => {
      if (operation !== 'getMany') return undefined;
      const waiting = gate;
      gate = undefined; // the load reads, too
      return waiting;
    };
    pod.clock.now += 500;
    const poll = pod.host.poll();
    while (gate !== undefined) await new Promise((resolve) => setImmediate(resolve));
    const reload = pod.host.reload();
    while (pod.host.stats().vectors < 2) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    goOn();
    await poll;
    await reload;
    expect(pod.closed.filter((what) => what !== 'reclaimed')).toEqual([`dim ${V1.dim}`]);
  });

  it('reloads once for concurrent calls, and tells what it holds', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write([image(1), image(2)]);
    await pod.follow();
    let scans = 0;
    pod.store.fault = (operation) => void (scans += operation === 'scan' ? 1 : 0);
    pod.store.collection(MODEL, V1).forget(idOf(2)); // gone without a change: only a reload (or reconciling) tells
    const answers = await Promise.all([pod.host.reload(), pod.host.reload(), pod.host.reload()]);
    expect(scans).toBe(2); // one page of records, and the end
    expect(answers.map(({ vectors }) => vectors)).toEqual([1, 1, 1]);
  });

  it('keeps answering from what it holds while the store is down, and says how old that is', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write([image(1)]);
    await pod.follow();
    pod.store.fault = () => {
      throw new Error('down');
    };
    pod.clock.now += 60_000;
    await expect(pod.host.poll()).rejects.toThrow('down');
    await expect(pod.host.reload()).rejects.toThrow('down');
    expect((await search(pod, 1)).hits[0]).toHaveLength(1);
    expect(pod.host.stats().freshnessS).toBe(60);
    pod.store.fault = () => undefined;
    await pod.host.poll();
    expect(pod.host.stats().freshnessS).toBe(0);
  });

  it('reports a load that failed at the next poll, and tries again', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write([image(1)]);
    pod.store.fault = (operation) => {
      if (operation === 'scan') throw new Error('scan failed');
    };
    await pod.follow();
    expect(pod.host.readiness().ready).toBe(false);
    await expect(pod.host.poll()).rejects.toThrow('scan failed');
    pod.store.fault = () => undefined;
    await pod.follow();
    expect(pod.host.readiness().ready).toBe(true);
    expect(pod.closed).toEqual([`dim ${V1.dim}`, 'reclaimed']);
  });

  it('loads anew when what it holds turns out to be damaged while it follows the store', async () => {
    const made: ExactIndex[] = [];
    const pod = startPod({ onIndex: (index) => void made.push(index) });
    await pod.store.setLiveVersion(MODEL, V1);
    const collection = pod.store.collection(MODEL, V1);
    await collection.write([image(1)]);
    await pod.follow();
    (made[0] as ExactIndex).upsert = () => Promise.reject(new EisError('EIS_INDEX_DAMAGED', { detail: 'its graph failed.' }));
    await collection.write([image(2)]);
    await expect(pod.follow()).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED' });
    await pod.host.whenLoaded();
    expect(made).toHaveLength(2);
    expect((await search(pod, 2)).hits[0]?.[0]?.id).toBe(idOf(2));
  });

  it('stops a load when it is closed', async () => {
    const pod = startPod();
    await pod.store.setLiveVersion(MODEL, V1);
    await pod.store.collection(MODEL, V1).write(Array.from({ length: 30 }, (_, i) => image(i)));
    let pages = 0;
    pod.store.fault = (operation) => void (pages += operation === 'scan' ? 1 : 0);
    await pod.host.poll();
    await pod.host.close();
    expect(pages).toBeLessThan(4);
    expect(pod.host.readiness().ready).toBe(false);
  });
});
