import { execFileSync } from 'node:child_process';
import { symlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import type { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import type { IngestProgress } from '../../ingest/upload.js';
import type { MemoryStore } from '../support/memory-store.js';
import { LIMITS, MODEL, type StubFunction, until, url } from './support.js';
import { PATIENCE, prepareUpload, type Proxy, type UploadFixture } from './upload-support.js';

let queue: EmbeddedQueue;
let store: MemoryStore;
let client: StubFunction;
let gateway: Proxy;
let folder: string;
let run: UploadFixture['run'];
let write: UploadFixture['write'];

beforeEach(async () => {
  ({ queue, store, client, gateway, folder, run, write } = await prepareUpload());
});

describe('ingest()', () => {
  it('sends the images of a folder and waits for their outcomes', async () => {
    for (let i = 0; i < 40; i++) write(`${i % 3}/photo ${i}.JPG`);
    const progress: IngestProgress[] = [];
    const summary = await run([folder], { onProgress: (state) => progress.push(state) });
    expect(summary).toEqual({ submission: expect.any(String) as string, sent: 40, stored: 40, duplicates: 0, rejected: [], skipped: 0 });
    expect(progress.at(-1)).toEqual({ sent: 40, settled: 40, expected: 40 });
  });

  it('says duplicates the second time', async () => {
    for (let i = 0; i < 20; i++) write(`${i}.png`);
    await run([folder]);
    expect(await run([folder])).toMatchObject({ sent: 20, stored: 0, duplicates: 20, rejected: [] });
  });

  it('changes nothing when a submission is sent again', async () => {
    for (let i = 0; i < 20; i++) write(`${i}.png`);
    const first = await run([folder], { submission: 'mine' });
    expect(await run([folder], { submission: 'mine' })).toEqual(first);
    expect(client.calls).toHaveLength(20);
  });

  it('takes image files only, leaves hidden ones alone, and follows links no further than round', async () => {
    write('a.jpeg');
    write('b/c.webp');
    write('b/d.txt');
    write('e.avif.bak');
    write('.hidden.jpg');
    write('.git/f.jpg');
    symlinkSync(folder, join(folder, 'b', 'loop'));
    symlinkSync(join(folder, 'nowhere.txt'), join(folder, 'broken'));
    const summary = await run([folder]);
    expect(summary).toMatchObject({ stored: 2, skipped: 3, rejected: [] });
  });

  it('names the images by their path in the folder', async () => {
    write('sub folder/ä.jpg');
    const { submission } = await run([folder]);
    const [entry] = (await store.ledger.list({ submission, limit: 1 })).entries;
    expect(decodeURIComponent(entry!.source.split('#')[1]!)).toBe('sub folder/ä.jpg');
  });

  it('sends a single file whatever its name', async () => {
    expect(await run([write('photo')])).toMatchObject({ sent: 1, stored: 1 });
  });

  it('sends URLs, and reads more from stdin', async () => {
    const stdin = Readable.from([Buffer.from(`${url(2)}\n\n${url(3)}`)]);
    expect(await run([url(1), '-', 'gs://bucket/a.jpg'], { stdin })).toMatchObject({ sent: 4, stored: 4 });
    expect([...client.calls].sort()).toEqual(['gs://bucket/a.jpg', url(1), url(2), url(3)].sort());
  });

  it('rejects what cannot be sent, and sends the rest', async () => {
    write('good.jpg');
    write('empty.jpg', '');
    truncateSync(write('large.jpg'), LIMITS.imageBytesMax + 1);
    symlinkSync(join(folder, 'nowhere.jpg'), join(folder, 'broken.jpg'));
    const summary = await run([folder, join(folder, 'missing'), 'ftp://example.com/a.jpg', url(1)]);
    expect(summary).toMatchObject({ sent: 2, stored: 2 });
    expect(summary.rejected.map(({ source, model, code }) => [source.replace(`${folder}/`, ''), model, code]).sort()).toEqual([
      ['broken.jpg', '*', 'EIS_SOURCE_UNREADABLE'],
      ['empty.jpg', '*', 'EIS_IMAGE_MISSING'],
      ['ftp://example.com/a.jpg', '*', 'EIS_URL_FORBIDDEN'],
      ['large.jpg', '*', 'EIS_IMAGE_TOO_LARGE'],
      ['missing', '*', 'EIS_SOURCE_UNREADABLE'],
    ]);
  });

  it('takes regular files only: rejects another that is named, skips it in a folder', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.jpg')]);
    write('good.jpg');
    const summary = await run([folder, '/dev/zero', join(folder, 'pipe.jpg')]);
    expect(summary).toMatchObject({ sent: 1, stored: 1, skipped: 1 });
    expect(summary.rejected.map(({ source, code }) => [source, code])).toEqual([['/dev/zero', 'EIS_SOURCE_UNREADABLE'], [join(folder, 'pipe.jpg'), 'EIS_SOURCE_UNREADABLE']]);
  });

  it('names what the workers rejected as the user gave it', async () => {
    const bad = write('bad.jpg');
    write('good.jpg');
    client.behave = (content) => {
      if (content === 'bad.jpg') throw new EisError('EIS_IMAGE_INVALID', {});
      return undefined;
    };
    const summary = await run([folder]);
    expect(summary).toMatchObject({ sent: 2, stored: 1 });
    expect(summary.rejected).toEqual([{ source: bad, model: MODEL, code: 'EIS_IMAGE_INVALID', message: new EisError('EIS_IMAGE_INVALID', {}).message }]);
  });

  it('finds the one image that the gateway refuses, and sends the others', async () => {
    for (let i = 0; i < 5; i++) write(`${i}.jpg`, 'x'.repeat(10 + i));
    gateway.intercept = (request, response) => {
      if (request.method !== 'POST' || Number(request.headers['content-length']) < 100_000) return false;
      request.resume();
      response.writeHead(413, { 'content-type': 'application/json' }).end(JSON.stringify(new EisError('EIS_IMAGE_TOO_LARGE', LIMITS).toBody()));
      return true;
    };
    const large = write('large.jpg', 'x'.repeat(200_000));
    const summary = await run([folder]);
    expect(summary).toMatchObject({ sent: 5, stored: 5, rejected: [{ source: large, model: '*', code: 'EIS_IMAGE_TOO_LARGE' }] });
  });

  it('gets everything through a gateway that fails in every way, and nothing twice', async () => {
    for (let i = 0; i < 100; i++) write(`${i}.jpg`);
    gateway.intercept = (request, response) => {
      switch (gateway.requests % 5) {
        case 0: // before the request was read
          request.socket.destroy();
          return true;
        case 1: // after it was worked off, before its answer
          response.end = () => request.socket.destroy() as never;
          return false;
        case 2:
          request.resume();
          response.writeHead(503, { 'retry-after': '0' }).end('not JSON');
          return true;
        case 3:
          request.resume();
          response.writeHead(429, { 'content-type': 'application/json' }).end(JSON.stringify(new EisError('EIS_OVERLOADED', { detail: 'Full.' }).toBody()));
          return true;
        default:
          return false;
      }
    };
    expect(await run([folder])).toMatchObject({ sent: 100, stored: 100, duplicates: 0, rejected: [] });
    await until(async () => (await queue.depth(MODEL)).ready === 0);
    expect(await store.collection(MODEL, { version: 'version-1', dim: 2 }).count()).toBe(100);
  });

  it('does not wait when it is told so', async () => {
    write('a.jpg');
    expect(await run([folder], { wait: false })).toMatchObject({ sent: 1, stored: 0, duplicates: 0 });
  });

  it('has nothing to wait for where nothing was sent', async () => {
    write('a.txt');
    expect(await run([folder])).toMatchObject({ sent: 0, skipped: 1 });
    expect(gateway.requests).toBe(0);
  });

  it('says so when no gateway answers', async () => {
    write('a.jpg');
    await expect(run([folder], { gatewayUrl: 'http://127.0.0.1:1', patience: { ...PATIENCE, firstMs: 30 } })).rejects.toMatchObject({ code: 'EIS_GATEWAY_UNREACHABLE' });
  });

  it('passes on why the gateway takes nothing', async () => {
    write('a.jpg');
    gateway.intercept = (request, response) => {
      request.resume();
      response.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify(new EisError('EIS_WRAPPER_UNAVAILABLE', {}).toBody()));
      return true;
    };
    await expect(run([folder], { patience: { ...PATIENCE, firstMs: 30 } })).rejects.toMatchObject({ code: 'EIS_WRAPPER_UNAVAILABLE' });
  });

  it('stops when it is interrupted', async () => {
    write('a.jpg');
    client.behave = () => new Promise((resolve) => setTimeout(() => resolve(undefined), 300));
    const interrupt = new AbortController();
    const reason = new Error('interrupted');
    const running = run([folder], { signal: interrupt.signal, onProgress: () => interrupt.abort(reason) });
    await expect(running).rejects.toBe(reason);
  });

  it('refuses a submission that is no id', async () => {
    await expect(run([folder], { submission: 'a b' })).rejects.toMatchObject({ code: 'EIS_BAD_REQUEST' });
  });
});
