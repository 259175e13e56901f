import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { alter, ALTERATION_NAMES, alterationTitle, decodePixels, type Pixels } from '../../evaluation/alterations.js';
import { toThumbnail } from '../../evaluation/thumbnails.js';

const PIXELS_MAX = 1_000_000;

/** A gradient, so that every place of it looks different. */
function gradient(width: number, height: number): Pixels {
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set([(255 * (i % width)) / width, (255 * Math.floor(i / width)) / height, 128], i * 3);
  return { data, width, height };
}

const PHOTO = gradient(200, 120);
const png = ({ data, width, height }: Pixels): Promise<Buffer> => sharp(data, { raw: { width, height, channels: 3 } }).png().toBuffer();
const altered = (name: string, { imageId = 'one', seed = 1, pixels = PHOTO } = {}): Promise<Buffer> => alter(pixels, { name, imageId, seed });
const sizeOf = async (bytes: Buffer): Promise<[number, number]> => {
  const { width, height } = await sharp(bytes).metadata();
  return [width, height];
};

describe('alter()', () => {
  it.each(ALTERATION_NAMES)('makes the same copy for the same seed, and it is another picture than the original: %s', async (name) => {
    const copy = await altered(name);
    expect(await altered(name)).toEqual(copy);
    const { format } = await sharp(copy).metadata();
    expect(['jpeg', 'png']).toContain(format);
    expect(alterationTitle(name)).not.toBe('');
    const back = await sharp(copy).removeAlpha().resize({ width: PHOTO.width, height: PHOTO.height, fit: 'fill' }).toColourspace('srgb').raw().toBuffer();
    expect(back.equals(PHOTO.data)).toBe(false);
  });

  it('draws anew for another seed, and for another image', async () => {
    const places = await Promise.all([{}, { seed: 2 }, { imageId: 'two' }].map(async (options) => (await altered('crop-60', options)).toString('base64')));
    expect(new Set(places).size).toBe(3);
  });

  it.each([
    ['resize-50', [100, 60]],
    ['thumbnail', [128, 77]],
    ['jpeg-10', [200, 120]],
    ['crop-90', [180, 108]],
    ['crop-60', [120, 72]],
    ['border', [240, 160]],
    ['screenshot', [320, 270]],
  ] as const)('%s is %s pixels of 200×120', async (name, size) => {
    expect(await sizeOf(await altered(name))).toEqual(size);
  });

  it('mirrors left and right', async () => {
    const { data } = await decodePixels(await altered('flip'), PIXELS_MAX);
    expect(data[0]).toBeGreaterThan(240);
    expect(data[199 * 3]).toBeLessThan(15);
  });

  it.each([[1, 1], [1, 50], [50, 1], [7, 7]])('alters in every way what is only %i×%i pixels', async (width, height) => {
    for (const name of ALTERATION_NAMES) expect((await sizeOf(await altered(name, { pixels: gradient(width, height) })))[0], name).toBeGreaterThan(0);
  });
});

describe('decodePixels()', () => {
  it('has three bytes a pixel of any picture: grey, transparent, 16 bits, turned by its EXIF', async () => {
    const photo = sharp(await png(PHOTO));
    const pictures = [photo.clone().greyscale().png(), photo.clone().ensureAlpha(0.5).png(), photo.clone().toColourspace('rgb16').png(), photo.clone().jpeg()];
    for (const picture of pictures) {
      const { data, width, height } = await decodePixels(await picture.toBuffer(), PIXELS_MAX);
      expect([width, height, data.length]).toEqual([200, 120, 200 * 120 * 3]);
    }
    const turned = await decodePixels(await photo.clone().jpeg().withMetadata({ orientation: 6 }).toBuffer(), PIXELS_MAX);
    expect([turned.width, turned.height]).toEqual([120, 200]);
  });

  it('takes no picture of more pixels, and nothing that is none', async () => {
    await expect(decodePixels(await png(PHOTO), 1_000)).rejects.toThrow(/pixel/);
    await expect(decodePixels(Buffer.from('no picture'), PIXELS_MAX)).rejects.toThrow();
  });
});

describe('toThumbnail()', () => {
  it('is a small picture that is held in its address, and empty for what is none', async () => {
    const url = await toThumbnail(await png(gradient(900, 300)), PIXELS_MAX);
    expect(url).toMatch(/^data:image\/webp;base64,/);
    const [width, height] = await sizeOf(Buffer.from(url.split(',')[1]!, 'base64'));
    expect([width, Math.round(width / height)]).toEqual([176, 3]);
    expect(await toThumbnail(Buffer.from('no picture'), PIXELS_MAX)).toBe('');
  });
});
