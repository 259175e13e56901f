/** Copies of stored pictures searched for in two versions: one that sees colours, and one that sees nothing. */
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import type { LiveVersion } from '../../common/store/store.js';
import { compareHits, dot, normalise } from '../../common/vector.js';
import { COPIES_MAX, measureRecall, type RecallParts, type SearchedLane } from '../../cli/reembed-recall.js';
import type { IndexClient } from '../../gateway/index-client.js';
import { MemoryBucket, sha256 } from '../ingest/support.js';
import { MemoryStore } from '../support/memory-store.js';

const MODEL = 'm';
const OLD: LiveVersion = { version: 'a'.repeat(64), dim: 48 };
const NEW: LiveVersion = { version: 'b'.repeat(64), dim: 48 };
const COUNT = 24;
const LIMITS = { imagePixelsMax: 1_000_000, indexTimeoutMs: 5_000 };

type Embed = (bytes: Uint8Array) => Promise<Float32Array>;

const seeColours: Embed = async (bytes) => normalise(Array.from(await sharp(bytes).removeAlpha().resize(4, 4, { fit: 'fill' }).raw().toBuffer(), (value) => value - 127.5));
const seeNothing: Embed = async (bytes) => normalise(Array.from({ length: 48 }, (_, i) => Number.parseInt(sha256(Buffer.concat([bytes, Buffer.from([i])])).slice(0, 4), 16) - 32_768));

let pictures: Buffer[];

beforeAll(async () => {
  // Four fields, each of a colour that follows from the picture's number.
  const field = (i: number, n: number): string => `rgb(${[0, 1, 2].map((channel) => Number.parseInt(sha256(`${i} ${n} ${channel}`).slice(0, 2), 16)).join(',')})`;
  pictures = await Promise.all(Array.from({ length: COUNT }, (_, i) => sharp(Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96">${[0, 1, 2, 3].map((n) => `<rect x="${48 * (n % 2)}" y="${48 * (n >> 1)}" width="48" height="48" fill="${field(i, n)}"/>`).join('')}</svg>`)).png().toBuffer()));
});

async function prepare({ embedNext = seeColours }: { embedNext?: Embed } = {}): Promise<RecallParts & { store: MemoryStore; bucket: MemoryBucket }> {
  const store = new MemoryStore();
  const bucket = new MemoryBucket();
  const lane = async (live: LiveVersion, embed: Embed) => {
    const collection = store.collection(MODEL, live);
    for (const [i, bytes] of pictures.entries()) {
      const id = sha256(bytes);
      bucket.objects.set(id, bytes);
      await collection.write([{ id, vector: await embed(bytes), url: `eis://${id}#${i}.png`, origin: `${i}`, phash: '0'.repeat(16), width: 96, height: 96, format: 'png' }]);
    }
    const shard: Pick<IndexClient, 'search'> = {
      async search({ vector, modelVersion, top }) {
        if (modelVersion !== live.version) throw new EisError('EIS_MODEL_VERSION', { held: live.version, asked: modelVersion });
        const records = await collection.getMany(pictures.map((bytes) => sha256(bytes)));
        const hits = records.map(({ id, vector: stored }) => ({ id, score: dot(vector, stored), url: '', urls: [], width: 1, height: 1, phash: '' })).sort(compareHits).slice(0, top);
        return { model_version: live.version, hits, vectors: records.length, freshness_s: 0 };
      },
    };
    return { collection, shards: [shard], fn: { embed: async (bytes: Uint8Array) => ({ vector: await embed(bytes), modelVersion: live.version }) as never } };
  };
  const former: SearchedLane = await lane(OLD, seeColours);
  const next = await lane(NEW, embedNext);
  return { store, bucket, former, next, fetcher: { fetch: async () => Promise.reject(new EisError('EIS_URL_REJECTED', { status: 404 })) }, limits: LIMITS, signal: new AbortController().signal };
}

describe('measureRecall()', () => {
  it('finds the copies in both versions alike where both are the same', async () => {
    const measured = await measureRecall(await prepare());
    expect(measured).toMatchObject({ copies: COUNT, passed_over: 0, lost: 0, gained: 0 });
    expect(measured.former.at_1).toBeGreaterThan(COUNT / 2);
    expect(measured.next).toEqual(measured.former);
  });

  it('sees that a version finds nothing', async () => {
    const measured = await measureRecall(await prepare({ embedNext: seeNothing }));
    expect(measured.next.at_1).toBeLessThan(COUNT / 4);
    expect(measured.lost).toBeGreaterThan(COUNT / 3);
  });

  it('passes over what cannot be had again, or is another picture by now, and counts it', async () => {
    const parts = await prepare();
    const [gone, other, elsewhere] = pictures.map((bytes) => sha256(bytes)) as [string, string, string];
    parts.bucket.objects.delete(gone);
    parts.bucket.objects.set(other, pictures[5]!);
    parts.bucket.objects.delete(elsewhere);
    await parts.store.collection(MODEL, OLD).write([{ ...(await parts.store.collection(MODEL, OLD).getMany([elsewhere]))[0]!, url: 'https://example.com/still-there.png', origin: 'x' }]);
    const fetched: string[] = [];
    const fetch = async (url: string): Promise<Buffer> => (fetched.push(url), pictures[2]!);
    expect(await measureRecall({ ...parts, fetcher: { fetch } })).toMatchObject({ copies: COUNT - 2, passed_over: 2 });
    expect(fetched).toEqual(['https://example.com/still-there.png']);
  });

  it('makes no more copies than it may, and none when its time is over', async () => {
    expect(COPIES_MAX).toBe(204);
    expect(await measureRecall({ ...(await prepare()), copiesMax: 10 })).toMatchObject({ copies: 10 });
    expect(await measureRecall({ ...(await prepare()), forMs: 0 })).toMatchObject({ copies: 0, passed_over: 0 });
  });

  it('stops where a function runs another version than its index has, and where one fails by itself', async () => {
    const parts = await prepare();
    await expect(measureRecall({ ...parts, former: { ...parts.former, fn: parts.next.fn } })).rejects.toMatchObject({ code: 'EIS_MODEL_VERSION' });
    const fn = { embed: async () => Promise.reject(new EisError('EIS_FUNCTION_UNAVAILABLE', { model: MODEL })) };
    await expect(measureRecall({ ...parts, next: { ...parts.next, fn } })).rejects.toMatchObject({ code: 'EIS_FUNCTION_UNAVAILABLE' });
  });
});
