import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { GcsBucket } from '../../common/bucket/gcs-bucket.js';
import { EisError } from '../../common/errors.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { ingest, type IngestOptions, type IngestProgress, type IngestSummary } from '../../ingest/upload.js';
import { uploadFound } from '../../ingest/upload-bucket.js';
import type { Found } from '../../ingest/upload-walk.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { WIRE_BUCKET, WireServer } from '../support/gcs-wire/wire-server.js';
import { runCli } from '../support/run-cli.js';
import { MemoryStore } from '../support/memory-store.js';
import { tempFolder } from '../support/temp-folder.js';
import { LIMITS, MODEL, StubFunction, entriesOf, openQueue, sha256, startWorker } from './support.js';

const PATIENCE = { firstMs: 500, laterMs: 10_000, backoff: { baseMs: 5, capMs: 20 } };

let wire: WireServer;
let bucket: GcsBucket;
let store: MemoryStore;
let client: StubFunction;
let gatewayUrl: string;
let folder: string;

beforeEach(async () => {
  folder = tempFolder();
  wire = await WireServer.start();
  onTestFinished(() => wire.close());
  bucket = new GcsBucket({ name: WIRE_BUCKET, prefix: 'images', imageBytesMax: LIMITS.imageBytesMax, apiEndpoint: wire.url, timing: { retriesMax: 1, retryDelayMaxMs: 1_000 } });
  const queue = openQueue();
  [store, client] = [new MemoryStore(), new StubFunction()];
  const app = await createWrapperApp({ queue, store, bucket, ingestModels: [MODEL], models: [MODEL], limits: LIMITS, metrics: new Metrics('wrapper'), log: SILENT_LOG });
  onTestFinished(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  gatewayUrl = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  await startWorker({ queue, store, client, bucket });
});

const run = (sources: string[], options: Partial<IngestOptions> = {}): Promise<IngestSummary> => ingest({ sources, gatewayUrl, wait: true, patience: PATIENCE, bucket, ...options });
const write = (name: string, content = name): string => {
  mkdirSync(join(folder, name, '..'), { recursive: true });
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const objectName = (content: string): string => `images/${sha256(content).slice(0, 2)}/${sha256(content)}`;

describe('ingest(), with a bucket of Cloud Storage', () => {
  it('puts the files of a folder there, and sends their URLs', async () => {
    for (let i = 0; i < 40; i++) write(`${i % 3}/photo ${i}.JPG`);
    const progress: IngestProgress[] = [];
    const summary = await run([folder], { onProgress: (state) => progress.push(state) });
    expect(summary).toMatchObject({ sent: 40, stored: 40, duplicates: 0, rejected: [], skipped: 0 });
    expect([...wire.objects.byName.keys()].sort()).toEqual(Array.from({ length: 40 }, (_, i) => objectName(`${i % 3}/photo ${i}.JPG`)).sort());
    expect(client.calls.sort()).toEqual(Array.from({ length: 40 }, (_, i) => `${i % 3}/photo ${i}.JPG`).sort());
    expect(progress.flatMap(({ uploaded }) => uploaded ?? [])).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect((await entriesOf(store)).map(({ source }) => source)).toContain(`gs://bucket/${objectName('1/photo 1.JPG')}#1%2Fphoto%201.JPG`);
  });

  it('embeds no content twice', async () => {
    write('a.jpg', 'the same');
    client.version = { version: 'v', dim: 2 };
    await run([folder]);
    client.version = (await store.liveVersion(MODEL))!;
    write('b.jpg', 'the same');
    expect(await run([join(folder, 'b.jpg')])).toMatchObject({ sent: 1, duplicates: 1 });
    expect([client.calls, wire.objects.byName.size]).toEqual([['the same'], 1]);
  });

  it('names what it cannot take by its path, and goes on', async () => {
    write('good.jpg');
    const [empty, large] = [write('empty.jpg', ''), write('large.jpg')];
    truncateSync(large, LIMITS.imageBytesMax + 1);
    const broken = join(folder, 'broken.jpg');
    symlinkSync(join(folder, 'nowhere'), broken);
    const { sent, stored, rejected } = await run([folder]);
    expect([sent, stored]).toEqual([1, 1]);
    expect(rejected.map(({ source, code }) => [source, code]).sort()).toEqual([[broken, 'EIS_SOURCE_UNREADABLE'], [empty, 'EIS_IMAGE_MISSING'], [large, 'EIS_IMAGE_TOO_LARGE']]);
  });

  it('names a rejected file by its path, too', async () => {
    client.behave = () => Promise.reject(new EisError('EIS_IMAGE_INVALID', {}));
    const path = write('a.jpg');
    expect((await run([path])).rejected).toMatchObject([{ source: path, code: 'EIS_IMAGE_INVALID' }]);
  });

  it('shortens a long name to what a URL may have', async () => {
    const path = write(`${Array.from({ length: 10 }, () => 'ü'.repeat(50)).join('/')}/end.jpg`, 'x');
    expect(await run([folder])).toMatchObject({ sent: 1, stored: 1 });
    const [{ source } = { source: '' }] = await entriesOf(store);
    expect(source.length).toBeLessThanOrEqual(2_048);
    expect(path.endsWith(decodeURIComponent(source.split('#')[1]!))).toBe(true);
  });

  it('ends with the bucket’s error when that cannot be written to', async () => {
    for (let i = 0; i < 20; i++) write(`${i}.jpg`);
    wire.faults.plan('insert', { kind: 'status', status: 403 }, 100);
    await expect(run([folder])).rejects.toMatchObject({ code: 'EIS_BUCKET_UNAVAILABLE', message: expect.stringContaining('storage.objects.create') as string });
    expect(wire.count('insert')).toBeLessThan(20);
  });

  it('is what the command does where BUCKET names one', async () => {
    write('a.jpg');
    const { code, stdout } = await runCli(['ingest', folder, '--gateway', gatewayUrl, '--json'], { BUCKET: 'gs://bucket/images', STORAGE_EMULATOR_HOST: wire.url });
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { sent: 1, stored: 1, rejected: [] }]);
    expect([...wire.objects.byName.keys()]).toEqual([objectName('a.jpg')]);
  });

  it('has its images handed out by the wrapper, and removed with their bytes', async () => {
    await run([write('a.jpg', 'the bytes')]);
    const image = `${gatewayUrl}/images/${sha256('the bytes')}`;
    expect(await (await fetch(image)).text()).toBe('the bytes');
    expect(await (await fetch(`${image}?object=true`, { method: 'DELETE' })).json()).toEqual({ id: sha256('the bytes'), models: [MODEL], object: true });
    expect([(await fetch(image)).status, wire.objects.byName.size]).toEqual([404, 0]);
    await run([join(folder, 'a.jpg')]);
    expect(await (await fetch(image)).text()).toBe('the bytes');
    expect(client.calls).toEqual(['the bytes', 'the bytes']);
  });
});

describe('POST /images, with a bucket of Cloud Storage', () => {
  it('stores images of a form and of a body, and refuses one over the limit either way', async () => {
    const large = Buffer.alloc(LIMITS.imageBytesMax + 1, 'x');
    const form = (bytes: Buffer): FormData => {
      const data = new FormData();
      data.append('image', new Blob([new Uint8Array(bytes)]), 'a.jpg');
      return data;
    };
    const post = (body: FormData | Buffer): Promise<Response> => fetch(`${gatewayUrl}/images`, { method: 'POST', body, ...(Buffer.isBuffer(body) ? { headers: { 'content-type': 'image/jpeg' } } : {}) });
    for (const body of [form(large), large]) expect((await post(body)).status).toBe(413);
    expect(wire.objects.byName.size).toBe(0);
    const answer = (await (await post(form(Buffer.from('in a form')))).json()) as { sources: string[] };
    expect(answer.sources).toEqual([`gs://bucket/${objectName('in a form')}#a.jpg`]);
    expect((await post(Buffer.from('a body'))).status).toBe(202);
  });
});

describe('uploadFound()', () => {
  const uploadAll = async (sizes: readonly number[], put: (held: () => number) => Promise<void>): Promise<number> => {
    let [running, most] = [0, 0];
    const counting = {
      uri: (id: string) => `gs://bucket/${id}`,
      put: async () => {
        most = Math.max(most, ++running);
        await put(() => running);
        running--;
        return { sha256: sha256('x'), bytes: 1 };
      },
    };
    const path = write('a.jpg');
    const files = (async function* (): AsyncGenerator<Found> {
      for (const bytes of sizes) yield { kind: 'file', path, name: 'a.jpg', bytes, modifiedAt: 0 };
    })();
    const urls: Found[] = [];
    for await (const one of uploadFound(files, { bucket: counting, imageBytesMax: 20_000_000, signal: new AbortController().signal, onUploaded: () => undefined })) urls.push(one);
    expect(urls).toHaveLength(sizes.length);
    return most;
  };

  it('uploads eight files at once', async () => {
    expect(await uploadAll(Array.from({ length: 50 }, () => 1_000), () => sleep(2))).toBe(8);
  });

  it('uploads fewer of large ones, so that memory stays flat', async () => {
    expect(await uploadAll(Array.from({ length: 12 }, () => 20_000_000), () => sleep(2))).toBe(3);
  });

  it('stops when it is told to', async () => {
    const abort = new AbortController();
    const endless = (async function* (): AsyncGenerator<Found> {
      for (;;) yield { kind: 'file', path: write('a.jpg'), name: 'a.jpg', bytes: 1, modifiedAt: 0 };
    })();
    const uploading = (async () => {
      for await (const one of uploadFound(endless, { bucket, imageBytesMax: 100, signal: abort.signal, onUploaded: (count) => count === 20 && abort.abort(new Error('interrupted')) })) void one;
    })();
    await expect(uploading).rejects.toThrow('interrupted');
  });
});
