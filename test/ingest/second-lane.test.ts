/** A worker of a second lane: it works off its own queue, and changes nothing for who waits for a submission. */
import { expect, it } from 'vitest';
import { laneLedgerKey } from '../../common/lanes.js';
import { MemoryStore } from '../support/memory-store.js';
import { embeddingOf, LIVE, message, MODEL, openQueue, sha256, startWorker, StubFunction, until, url } from './support.js';

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
