/** When the worker of a second lane is at work. */
import { expect, it, onTestFinished, vi } from 'vitest';
import { SILENT_LOG } from '../../common/log.js';
import type { Reembedding } from '../../common/store/store.js';
import { SecondLaneWorker } from '../../ingest/second-lane-worker.js';
import { MemoryStore } from '../support/memory-store.js';
import { LIVE, MODEL } from './support.js';

const TO = { modelUrl: '/models/new', sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined, engine: 'auto' } as const;

async function prepare() {
  const store = new MemoryStore();
  const calls: string[] = [];
  const state = { storeIsAway: false };
  const reembeddings = {
    get: async (model: string) => {
      if (state.storeIsAway) throw new Error('away');
      return store.reembeddings.get(model);
    },
  };
  const create = () => ({ start: async () => void calls.push('start'), close: async () => void calls.push('close'), awaited: ['function'] as const });
  const worker = new SecondLaneWorker({ model: MODEL, store: { reembeddings } as unknown as Pick<MemoryStore, 'reembeddings'>, create, log: SILENT_LOG, pollMs: 2 });
  onTestFinished(() => worker.close());
  const save = async (step: Reembedding['step']): Promise<void> => {
    const revision = (await store.reembeddings.get(MODEL))?.revision ?? 0;
    await store.reembeddings.save({ model: MODEL, step, to: TO, from: LIVE, startedAt: 0, revision });
  };
  const reaches = (expected: readonly string[]): Promise<void> => vi.waitFor(() => expect(calls).toEqual(expected), { timeout: 5_000, interval: 2 });
  return { store, worker, calls, state, save, reaches };
}

it('begins when its model is embedded again, and lets go before its queue is removed', async () => {
  const { store, worker, calls, save, reaches } = await prepare();
  await worker.start();
  expect([calls, worker.awaited]).toEqual([[], []]);
  await save('starting');
  await reaches(['start']);
  expect(worker.awaited).toEqual(['function']);
  await save('switched');
  await save('removing');
  await reaches(['start', 'close']);
  await store.reembeddings.remove(MODEL);
  await save('starting'); // another one
  await reaches(['start', 'close', 'start']);
  await worker.close();
  expect(calls).toEqual(['start', 'close', 'start', 'close']);
});

it('is at work at once where a re-embedding is under way, and stays so while the store is away', async () => {
  const { worker, calls, state, save } = await prepare();
  await save('filling');
  await worker.start();
  expect(calls).toEqual(['start']);
  state.storeIsAway = true;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(calls).toEqual(['start']);
});
