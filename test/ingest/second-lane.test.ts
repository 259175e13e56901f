/** A worker of a second lane: it works off its own queue, and changes nothing for who waits for a submission. */
import { expect, it } from 'vitest';
import { laneLedgerKey } from '../../common/lanes.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { MemoryStore } from '../support/memory-store.js';
import { embeddingOf, LIMITS, LIVE, MemoryBucket, message, MODEL, openQueue, sha256, startWorker, StubFunction, until, url } from './support.js';

const NEXT = { version: 'version-2', dim: 2 };

it('what it embeds goes to its version alone, its outcomes to a submission of their own, and the pointer stays', async () => {
  const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
  client.behave = (content) => embeddingOf(content, NEXT.version);
  await store.setLiveVersion(MODEL, LIVE); // whose collection is empty: a main lane would replace it
  await queue.addLane(MODEL);
  await startWorker({ queue, store, client, lane: 'next' });
  await queue.publish([message(url(1))]);
  await until(async () => (await store.ledger.getMany([laneLedgerKey(`${MODEL}.next`, message(url(1)))]))[0]?.state === 'stored');
  expect(await store.collection(MODEL, NEXT).getMany([sha256(url(1))])).toHaveLength(1);
  expect(await store.liveVersion(MODEL)).toEqual(LIVE);
  expect(await store.ledger.counts('s')).toMatchObject({ accepted: 0, stored: 0 });
  expect(await queue.depth(MODEL)).toMatchObject({ ready: 1 });
});

it('keeps out what is removed while its message is in the hands of a lane, whichever lane is later, and takes it in when it is given again', async () => {
  for (const late of ['main', 'next'] as const) {
    const [queue, store] = [openQueue(), new MemoryStore()];
    const versions = { main: LIVE, next: NEXT };
    await store.setLiveVersion(MODEL, LIVE);
    await store.reembeddings.save({ model: MODEL, step: 'filling', to: { modelUrl: '/new' } as never, from: LIVE, version: NEXT, startedAt: 1, revision: 0 });
    await queue.addLane(MODEL);
    const app = await createWrapperApp({ queue, store, bucket: new MemoryBucket(), ingestModels: [MODEL], models: [MODEL], limits: LIMITS, metrics: new Metrics('wrapper'), log: SILENT_LOG });
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    for (const lane of ['main', 'next'] as const) {
      const client = new StubFunction();
      client.behave = async (content) => {
        if (lane === late) await held;
        return embeddingOf(content, versions[lane].version);
      };
      await startWorker({ queue, store, client, lane });
    }
    const count = async (lane: 'main' | 'next'): Promise<number> => store.collection(MODEL, versions[lane]).count();
    const early = late === 'main' ? 'next' : 'main';
    const key = (submission: string) => laneLedgerKey(late === 'next' ? `${MODEL}.next` : MODEL, message(url(1), submission));
    const isSettled = async (submission: string): Promise<boolean> => !['accepted', undefined].includes((await store.ledger.getMany([key(submission)]))[0]?.state);

    await queue.publish([message(url(1))]);
    await until(async () => (await count(early)) === 1);
    await new Promise((resolve) => setTimeout(resolve, 2)); // given before it is removed, by the clock
    expect((await app.inject({ method: 'DELETE', url: `/images/${sha256(url(1))}` })).statusCode).toBe(200);
    letGo();
    await until(() => isSettled('s'));
    expect([await count('main'), await count('next')], late).toEqual([0, 0]);

    await queue.publish([message(url(1), 'again')]);
    await until(async () => (await count('main')) === 1 && (await count('next')) === 1);
    await app.close();
  }
});
