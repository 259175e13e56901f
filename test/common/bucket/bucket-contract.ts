/** What every bucket keeps to. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Bucket } from '../../../common/bucket/bucket.js';

export interface BucketUnderTest {
  readonly bucket: Bucket;
  /** Every object that lies in it, complete or not. */
  readonly countFiles: () => Promise<number>;
}

export const BUCKET_IMAGE_BYTES_MAX = 100_000;

export function describeBucketContract(name: string, prepare: () => BucketUnderTest): void {
  describe(`${name}, as a bucket`, () => {
    let bucket: Bucket;
    let countFiles: () => Promise<number>;
    beforeEach(() => {
      ({ bucket, countFiles } = prepare());
    });
    const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    const content = Buffer.from('some image'.repeat(1000));

    it('names an object by its content and gives it back', async () => {
      expect(await bucket.put(Readable.from([content.subarray(0, 100), content.subarray(100)]))).toEqual({ sha256: sha256(content), bytes: content.length });
      expect(await bucket.get(sha256(content))).toEqual(content);
      expect(bucket.uri(sha256(content))).toContain(sha256(content));
    });

    it('keeps one object of bytes that are put many times at once', async () => {
      await Promise.all(Array.from({ length: 10 }, () => bucket.put(Readable.from([content]))));
      expect(await countFiles()).toBe(1);
      expect(await bucket.get(sha256(content))).toEqual(content);
    });

    it('has nothing of what was not put', async () => {
      expect(await bucket.get('0'.repeat(64))).toBeUndefined();
      expect(await bucket.delete('0'.repeat(64))).toBe(false);
    });

    it('reads nothing by a name that is no sha256', async () => {
      for (const name of ['../../../etc/passwd', '', 'A'.repeat(64), '..']) expect(await bucket.get(name)).toBeUndefined();
    });

    it('refuses an object over the limit and leaves nothing of it', async () => {
      await expect(bucket.put(Readable.from([Buffer.alloc(BUCKET_IMAGE_BYTES_MAX), Buffer.alloc(1)]))).rejects.toMatchObject({ code: 'EIS_IMAGE_TOO_LARGE' });
      expect(await countFiles()).toBe(0);
      await bucket.put(Readable.from([Buffer.alloc(BUCKET_IMAGE_BYTES_MAX)]));
    });

    it('refuses an empty object', async () => {
      await expect(bucket.put(Readable.from([]))).rejects.toMatchObject({ code: 'EIS_IMAGE_MISSING' });
      expect(await countFiles()).toBe(0);
    });

    it('leaves nothing of an interrupted stream', async () => {
      const broken = Readable.from((function* () {
        yield Buffer.alloc(1000);
        throw new Error('connection lost');
      })());
      await expect(bucket.put(broken)).rejects.toThrow('connection lost');
      expect(await countFiles()).toBe(0);
    });

    it('deletes an object once', async () => {
      await bucket.put(Readable.from([content]));
      expect(await bucket.delete(sha256(content))).toBe(true);
      expect(await bucket.delete(sha256(content))).toBe(false);
      expect(await bucket.get(sha256(content))).toBeUndefined();
    });
  });
}
