import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GcsBucket, type GcsBucketOptions } from '../../../common/bucket/gcs-bucket.js';
import { WIRE_BUCKET, WireServer } from '../../support/gcs-wire/wire-server.js';
import { BUCKET_IMAGE_BYTES_MAX, describeBucketContract } from './bucket-contract.js';

const MEBIBYTE = 1024 * 1024;
/** The client waits no less than a second before it tries again. */
const TIMING = { requestTimeoutMs: 20_000, stallTimeoutMs: 500, totalTimeoutMs: 40_000, retriesMax: 3, retryDelayMaxMs: 1_000 };
const IMAGE = Buffer.from('some image'.repeat(1000));

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let wire: WireServer;
beforeEach(async () => {
  wire = await WireServer.start();
});
afterEach(() => wire.close());

function openBucket(options: Partial<GcsBucketOptions> = {}): GcsBucket {
  return new GcsBucket({ name: WIRE_BUCKET, prefix: 'images', imageBytesMax: 20 * MEBIBYTE, apiEndpoint: wire.url, timing: TIMING, ...options });
}

function put(bucket: GcsBucket, bytes: Buffer): Promise<unknown> {
  return bucket.put(Readable.from([bytes]));
}

/** Names and contents of all objects. */
function stored(): (readonly [string, string])[] {
  return [...wire.objects.byName.values()].map(({ name, bytes }) => [name, sha256(bytes)] as const);
}

const only = (bytes: Buffer): unknown => [[`images/${sha256(bytes).slice(0, 2)}/${sha256(bytes)}`, sha256(bytes)]];

describeBucketContract('GcsBucket', () => ({
  bucket: openBucket({ imageBytesMax: BUCKET_IMAGE_BYTES_MAX }),
  countFiles: async () => wire.objects.byName.size,
}));

describe('GcsBucket, naming objects', () => {
  it('puts them under their hash, below the prefix or at the top', async () => {
    await put(openBucket({ prefix: '' }), IMAGE);
    await put(openBucket({ prefix: 'a/b' }), IMAGE);
    const name = `${sha256(IMAGE).slice(0, 2)}/${sha256(IMAGE)}`;
    expect(stored()).toEqual([[name, sha256(IMAGE)], [`a/b/${name}`, sha256(IMAGE)]]);
    expect(openBucket({ prefix: 'a/b' }).uri(sha256(IMAGE))).toBe(`gs://bucket/a/b/${name}`);
  });

  it('knows its own objects by their URI, and those that a folder had, and no others', () => {
    const [bucket, id] = [openBucket(), sha256(IMAGE)];
    expect(bucket.sha256Of(bucket.uri(id))).toBe(id);
    expect(bucket.sha256Of(`${bucket.uri(id)}#my%20dog.jpg`)).toBe(id);
    expect(bucket.sha256Of(`eis://${id}#dog.jpg`)).toBe(id);
    for (const other of [`gs://other/images/${id.slice(0, 2)}/${id}`, `gs://bucket/${id.slice(0, 2)}/${id}`, `gs://bucket/images/00/${id}`, 'gs://bucket/images/cat.jpg', 'https://example.com/', 'eis://x']) {
      expect(bucket.sha256Of(other)).toBeUndefined();
    }
  });
});

describe.concurrent('GcsBucket, when Cloud Storage falters', () => {
  // One server each, so that these can run at once: most of their time is the client's wait before it tries again.
  const withWire = (run: (server: WireServer, bucket: GcsBucket) => Promise<void>) => async (): Promise<void> => {
    const server = await WireServer.start();
    try {
      await run(server, openBucket({ apiEndpoint: server.url }));
    } finally {
      await server.close();
    }
  };
  const hashes = (server: WireServer): string[] => [...server.objects.byName.values()].map(({ bytes }) => sha256(bytes));

  it.each([['429', 429], ['503', 503]] as const)('sends an image again after %s, and has one object', (_name, status) => withWire(async (server, bucket) => {
    server.faults.plan('insert', { kind: 'status', status });
    await put(bucket, IMAGE);
    expect(hashes(server)).toEqual([sha256(IMAGE)]);
    expect(server.count('insert')).toBe(2);
  })());

  it('sends an image again when the connection is reset in the middle', withWire(async (server, bucket) => {
    const image = randomBytes(2 * MEBIBYTE);
    server.faults.plan('insert', { kind: 'reset', afterBytes: MEBIBYTE });
    await put(bucket, image);
    expect(hashes(server)).toEqual([sha256(image)]);
  }));

  it('takes "it is there already" for success when the first answer was lost', withWire(async (server, bucket) => {
    server.faults.plan('insert', { kind: 'lost' });
    await put(bucket, IMAGE);
    expect(hashes(server)).toEqual([sha256(IMAGE)]);
    expect(server.count('insert')).toBe(2);
  }));

  it('sends 12 MB in chunks and goes on where it was cut', withWire(async (server, bucket) => {
    const image = randomBytes(12 * MEBIBYTE);
    server.faults.plan('chunk', { kind: 'reset', afterBytes: 3 * MEBIBYTE });
    const putting = put(bucket, image);
    while (server.count('status') === 0) await sleep(20);
    expect(server.objects.byName.size).toBe(0);
    await putting;
    expect(hashes(server)).toEqual([sha256(image)]);
    const chunks = server.seen.filter(({ operation }) => operation === 'chunk').map(({ range = '' }) => Number(/^bytes (\d+)/.exec(range)?.[1]));
    expect([chunks[0], chunks.length]).toEqual([0, 3]);
    expect(chunks[1]).toBeGreaterThanOrEqual(3 * MEBIBYTE - 256 * 1024);
    expect(server.count('session')).toBe(1);
  }));

  it('goes on with a session that is answered 503 at every step', withWire(async (server, bucket) => {
    const image = randomBytes(9 * MEBIBYTE);
    for (const operation of ['session', 'chunk', 'status'] as const) server.faults.plan(operation, { kind: 'status', status: 503 });
    await put(bucket, image);
    expect(hashes(server)).toEqual([sha256(image)]);
  }));

  it('begins anew when a session has lost bytes that the client no longer has', withWire(async (server, bucket) => {
    const image = randomBytes(9 * MEBIBYTE);
    server.faults.plan('chunk', { kind: 'slow', delayMs: 0 }); // the first arrives
    server.faults.plan('chunk', { kind: 'status', status: 503 });
    server.faults.plan('status', { kind: 'forget' });
    await put(bucket, image);
    expect(server.count('session')).toBe(2);
    expect(hashes(server)).toEqual([sha256(image)]);
  }));

  it('reads an object again that was not answered, was cut, ended early, stood still or came damaged', withWire(async (server, bucket) => {
    await put(bucket, IMAGE);
    server.faults.plan('download', { kind: 'reset', afterBytes: 1_000 });
    server.faults.plan('download', { kind: 'corrupt' });
    server.faults.plan('download', { kind: 'stall', afterBytes: 1_000 });
    expect(await bucket.get(sha256(IMAGE))).toEqual(IMAGE);
    server.faults.plan('download', { kind: 'status', status: 503 });
    server.faults.plan('download', { kind: 'short', afterBytes: 1_000 });
    server.faults.plan('download', { kind: 'corrupt', hash: 'crc32c' });
    expect(await bucket.get(sha256(IMAGE))).toEqual(IMAGE);
  }));

  it('calls an object damaged that comes so each time, which is not that the bucket is away', withWire(async (server, bucket) => {
    await put(bucket, IMAGE);
    server.faults.plan('download', { kind: 'corrupt' }, 20);
    await expect(bucket.get(sha256(IMAGE))).rejects.toMatchObject({ code: 'EIS_OBJECT_DAMAGED', message: expect.stringContaining('checksum') as string });
  }));

  it('deletes in spite of a 503', withWire(async (server, bucket) => {
    await put(bucket, IMAGE);
    server.faults.plan('delete', { kind: 'status', status: 503 });
    expect(await bucket.delete(sha256(IMAGE))).toBe(true);
    expect(server.objects.byName.size).toBe(0);
  }));

  it('gives up within its time, with an error of its own', withWire(async (server) => {
    const bucket = openBucket({ apiEndpoint: server.url, timing: { ...TIMING, totalTimeoutMs: 500 } });
    for (const operation of ['insert', 'session', 'download', 'delete'] as const) server.faults.plan(operation, { kind: 'slow', delayMs: 60_000 }, 10);
    const started = performance.now();
    const refused = { code: 'EIS_BUCKET_UNAVAILABLE', message: expect.stringContaining('did not finish within 500 ms') as string };
    await Promise.all([put(bucket, IMAGE), put(bucket, randomBytes(9 * MEBIBYTE)), bucket.get(sha256(IMAGE)), bucket.delete(sha256(IMAGE))].map((operation) => expect(operation).rejects.toMatchObject(refused)));
    expect(performance.now() - started).toBeLessThan(2_000);
  }));

  it('gives up after its retries', withWire(async (server) => {
    const bucket = openBucket({ apiEndpoint: server.url, timing: { ...TIMING, retriesMax: 1 } });
    server.faults.plan('insert', { kind: 'status', status: 503 }, 10);
    await expect(put(bucket, IMAGE)).rejects.toMatchObject({ code: 'EIS_BUCKET_UNAVAILABLE', statusCode: 503, retryAfterS: 1, message: expect.stringContaining('answered 503') as string });
    expect([server.count('insert'), server.objects.byName.size]).toEqual([2, 0]);
  }));
});

describe('GcsBucket', () => {
  it('has one object of an image that two write at the same time', async () => {
    const images = [IMAGE, randomBytes(9 * MEBIBYTE)];
    for (const image of images) {
      wire.objects.byName.clear();
      await Promise.all([put(openBucket(), image), put(openBucket(), image)]);
      expect(stored()).toEqual(only(image));
    }
  });

  it('says which permission is missing, and keeps the cause', async () => {
    for (const [operation, permission, run] of [
      ['insert', 'storage.objects.create', () => put(openBucket(), IMAGE)],
      ['download', 'storage.objects.get', () => openBucket().get(sha256(IMAGE))],
      ['delete', 'storage.objects.delete', () => openBucket().delete(sha256(IMAGE))],
    ] as const) {
      wire.faults.plan(operation, { kind: 'status', status: 403 });
      await expect(run()).rejects.toMatchObject({ code: 'EIS_BUCKET_UNAVAILABLE', message: expect.stringContaining(permission) as string, cause: expect.any(Error) as Error });
    }
    wire.faults.plan('insert', { kind: 'status', status: 401 });
    await expect(put(openBucket(), IMAGE)).rejects.toThrow('gcloud auth application-default login');
  });

  it('tells a bucket that is missing from an object that is', async () => {
    const bucket = openBucket({ name: 'another-bucket' });
    const refused = { code: 'EIS_BUCKET_UNAVAILABLE', message: expect.stringContaining('no bucket gs://another-bucket') as string };
    await expect(put(bucket, IMAGE)).rejects.toMatchObject(refused);
    await expect(bucket.get(sha256(IMAGE))).rejects.toMatchObject(refused);
    await expect(bucket.delete(sha256(IMAGE))).rejects.toMatchObject(refused);
  });

  it('unpacks what was stored compressed, and no bomb', async () => {
    const name = (bytes: Buffer): string => `images/${sha256(bytes).slice(0, 2)}/${sha256(bytes)}`;
    const bomb = Buffer.alloc(BUCKET_IMAGE_BYTES_MAX * 100);
    for (const bytes of [IMAGE, bomb]) wire.objects.insert({ name: name(bytes), bytes: gzipSync(bytes), contentEncoding: 'gzip' }, null);
    const bucket = openBucket({ imageBytesMax: BUCKET_IMAGE_BYTES_MAX });
    expect(await bucket.get(sha256(IMAGE))).toEqual(IMAGE);
    await expect(bucket.get(sha256(bomb))).rejects.toMatchObject({ code: 'EIS_IMAGE_TOO_LARGE' });
  });
});
