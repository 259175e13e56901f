import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { countJpegSegments } from '../../functions/jpeg-markers.js';
import { seededRandom } from './support/tiny-model.js';

const random = seededRandom(8);
const noise = sharp(Uint8Array.from({ length: 64 * 48 * 3 }, () => random() * 256), { raw: { width: 64, height: 48, channels: 3 } });
const scan = Buffer.from([0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x3f, 0x00, 0x00]);
const scans = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => scan));

const countJpegScans = (bytes: Uint8Array): number => countJpegSegments(bytes).scans;

let baseline: Buffer;
let progressive: Buffer;

beforeAll(async () => {
  baseline = await noise.clone().jpeg({ quality: 95 }).toBuffer();
  progressive = await noise.clone().jpeg({ quality: 95, progressive: true }).toBuffer();
});

/** With a segment of its own after the start of the image. */
const withSegment = (jpeg: Buffer, marker: number, body: Buffer): Buffer => Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255]), body, jpeg.subarray(2)]);

describe('countJpegSegments()', () => {
  it('counts segments, scans among them, and no restart markers', () => {
    const { segments } = countJpegSegments(baseline);
    expect(segments).toBeGreaterThan(4);
    expect(countJpegSegments(withSegment(withSegment(baseline, 0xe1, Buffer.alloc(0)), 0xfe, Buffer.alloc(9, 0xff))).segments).toBe(segments + 2);
    expect(countJpegSegments(Buffer.concat([baseline.subarray(0, -2), Buffer.from([0xff, 0xd3, 0xff, 0xd4]), scans(3), baseline.subarray(-2)])).segments).toBe(segments + 3);
  });

  it('counts the scans of an image', () => {
    expect(countJpegScans(baseline)).toBe(1);
    expect(countJpegScans(progressive)).toBeGreaterThan(5);
    expect(countJpegScans(Buffer.concat([baseline.subarray(0, -2), scans(200), baseline.subarray(-2)]))).toBe(201);
  });

  it('counts nothing inside a segment, where a preview may lie', () => {
    for (const marker of [0xe1, 0xe2, 0xfe]) expect(countJpegScans(withSegment(baseline, marker, Buffer.concat([baseline, scans(300)])))).toBe(1);
  });

  it('counts nothing behind the end of the image, where a video may lie', () => {
    expect(countJpegScans(Buffer.concat([progressive, scans(500), baseline]))).toBe(countJpegScans(progressive));
  });

  it('goes on after restart markers, repeated FFs, and segments whose length is too small to be true', () => {
    const coded = Buffer.from([1, 0xff, 0x00, 0xda, 0xff, 0xd0, 2, 0xff, 0xd7, 3, 0xff, 0xff, 0xff]);
    const short = Buffer.from([0xff, 0xfe, 0x00, 0x00]);
    expect(countJpegScans(Buffer.concat([Buffer.from([0xff, 0xd8]), scan, coded, scan.subarray(1), short, scan]))).toBe(3);
  });

  it('ends with the file, wherever that was cut', () => {
    for (let length = 0; length < progressive.length; length++) expect(countJpegScans(progressive.subarray(0, length))).toBeLessThanOrEqual(countJpegScans(progressive));
    expect(countJpegScans(Buffer.alloc(1_000_000, 0xff))).toBe(0);
  });
});
