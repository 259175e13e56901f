import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { GcsBucket } from '../../common/bucket/gcs-bucket.js';
import { WIRE_BUCKET, WireServer } from '../support/gcs-wire/wire-server.js';
import { MemoryStore } from '../support/memory-store.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import { LIMITS, LIVE, MODEL, MemoryBucket, StubFunction, embeddingOf, entriesOf, message, openQueue, settled, sha256, startWorker, until, url } from './support.js';

describe('Worker', () => {
  it('embeds, writes, settles and acknowledges every message', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    await queue.publish(Array.from({ length: 100 }, (_, i) => message(url(i))));
    const { metrics } = await startWorker({ queue, store, client });
    await settled(store, 100);
    await until(async () => (await queue.depth(MODEL)).unacked === 0);
    expect((await entriesOf(store)).every(({ state }) => state === 'stored')).toBe(true);
    expect(await store.collection(MODEL, LIVE).count()).toBe(100);
    expect(await store.liveVersion(MODEL)).toEqual(LIVE);
    const samples = parsePrometheus(await metrics.text());
    expect(sumOf(samples, 'eis_ingest_outcomes_total', { model: MODEL, outcome: 'stored' })).toBe(100);
    expect(sumOf(samples, 'eis_ingest_embed_seconds_count')).toBe(100);
    expect(sumOf(samples, 'eis_queue_depth')).toBe(0);
  });

  it('calls the function with no more images at once than it may', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    let [running, most] = [0, 0];
    client.behave = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
      return undefined;
    };
    await queue.publish(Array.from({ length: 40 }, (_, i) => message(url(i))));
    await startWorker({ queue, store, client });
    await settled(store, 40);
    expect(most).toBe(LIMITS.workerEmbedsMax);
  });

  it('says duplicate of an image that came from another source', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    client.behave = () => embeddingOf('the same');
    await queue.publish(Array.from({ length: 5 }, (_, i) => message(url(i))));
    await startWorker({ queue, store, client });
    await settled(store, 5);
    expect((await entriesOf(store)).map(({ state }) => state).sort()).toEqual(['duplicate', 'duplicate', 'duplicate', 'duplicate', 'stored']);
    const [record] = await store.collection(MODEL, LIVE).getMany([sha256('the same')]);
    expect([...record!.urls].sort()).toEqual([0, 1, 2, 3, 4].map(url));
  });

  it('posts the bytes of an image that lies in the bucket', async () => {
    const [queue, store, client, bucket] = [openQueue(), new MemoryStore(), new StubFunction(), new MemoryBucket()];
    bucket.objects.set(sha256('bytes'), Buffer.from('bytes'));
    await queue.publish([message(`eis://${sha256('bytes')}#photo.jpg`)]);
    await startWorker({ queue, store, client, bucket });
    await settled(store, 1);
    expect(client.calls).toEqual(['bytes']);
    expect(await entriesOf(store)).toMatchObject([{ state: 'stored', id: sha256('bytes') }]);
  });

  it('does not embed an image of the bucket again that is stored under the version that the function runs', async () => {
    const [queue, store, client, bucket] = [openQueue(), new MemoryStore(), new StubFunction(), new MemoryBucket()];
    bucket.objects.set(sha256('bytes'), Buffer.from('bytes'));
    client.version = LIVE;
    await startWorker({ queue, store, client, bucket });
    for (const name of ['a.jpg', 'b.jpg', 'c.jpg']) {
      await queue.publish([message(`eis://${sha256('bytes')}#${name}`)]);
      await settled(store, ['a.jpg', 'b.jpg', 'c.jpg'].indexOf(name) + 1);
    }
    expect(client.calls).toEqual(['bytes']);
    expect((await entriesOf(store)).map(({ state }) => state).sort()).toEqual(['duplicate', 'duplicate', 'stored']);
    const [record] = await store.collection(MODEL, LIVE).getMany([sha256('bytes')]);
    expect(record?.urls).toHaveLength(3);
  });

  it('keeps the metadata of an image, that of one that it does not embed again too', async () => {
    const [queue, store, client, bucket] = [openQueue(), new MemoryStore(), new StubFunction(), new MemoryBucket()];
    bucket.objects.set(sha256('bytes'), Buffer.from('bytes'));
    client.version = LIVE;
    await startWorker({ queue, store, client, bucket });
    const metadata = async () => (await store.collection(MODEL, LIVE).getMany([sha256('bytes')]))[0]?.metadata?.values;
    for (const [i, values] of [{ year: 2020 }, { year: 2021 }, undefined].entries()) {
      await queue.publish([{ ...message(`eis://${sha256('bytes')}`, `s${i}`), ...(values && { metadata: { values, givenAt: i } }) }]);
      await settled(store, i + 1);
      expect(await metadata()).toEqual(values ?? { year: 2021 });
    }
    expect(client.calls).toEqual(['bytes']);
  });

  it('does the same for the objects of a bucket of Cloud Storage, and sends the URIs of all others on', async () => {
    const wire = await WireServer.start();
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    const bucket = new GcsBucket({ name: WIRE_BUCKET, prefix: 'images', imageBytesMax: 1_000, apiEndpoint: wire.url });
    await bucket.put(Readable.from([Buffer.from('bytes')]));
    client.version = LIVE;
    await startWorker({ queue, store, client, bucket });
    const sources = [`${bucket.uri(sha256('bytes'))}#a.jpg`, bucket.uri(sha256('bytes')), 'gs://bucket/photos/other.jpg', `gs://other/${sha256('bytes')}`];
    for (const [i, source] of sources.entries()) {
      await queue.publish([message(source)]);
      await settled(store, i + 1);
    }
    expect(client.calls).toEqual(['bytes', ...sources.slice(2)]);
    expect((await store.collection(MODEL, LIVE).getMany([sha256('bytes')]))[0]?.urls).toEqual(sources.slice(0, 2));
    await wire.close();
  });

  it('embeds it again after it was removed, and for another version', async () => {
    const [queue, store, client, bucket] = [openQueue(), new MemoryStore(), new StubFunction(), new MemoryBucket()];
    bucket.objects.set(sha256('bytes'), Buffer.from('bytes'));
    client.version = LIVE;
    await startWorker({ queue, store, client, bucket });
    const ingestAs = async (name: string, count: number): Promise<void> => {
      await queue.publish([message(`eis://${sha256('bytes')}#${name}`)]);
      await settled(store, count);
    };
    await ingestAs('first', 1);
    await store.collection(MODEL, LIVE).delete(sha256('bytes'));
    await ingestAs('revived', 2);
    client.version = { version: 'version-2', dim: 2 };
    client.behave = (content) => embeddingOf(content, 'version-2');
    await ingestAs('new version', 3);
    expect(client.calls).toHaveLength(3);
    expect((await entriesOf(store)).every(({ state }) => state === 'stored')).toBe(true);
    expect(await store.collection(MODEL, client.version).count()).toBe(1);
  });
});

describe('Worker and model versions', () => {
  it('moves the searched version while its collection is empty', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    await store.setLiveVersion(MODEL, { version: 'older', dim: 2 });
    await queue.publish([message(url(0))]);
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(await store.liveVersion(MODEL)).toEqual(LIVE);
  });

  it('fills a collection beside the one that is searched', async () => {
    const [queue, store, client] = [openQueue(), new MemoryStore(), new StubFunction()];
    const older = { version: 'older', dim: 2 };
    await store.setLiveVersion(MODEL, older);
    const { vector, phash, width, height, format } = embeddingOf('x');
    await store.collection(MODEL, older).write([{ id: sha256('x'), vector, phash, width, height, format, url: 'https://x/', origin: 'o' }]);
    await queue.publish([message(url(0))]);
    await startWorker({ queue, store, client });
    await settled(store, 1);
    expect(await store.liveVersion(MODEL)).toEqual(older);
    expect(await store.collection(MODEL, older).count()).toBe(1);
    expect(await store.collection(MODEL, LIVE).count()).toBe(1);
  });
});
