import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { createImageDecoder, type DecodeImage, type DecodedImage } from '../../functions/image.js';
import { pngBomb, pngOf } from '../support/png.js';
import { seededRandom } from './support/tiny-model.js';

const SIZE = { width: 32, height: 32 };
const random = seededRandom(5);

/** Red left, blue right, a green bar on top; some noise, so that files have a length worth cutting. */
const scene = sharp(
  Uint8Array.from({ length: 60 * 40 * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % 60, Math.floor(i / 180), i % 3];
    const colour = y < 8 ? [0, 220, 0] : x < 30 ? [220, 0, 0] : [0, 0, 220];
    return Math.min(255, colour[c]! + Math.floor(random() * 20));
  }),
  { raw: { width: 60, height: 40, channels: 3 } },
);

let decode: DecodeImage;
let reference: DecodedImage;
let fixtures: Record<string, Buffer>;
let refused: Record<string, Buffer>;

beforeAll(async () => {
  fixtures = {
    jpeg: await scene.clone().jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
    'progressive JPEG': await scene.clone().jpeg({ quality: 95, chromaSubsampling: '4:4:4', progressive: true }).toBuffer(),
    'CMYK JPEG': await scene.clone().toColourspace('cmyk').jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
    png: await scene.clone().png().toBuffer(),
    'PNG with 16 bits a channel': await scene.clone().toColourspace('rgb16').png().toBuffer(),
    'PNG with an opaque alpha channel': await scene.clone().ensureAlpha().png().toBuffer(),
    webp: await scene.clone().webp({ quality: 95 }).toBuffer(),
    gif: await scene.clone().gif().toBuffer(),
    avif: await scene.clone().avif({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer(),
  };
  refused = { TIFF: await scene.clone().tiff().toBuffer(), 'TIFF of 16 bits': await scene.clone().toColourspace('rgb16').tiff().toBuffer() };
  decode = createImageDecoder({ ...DEFAULT_LIMITS, imagePixelsMax: 4_000_000 }, { cpus: 2 });
  reference = await decode(fixtures['png']!, SIZE);
});

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

describe('createImageDecoder()', () => {
  it('gives RGB pixels of the size asked for, the middle of the image covering it', () => {
    expect(reference.pixels).toHaveLength(32 * 32 * 3);
    expect(reference).toMatchObject({ width: 60, height: 40, format: 'png' });
    const at = (x: number, y: number): number[] => [...reference.pixels.subarray(3 * (y * 32 + x), 3 * (y * 32 + x) + 3)];
    expect(at(4, 20)[0]).toBeGreaterThan(200);
    expect(at(28, 20)[2]).toBeGreaterThan(200);
    expect(at(16, 2)[1]).toBeGreaterThan(200);
  });

  it('sees the same picture in every format, colour space and depth', async () => {
    for (const [name, bytes] of Object.entries(fixtures)) {
      const decoded = await decode(bytes, SIZE);
      expect(decoded.pixels, name).toHaveLength(32 * 32 * 3);
      expect(meanDifference(decoded.pixels, reference.pixels), name).toBeLessThan(name.startsWith('CMYK') ? 40 : 16);
      expect([decoded.width, decoded.height], name).toEqual([60, 40]);
    }
  });

  it('turns a photo by its EXIF orientation, and reports its size as it is seen', async () => {
    const turned = await scene.clone().rotate(270).withMetadata({ orientation: 6 }).png().toBuffer();
    const decoded = await decode(turned, SIZE);
    expect([decoded.width, decoded.height]).toEqual([60, 40]);
    expect(meanDifference(decoded.pixels, reference.pixels)).toBeLessThan(3);
  });

  it('gives three equal channels of a grey image', async () => {
    const { pixels } = await decode(await scene.clone().greyscale().png().toBuffer(), SIZE);
    expect(pixels).toHaveLength(32 * 32 * 3);
    expect(pixels[0]).toBe(pixels[1]);
    expect(pixels[0]).toBe(pixels[2]);
  });

  it('lays what is transparent over white', async () => {
    const clear = await sharp({ create: { width: 20, height: 20, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } } }).png().toBuffer();
    expect([...(await decode(clear, SIZE)).pixels.subarray(0, 3)]).toEqual([255, 255, 255]);
  });

  it('takes the first frame of an animation', async () => {
    const frame = (value: number): Buffer => Buffer.alloc(16 * 16 * 3, value);
    const animated = await sharp(Buffer.concat([frame(250), frame(10)]), { raw: { width: 16, height: 32, channels: 3, pageHeight: 16 } }).gif({ loop: 0, delay: [100, 100] }).toBuffer();
    const decoded = await decode(animated, SIZE);
    expect([decoded.width, decoded.height]).toEqual([16, 16]);
    expect(decoded.pixels[0]).toBeGreaterThan(200);
  });

  it('takes an image of one pixel, and strips of any length', async () => {
    const one = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#ff0000' } }).png().toBuffer();
    expect(await decode(one, SIZE)).toMatchObject({ width: 1, height: 1 });
    const strip = await sharp({ create: { width: 2, height: 400_000, channels: 3, background: '#ff0000' } }).png().toBuffer();
    const decoded = await decode(strip, SIZE);
    expect(decoded).toMatchObject({ width: 2, height: 400_000 });
    expect(decoded.pixels).toHaveLength(32 * 32 * 3);
  });

  it('judges the pixels from the header, before it decodes any', async () => {
    await expect(decode(pngOf(30_000, 30_000), SIZE)).rejects.toMatchObject({ code: 'EIS_IMAGE_PIXELS', statusCode: 422, message: expect.stringContaining('30000×30000') as string });
    await expect(decode(pngBomb(2_000, 2_001), SIZE)).rejects.toMatchObject({ code: 'EIS_IMAGE_PIXELS' });
  });

  it('refuses every file that ends early', async () => {
    for (const [name, bytes] of Object.entries(fixtures)) {
      for (const share of [0.5, 0.9]) {
        await expect(decode(bytes.subarray(0, Math.floor(bytes.length * share)), SIZE), `${name} cut to ${share}`).rejects.toMatchObject({ code: 'EIS_IMAGE_UNDECODABLE', statusCode: 422 });
      }
    }
  });

  it('refuses a JPEG with more scans than any encoder writes', async () => {
    const jpeg = fixtures['progressive JPEG']!;
    const scan = Buffer.from([0xff, 0xda, 0x00, 0x08, 0x01, 0x01, 0x00, 0x3f, 0x00, 0x00]);
    await expect(decode(Buffer.concat([jpeg.subarray(0, -2), ...Array.from({ length: 200 }, () => scan), jpeg.subarray(-2)]), SIZE)).rejects.toMatchObject({ code: 'EIS_IMAGE_UNDECODABLE', message: expect.stringContaining('scans') as string });
  });

  it('takes a JPEG with anything behind its end, and with large metadata of which it makes nothing', async () => {
    const jpeg = fixtures['jpeg']!;
    const trailing = Buffer.from(Uint8Array.from({ length: 10_000_000 }, () => random() * 256));
    expect((await decode(Buffer.concat([jpeg, trailing]), SIZE)).pixels).toEqual((await decode(jpeg, SIZE)).pixels);
    const body = Buffer.concat([Buffer.from('Exif\0\0'), ...Array.from({ length: 30_000 }, () => Buffer.from([0xff, 0xda]))]);
    const preview = Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1, (body.length + 2) >> 8, (body.length + 2) & 255]), body, jpeg.subarray(2)]);
    expect((await decode(preview, SIZE)).pixels).toEqual((await decode(jpeg, SIZE)).pixels);
  });

  it('does not decode an image whose client is gone while it waits for its turn', async () => {
    const one = createImageDecoder(DEFAULT_LIMITS, { cpus: 1 });
    const gone = new AbortController();
    const first = one(pngBomb(3_000, 3_000), SIZE);
    const second = one(fixtures['jpeg']!, SIZE, gone.signal);
    gone.abort(new EisError('EIS_CLIENT_CLOSED', {}));
    await expect(second).rejects.toMatchObject({ code: 'EIS_CLIENT_CLOSED' });
    await expect(first).resolves.toMatchObject({ width: 3_000 });
  });

  it('decodes many at once as it decodes one', async () => {
    const images = Object.values(fixtures);
    const one = createImageDecoder({ ...DEFAULT_LIMITS, imagePixelsMax: 2_400 }, { cpus: 3 });
    const together = await Promise.all([...images, ...images].map((bytes) => one(bytes, SIZE)));
    for (const [i, { pixels }] of together.entries()) expect(pixels).toEqual((await decode(images[i % images.length]!, SIZE)).pixels);
  });

  it('names a format that is known and not accepted', async () => {
    const named: Record<string, Buffer> = { ...refused, SVG: Buffer.from('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'), PDF: Buffer.from('%PDF-1.7\n'), BMP: Buffer.from('BM\x36\0\0\0\0\0\0\0\x36\0\0\0', 'latin1'), HEIC: Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1') };
    for (const [name, bytes] of Object.entries(named)) {
      await expect(decode(bytes, SIZE), name).rejects.toMatchObject({ code: 'EIS_IMAGE_FORMAT', statusCode: 415, message: expect.stringContaining(name.split(' ')[0]!) as string });
    }
  });

  it('tells what is no image from no bytes at all', async () => {
    await expect(decode(Buffer.from('just a text, BM or not'), SIZE)).rejects.toMatchObject({ code: 'EIS_IMAGE_INVALID', statusCode: 400 });
    await expect(decode(Buffer.alloc(0), SIZE)).rejects.toMatchObject({ code: 'EIS_IMAGE_MISSING', statusCode: 400 });
  });

  it('leaves no loader within reach but those of the accepted formats', async () => {
    await expect(sharp(refused['TIFF']).metadata()).rejects.toThrow();
    await expect(sharp(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')).metadata()).rejects.toThrow();
    await expect(sharp(fixtures['webp']).metadata()).resolves.toMatchObject({ format: 'webp' });
  });
});
