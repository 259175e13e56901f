import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GcsObjectReader } from '../../common/bucket/gcs-object-reader.js';
import type { EmbedAnswer, ErrorBodySchema } from '../../common/wire.js';
import type { Static } from 'typebox';
import { WIRE_BUCKET, WireServer } from '../support/gcs-wire/wire-server.js';
import { startFunction, type FunctionProcess } from './support/function-process.js';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('The function, asked for objects of Cloud Storage', () => {
  let wire: WireServer;
  let started: FunctionProcess;
  let image: Buffer;
  beforeAll(async () => {
    wire = await WireServer.start();
    [started, image] = await Promise.all([
      startFunction({ BUCKET: `gs://${WIRE_BUCKET}/images`, STORAGE_EMULATOR_HOST: wire.url, EIS_IMAGE_BYTES_MAX: '50000', EIS_FETCH_TIMEOUT_MS: '4000' }),
      sharp({ create: { width: 40, height: 30, channels: 3, background: 'teal' } }).png().toBuffer(),
    ]);
  });
  afterAll(async () => {
    await started.stop();
    await wire.close();
  });

  async function embed(url: string): Promise<{ status: number; body: EmbedAnswer & Static<typeof ErrorBodySchema> }> {
    const response = await fetch(started.url, { method: 'POST', body: JSON.stringify({ url }), headers: { 'content-type': 'application/json' } });
    return { status: response.status, body: (await response.json()) as EmbedAnswer & Static<typeof ErrorBodySchema> };
  }

  it('reads any of the configured bucket through the API, by its name as it is', async () => {
    const id = sha256(image);
    const content = `images/${id.slice(0, 2)}/${id}`;
    for (const name of ['photos/a b#1 100%.png', 'ä/&?.png', content]) wire.objects.insert({ name, bytes: image }, null);
    for (const url of ['gs://bucket/photos/a b#1 100%.png', 'gs://bucket/ä/&?.png', `gs://bucket/${content}`, `gs://bucket/${content}#my%20dog.png`]) {
      expect(await embed(url), url).toMatchObject({ status: 200, body: { sha256: id, width: 40 } });
    }
  });

  it('reads no other bucket, and says which one it reads', async () => {
    const before = wire.seen.length;
    for (const url of ['gs://other/a.png', 'gs://bucket.evil/a.png', 'GS://Bucket/a.png', 'gs:///a.png', 'gs:a.png']) {
      expect(await embed(url), url).toMatchObject({ status: 403, body: { code: 'EIS_URL_FORBIDDEN', message: expect.stringContaining('gs://bucket.') as string } });
    }
    expect(await embed('gs://bucket/')).toMatchObject({ status: 400, body: { code: 'EIS_URL_INVALID' } });
    expect(wire.seen.length).toBe(before);
  });

  it('says what became of an object that could not be read', async () => {
    wire.objects.insert({ name: 'a.png', bytes: image }, null);
    wire.objects.insert({ name: 'large.png', bytes: Buffer.alloc(50_001) }, null);
    wire.objects.insert({ name: 'empty.png', bytes: Buffer.alloc(0) }, null);
    expect(await embed('gs://bucket/missing.png')).toMatchObject({ status: 422, body: { code: 'EIS_URL_REJECTED', message: expect.stringContaining('404. There is no such object in gs://bucket') as string } });
    expect(await embed('gs://bucket/large.png')).toMatchObject({ status: 413, body: { code: 'EIS_IMAGE_TOO_LARGE' } });
    expect(await embed('gs://bucket/empty.png')).toMatchObject({ status: 400, body: { code: 'EIS_IMAGE_MISSING' } });
    wire.faults.plan('download', { kind: 'status', status: 403 });
    expect(await embed('gs://bucket/a.png')).toMatchObject({ status: 422, body: { code: 'EIS_URL_REJECTED', message: expect.stringContaining('storage.objects.get') as string } });
    wire.faults.plan('download', { kind: 'slow', delayMs: 60_000 });
    expect(await embed('gs://bucket/a.png')).toMatchObject({ status: 504, body: { code: 'EIS_URL_TIMEOUT' } });
  });

  it('reads again what was answered 503, or was cut', async () => {
    wire.objects.insert({ name: 'a.png', bytes: image }, null);
    wire.faults.plan('download', { kind: 'reset', afterBytes: 10 });
    wire.faults.plan('download', { kind: 'status', status: 503 });
    expect((await embed('gs://bucket/a.png')).status).toBe(200);
  });
});

describe('GcsObjectReader', () => {
  let wire: WireServer;
  beforeEach(async () => {
    wire = await WireServer.start();
    wire.objects.insert({ name: 'a', bytes: Buffer.alloc(5_000_000, 'a') }, null);
  });
  afterEach(() => wire.close());
  const openReader = (fetchTimeoutMs: number): GcsObjectReader => new GcsObjectReader({ bucket: WIRE_BUCKET, apiEndpoint: wire.url, limits: { fetchTimeoutMs, imageBytesMax: 5_000_000 } });

  it('stops when nobody waits any more, and disturbs no other reading', async () => {
    const reader = openReader(5_000);
    wire.faults.plan('download', { kind: 'stall', afterBytes: 100 });
    const abort = new AbortController();
    const left = expect(reader.read('a', { signal: abort.signal })).rejects.toThrow('left');
    while (wire.count('download') === 0) await sleep(5);
    wire.faults.plan('download', { kind: 'slow', delayMs: 100 }, 3);
    const others = [1, 2, 3].map(() => reader.read('a'));
    abort.abort(new Error('left'));
    await left;
    for (const bytes of await Promise.all(others)) expect(bytes.length).toBe(5_000_000);
    expect(wire.count('download')).toBe(4);
  });

  it('calls it a failure of the URL when Cloud Storage does not recover', async () => {
    wire.faults.plan('download', { kind: 'status', status: 503 }, 10);
    await expect(openReader(10_000).read('a')).rejects.toMatchObject({ code: 'EIS_URL_FAILED', message: expect.stringContaining('answered 503') as string });
    expect(wire.count('download')).toBe(4);
  });

  it('asks for one byte more than it takes', async () => {
    wire.objects.insert({ name: 'b', bytes: Buffer.alloc(50_000_000) }, null);
    await expect(openReader(5_000).read('b')).rejects.toMatchObject({ code: 'EIS_IMAGE_TOO_LARGE' });
    expect(wire.seen[0]?.range).toBe('bytes=0-5000000');
  });
});
