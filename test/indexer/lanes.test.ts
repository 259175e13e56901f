/** Index pods of both lanes of a model that is embedded again. */
import { expect, it } from 'vitest';
import type { Reembedding } from '../../common/store/store.js';
import type { IndexStats } from '../../common/wire.js';
import { image, MODEL, startPod, V1, V2 } from './index-pod.js';

async function startBoth() {
  const main = startPod();
  const { store } = main;
  const next = startPod({ lane: 'next', store });
  await store.setLiveVersion(MODEL, V1);
  await store.collection(MODEL, V1).write([image(0), image(1)]);
  await store.collection(MODEL, V2).write([image(0, V2.dim)]);
  const save = async (step: Reembedding['step'], version?: typeof V2): Promise<void> => {
    const standing = await store.reembeddings.get(MODEL);
    await store.reembeddings.save({ model: MODEL, step, to: { modelUrl: '/new' } as Reembedding['to'], from: V1, startedAt: 1, ...(version && { version }), revision: standing?.revision ?? 0 });
  };
  const held = async (): Promise<string[]> => {
    await Promise.all([main.follow(), next.follow()]);
    const stats = await Promise.all([main, next].map(async ({ app }) => (await app.inject('/stats')).json<IndexStats>()));
    return stats.map(({ model_version, live_version, vectors }) => `${model_version.slice(0, 1)} ${vectors} of live ${(live_version ?? '').slice(0, 1)}`);
  };
  return { main, next, store, save, held };
}

it('pods keep the version of their lane wherever the pointer is, tell where it is, and the main lane follows it again in the end', async () => {
  const { next, store, save, held } = await startBoth();
  expect(await held()).toEqual(['a 2 of live a', ' 0 of live a']);
  expect(next.host.readiness().ready).toBe(true); // it is known that there is nothing to hold
  await save('starting');
  expect(await held()).toEqual(['a 2 of live a', ' 0 of live a']);
  await save('filling', V2);
  expect(await held()).toEqual(['a 2 of live a', 'b 1 of live a']);
  await store.collection(MODEL, V2).write([image(1, V2.dim)]);
  expect(await held()).toEqual(['a 2 of live a', 'b 2 of live a']);
  await store.setLiveVersion(MODEL, V2);
  await save('switched', V2);
  expect(await held()).toEqual(['a 2 of live b', 'b 2 of live b']);
  await store.setLiveVersion(MODEL, V1);
  await save('rolled_back', V2);
  expect(await held()).toEqual(['a 2 of live a', 'b 2 of live a']);
  await store.setLiveVersion(MODEL, V2);
  await save('finishing', V2);
  expect(await held()).toEqual(['b 2 of live b', 'b 2 of live b']);
  await store.reembeddings.remove(MODEL);
  expect((await held())[0]).toBe('b 2 of live b');
});

it('a query of another version is refused by its version, also where its length is another', async () => {
  const { main, held } = await startBoth();
  await held();
  const ask = async (version: string, dim: number) => (await main.app.inject({ method: 'POST', url: '/search', headers: { 'content-type': 'application/octet-stream', 'x-eis-model-version': version }, payload: Buffer.alloc(dim * 4) })).json<{ code?: string }>().code;
  expect(await ask(V2.version, V2.dim)).toBe('EIS_MODEL_VERSION');
  expect(await ask(V1.version, V2.dim)).toBe('EIS_VECTOR_INVALID');
});
