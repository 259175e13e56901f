/** Files that are made to make a decoder do something else than decode an image. */
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { createImageDecoder, type DecodeImage, type DecodedImage } from '../../functions/image.js';
import { countWebpFrames } from '../../functions/webp-frames.js';
import { pngChunk, pngWith } from '../support/png.js';
import { readMemoryMb } from '../support/process-memory.js';
import { riffChunk, webpAnimation, webpOf } from '../support/riff.js';

const SIZE = { width: 32, height: 32 };
/** What answering a file of the most bytes may take, a busy machine's slowness included: a bound on hanging. */
const HANG_MS = 20_000;
const MEMORY_MB_MAX = 900;
const BYTES_MAX = DEFAULT_LIMITS.imageBytesMax;

const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>';
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
/** Many of the same, up to the most bytes that an image may have. */
const full = (piece: Buffer): Buffer => Buffer.alloc(Math.floor((BYTES_MAX - 10_000) / piece.length) * piece.length, piece);

let decode: DecodeImage;
let still: Record<'jpeg' | 'png' | 'webp' | 'gif' | 'avif', Buffer>;

beforeAll(async () => {
  const scene = sharp({ create: { width: 24, height: 16, channels: 3, background: '#4080c0' } });
  const [jpeg, png, webp, gif, avif] = await Promise.all([scene.clone().jpeg().toBuffer(), scene.clone().png().toBuffer(), scene.clone().webp({ lossless: true }).toBuffer(), scene.clone().gif().toBuffer(), scene.clone().avif().toBuffer()]);
  still = { jpeg, png, webp, gif, avif };
  decode = createImageDecoder(DEFAULT_LIMITS, { cpus: 2 });
});

/** The code that it is refused with, or how it was decoded. */
const outcome = async (bytes: Buffer): Promise<string | DecodedImage> => decode(bytes, SIZE).catch((thrown: { code: string }) => thrown.code);

describe('a file of another format', () => {
  const others: [name: string, bytes: Buffer, code: string][] = [
    ['SVG', latin1(SVG), 'EIS_IMAGE_FORMAT'],
    ['SVG behind a declaration and a comment', latin1(`<?xml version="1.0"?><!-- x -->${SVG}`), 'EIS_IMAGE_FORMAT'],
    ['PDF', latin1('%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj'), 'EIS_IMAGE_FORMAT'],
    ['TIFF', latin1('II*\0\x08\0\0\0\0\0\0\0\0\0'), 'EIS_IMAGE_FORMAT'],
    ['BigTIFF', latin1('MM\0+\0\x08\0\0'), 'EIS_IMAGE_FORMAT'],
    ['BMP', latin1('BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0'), 'EIS_IMAGE_FORMAT'],
    ['ICO', latin1('\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0'), 'EIS_IMAGE_FORMAT'],
    ['JPEG XL', latin1('\xff\x0a\xfa\x1f\x01\x90'), 'EIS_IMAGE_FORMAT'],
    ['JPEG XL in boxes', latin1('\0\0\0\x0cJXL \r\n\x87\n'), 'EIS_IMAGE_FORMAT'],
    ['JPEG 2000', latin1('\0\0\0\x0cjP  \r\n\x87\n'), 'EIS_IMAGE_FORMAT'],
    ['HEIC', latin1('\0\0\0\x18ftypheic\0\0\0\0mif1heic'), 'EIS_IMAGE_FORMAT'],
    ['a film', latin1('\0\0\0\x18ftypisom\0\0\0\0isommp42'), 'EIS_IMAGE_FORMAT'],
    ['OpenEXR', latin1('v/1\x01\x02\0\0\0'), 'EIS_IMAGE_FORMAT'],
    ['PPM', latin1('P6\n1 1\n255\nabc'), 'EIS_IMAGE_INVALID'],
    ['PFM', latin1('PF\n1 1\n-1.0\nabcdabcdabcd'), 'EIS_IMAGE_INVALID'],
    ['Radiance HDR', latin1('#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\nabcd'), 'EIS_IMAGE_INVALID'],
    ['FITS', latin1('SIMPLE  =                    T'.padEnd(80) + 'END'.padEnd(2_800)), 'EIS_IMAGE_INVALID'],
    ['a vips image', latin1('\x08\xf2\xa6\xb6'.padEnd(64, '\0')), 'EIS_IMAGE_INVALID'],
    ['a matrix', latin1('1 1\n0\n'), 'EIS_IMAGE_INVALID'],
    ['HTML', latin1('<!doctype html><script>alert(1)</script>'), 'EIS_IMAGE_INVALID'],
  ];
  it.each(others)('is refused before a decoder sees it, and reaches none: %s', async (_, bytes, code) => {
    await expect(decode(bytes, SIZE)).rejects.toMatchObject({ code });
    await expect(sharp(bytes).metadata()).rejects.toThrow();
  });

  it.each(Object.keys({ jpeg: 0, png: 0, webp: 0, gif: 0, avif: 0 }) as (keyof typeof still)[])('is not taken for it behind the first bytes of a %s', async (format) => {
    const head = still[format].subarray(0, format === 'avif' ? 32 : 12);
    for (const [name, bytes] of others) await expect(decode(Buffer.concat([head, bytes]), SIZE), name).rejects.toMatchObject({ code: 'EIS_IMAGE_UNDECODABLE', statusCode: 422 });
  });

  it.each(Object.keys({ jpeg: 0, png: 0, webp: 0, gif: 0, avif: 0 }) as (keyof typeof still)[])('changes nothing behind a whole %s', async (format) => {
    const alone = await decode(still[format], SIZE);
    for (const [name, bytes] of others) expect(await outcome(Buffer.concat([still[format], bytes])), name).toMatchObject({ format, pixels: alone.pixels });
  });

  it('is not decoded where its boxes say AVIF and its picture is of another kind', async () => {
    const heic = Buffer.from(still.avif);
    for (let at = heic.indexOf('av01'); at >= 0; at = heic.indexOf('av01', at)) heic.write('hvc1', at, 'latin1');
    await expect(decode(heic, SIZE)).rejects.toMatchObject({ code: 'EIS_IMAGE_UNDECODABLE' });
  });
});

describe('a file of the most bytes, made of the smallest parts', () => {
  const segment = (marker: number, body = ''): Buffer => Buffer.concat([Buffer.from([0xff, marker, 0, body.length + 2]), latin1(body)]);
  const jpegWith = (parts: Buffer): Buffer => Buffer.concat([still.jpeg.subarray(0, 2), parts, still.jpeg.subarray(2)]);
  const zeros = deflateSync(Buffer.alloc(7_900_000), { level: 9 });
  const gifFrames = (): Buffer => Buffer.concat([latin1('GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff'), full(Buffer.from([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0])), latin1(';')]);
  const cases: [name: string, bytes: () => Buffer | Promise<Buffer>, code?: string][] = [
    ['JPEG segments', () => jpegWith(full(segment(0xe1))), 'EIS_IMAGE_UNDECODABLE'],
    ['JPEG comments', () => jpegWith(full(segment(0xfe))), 'EIS_IMAGE_UNDECODABLE'],
    ['JPEG profiles', () => jpegWith(full(segment(0xe2, 'ICC_PROFILE\0\x01\x01'))), 'EIS_IMAGE_UNDECODABLE'],
    ['a JPEG’s metadata, in as few segments as hold it', () => jpegWith(Buffer.concat(Array.from({ length: 310 }, () => Buffer.concat([Buffer.from([0xff, 0xe1, 0xff, 0xff]), latin1('http://ns.adobe.com/xap/1.0/\0'.padEnd(65_533, 'x'))]))))],
    ['WebP frames', () => webpAnimation(still.webp, Math.floor(BYTES_MAX / (still.webp.length + 40)), { width: 24, height: 16 }), 'EIS_IMAGE_UNDECODABLE'],
    ['WebP frames in one another', () => webpOf(riffChunk('ANMF', full(latin1('ANMF\x10\0\0\0'.padEnd(24, '\0'))))), 'EIS_IMAGE_UNDECODABLE'],
    ['WebP chunks', () => webpOf(riffChunk('VP8X', Buffer.from([0, 0, 0, 0, 23, 0, 0, 15, 0, 0])), full(riffChunk('ABCD', Buffer.alloc(0))), still.webp.subarray(12))],
    ['GIF frames', gifFrames],
    ['PNG texts that unpack to 16 GB', () => pngWith({ before: [full(pngChunk('zTXt', Buffer.concat([latin1('a\0\0'), zeros])))] })],
    ['PNG texts', () => pngWith({ before: [full(pngChunk('tEXt', latin1('a\0b')))] })],
    ['PNG data chunks without data', () => pngWith({ before: [full(pngChunk('IDAT', Buffer.alloc(0)))] })],
    ['APNG frames', () => pngWith({ before: [pngChunk('acTL', Buffer.from([0, 15, 66, 64, 0, 0, 0, 0]))], after: [full(pngChunk('fdAT', Buffer.alloc(4)))] })],
    ['EXIF entries', () => pngWith({ before: [pngChunk('eXIf', Buffer.concat([latin1('II*\0\x08\0\0\0\xff\xff'), full(Buffer.from([0x12, 1, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0]))]))] })],
    ['AVIF boxes', () => Buffer.concat([still.avif, full(latin1('\0\0\0\x08free'))])],
    ['AVIF brands', () => Buffer.concat([latin1('\x01\x30\0\0ftypavif\0\0\0\0'), full(latin1('avif'))]), 'EIS_IMAGE_UNDECODABLE'],
  ];
  it.each(cases)('is answered, and does not fill the memory: %s', { timeout: HANG_MS }, async (_, bytes, code) => {
    const answered = await outcome(await bytes());
    if (code === undefined) expect(answered).toMatchObject({ pixels: expect.any(Uint8Array) as Uint8Array });
    else expect(answered).toBe(code);
    expect(readMemoryMb(process.pid, 'VmRSS')).toBeLessThan(MEMORY_MB_MAX);
  });

  it('is taken where an animation is only long: its first frame', async () => {
    const animation = webpAnimation(still.webp, 5_000, { width: 24, height: 16 });
    expect(await outcome(animation)).toMatchObject({ width: 24, height: 16, format: 'webp' });
    expect([countWebpFrames(animation, 9_999), countWebpFrames(animation, 3), countWebpFrames(still.webp, 9)]).toEqual([5_000, 4, 0]);
  });
});

describe('a header that says', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('the largest size, of a %s, is refused by it', async (format) => {
    const bytes = Buffer.from(still[format]);
    if (format === 'jpeg') bytes.fill(0xff, bytes.indexOf(Buffer.from([0xff, 0xc0])) + 5, bytes.indexOf(Buffer.from([0xff, 0xc0])) + 9);
    const large = format === 'png' ? pngWith({ width: 0x7fff_ffff, height: 0x7fff_ffff }) : format === 'webp' ? webpOf(riffChunk('VP8X', Buffer.from([0, 0, 0, 0, 255, 255, 255, 255, 255, 255])), bytes.subarray(12)) : bytes;
    expect(['EIS_IMAGE_PIXELS', 'EIS_IMAGE_UNDECODABLE']).toContain(await outcome(large));
  });

  it('a screen larger than its only frame, of a gif, is passed over', async () => {
    const gif = Buffer.from(still.gif).fill(0xff, 6, 10);
    expect(await outcome(gif)).toMatchObject({ width: 24, height: 16 });
  });

  it('no size at all is refused', async () => {
    for (const [width, height] of [[0, 0], [0, 9], [9, 0]] as const) expect(await outcome(pngWith({ width, height }))).toBe('EIS_IMAGE_UNDECODABLE');
  });

  it.each([0, 9, 255, 65_535])('an orientation of %i, which is none, leaves the picture as it lies', async (orientation) => {
    const exif = Buffer.from([0x49, 0x49, 0x2a, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, orientation & 255, orientation >> 8, 0, 0, 0, 0, 0, 0]);
    expect(await outcome(pngWith({ before: [pngChunk('eXIf', exif)], width: 8, height: 4 }))).toMatchObject({ width: 8, height: 4 });
  });

  it('that its EXIF goes on within itself is no loop', async () => {
    const exif = Buffer.from([0x49, 0x49, 0x2a, 0, 8, 0, 0, 0, 1, 0, 0x69, 0x87, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0]);
    expect(await outcome(pngWith({ before: [pngChunk('eXIf', exif)] }))).toMatchObject({ width: 8, height: 8 });
  });

  it.each([Buffer.alloc(0), Buffer.alloc(128, 1), Buffer.concat([Buffer.alloc(128), Buffer.alloc(5_000_000, 0xff)])])('a colour profile that is none is passed over', async (profile) => {
    expect(await outcome(pngWith({ before: [pngChunk('iCCP', Buffer.concat([latin1('a\0\0'), deflateSync(profile)]))] }))).toMatchObject({ width: 8 });
  });
});
