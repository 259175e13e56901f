import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findSources, type Found } from '../../ingest/upload-walk.js';
import { WireServer } from '../support/gcs-wire/wire-server.js';

let wire: WireServer;
beforeEach(async () => {
  wire = await WireServer.start();
  vi.stubEnv('STORAGE_EMULATOR_HOST', wire.url);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await wire.close();
});

const ID = `ab${'1'.repeat(62)}`;
const add = (...names: string[]): void => names.forEach((name) => wire.objects.insert({ name, bytes: Buffer.from(name) }, null));
const find = (source: string): AsyncGenerator<Found> => findSources([source], (async function* () {})());

async function findAll(source: string): Promise<Found[]> {
  const found: Found[] = [];
  for await (const one of find(source)) found.push(one);
  return found;
}

describe('findSources(), of a bucket', () => {
  it('finds the images under a prefix, and counts what is none', async () => {
    add('a.jpg', 'photos/a#1 ä.JPG', 'photos/', 'photos/b/c.webp', 'photos/notes.txt', `photos/ab/${ID}`, 'photos-old/x.jpg');
    const expected = [
      { kind: 'url', url: 'gs://bucket/photos/a#1 ä.JPG' },
      { kind: 'url', url: `gs://bucket/photos/ab/${ID}` },
      { kind: 'url', url: 'gs://bucket/photos/b/c.webp' },
      { kind: 'skipped', path: 'gs://bucket/photos/notes.txt' },
    ];
    expect(await findAll('gs://bucket/photos/')).toEqual(expected);
    expect(await findAll('gs://bucket/photos')).toEqual(expected);
    for (const whole of ['gs://bucket', 'gs://bucket/']) expect(await findAll(whole)).toHaveLength(6);
  });

  it('takes the exact name of an object for one image, and asks for nothing where the name says so', async () => {
    add('photo', 'photo/a.jpg');
    expect(await findAll('gs://bucket/photo')).toEqual([{ kind: 'url', url: 'gs://bucket/photo' }]);
    expect(wire.seen.map(({ operation }) => operation)).toEqual(['metadata']);
    for (const source of ['gs://bucket/photo/a.jpg', 'gs://no-such-bucket/b.png', `gs://bucket/ab/${ID}#dog.jpg`]) expect(await findAll(source)).toEqual([{ kind: 'url', url: source }]);
    expect(wire.seen).toHaveLength(1);
  });

  it('asks for a page of 2,500 objects when the one before is used up', async () => {
    add(...Array.from({ length: 2_500 }, (_, i) => `photos/${String(i).padStart(4, '0')}.jpg`));
    const urls: string[] = [];
    for await (const one of find('gs://bucket/photos/')) {
      if (one.kind === 'url') urls.push(one.url);
      expect(wire.count('list') * 1_000 - urls.length).toBeLessThan(1_000);
    }
    expect(urls).toHaveLength(2_500);
    expect(new Set(urls).size).toBe(2_500);
    expect(wire.count('list')).toBe(3);
  });

  it('goes on after a page that was answered 503', async () => {
    add('photos/a.jpg');
    wire.faults.plan('list', { kind: 'status', status: 503 });
    expect(await findAll('gs://bucket/photos/')).toHaveLength(1);
  });

  it.each([
    ['no object', 'gs://bucket/nothing/', undefined, 'there is no such object'],
    ['no bucket', 'gs://other', undefined, 'no bucket gs://other'],
    ['no credentials', 'gs://bucket', 401, 'gcloud auth application-default login'],
    ['no permission', 'gs://bucket', 403, 'storage.objects.list'],
  ])('says what is wrong where there is %s', async (_name, source, status, expected) => {
    if (status !== undefined) wire.faults.plan('list', { kind: 'status', status });
    expect(await findAll(source)).toMatchObject([{ kind: 'unreadable', path: source, error: { code: 'EIS_SOURCE_UNREADABLE', message: expect.stringContaining(expected) as string } }]);
  });
});
