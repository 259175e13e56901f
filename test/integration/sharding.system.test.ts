/** The same collection on one shard and on two, behind a gateway each: nobody can tell from the answers. */
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { slotRange } from '../../common/slots.js';
import type { SearchAnswer } from '../../common/wire.js';
import { startFunction, startGateway, startWrapper, type Stub } from '../gateway/stubs.js';
import { image, MODEL, startPod, V1 } from '../indexer/index-pod.js';
import { random } from '../indexer/vectors.js';

const IMAGES = 1_500;
const QUERIES = process.env['EIS_TEST_SHARDING'] === 'full' ? 1_000 : 200;
const AT_ONCE = 8;

/** A pod over a store of its own with the whole collection, of which it holds a shard. */
async function serveShard(index: number, of: number): Promise<Stub> {
  const { store, host, app } = startPod({ slots: slotRange(index, of), shard: `${index}/${of}` });
  await store.setLiveVersion(MODEL, V1);
  const images = Array.from({ length: IMAGES }, (_, i) => image(i));
  // Every third has the vector of another, so that there are ties, also between shards.
  await store.collection(MODEL, V1).write(images.map((each, i) => (i % 3 === 0 ? { ...each, vector: images[(i + 1) % IMAGES]!.vector } : each)));
  await host.reload();
  await host.poll();
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` } as Stub;
}

describe('A collection on two shards', () => {
  it(`is answered for as on one: ids, scores and order, in ${QUERIES} searches`, async () => {
    const [fn, wrapper, whole, ...halves] = await Promise.all([startFunction(V1.version), startWrapper(), serveShard(0, 1), serveShard(0, 2), serveShard(1, 2)]);
    const [one, two] = await Promise.all([[[whole]], halves.map((pod) => [pod])].map((pods) => startGateway({ models: [{ name: MODEL, function: fn, pods }], wrapper })));
    onTestFinished(async () => void (await Promise.all([fn, wrapper, one!, two!].map((each) => each.close()))));
    const next = random(1_000);
    const ask = async (url: string, body: Uint8Array, top: number): Promise<SearchAnswer> => (await (await fetch(`${url}/search?top=${top}`, { method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: Buffer.from(body) })).json()) as SearchAnswer;
    const tops = [1, 10, 10, 10, 100];
    let fromBoth = 0;
    for (let first = 0; first < QUERIES; first += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, async (_, i) => {
        const body = Uint8Array.from({ length: 8 }, () => Math.floor(next() * 256));
        const top = tops[i % tops.length] as number;
        const [alone, shared] = await Promise.all([one!, two!].map(({ url }) => ask(url, body, top)));
        expect(alone?.results).toHaveLength(top);
        expect(shared).toMatchObject({ partial: false, shards: { total: 2, ok: 2 }, index: { vectors: IMAGES } });
        expect(shared?.results).toEqual(alone?.results);
        if (new Set(shared?.results.map(({ id }) => Number.parseInt(id.slice(0, 1), 16) < 8)).size === 2) fromBoth++;
      }));
    }
    expect(fromBoth).toBeGreaterThan(QUERIES / 2);
  });
});
