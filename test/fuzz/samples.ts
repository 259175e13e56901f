/** Right images of every accepted format and kind, small, and photos where there are any: what mutations begin with. */
import sharp, { type Sharp } from 'sharp';
import { SeededRandom } from '../support/seeded-random.js';
import { missingTestData, readPhotos } from '../support/test-data.js';

export interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
}

const SIZE = { width: 48, height: 32 };
const PHOTOS = 6;

export async function makeSamples(): Promise<Sample[]> {
  const random = new SeededRandom(3);
  const noise = Uint8Array.from({ length: SIZE.width * SIZE.height * 3 }, (_, i) => (i % 144) + random.between(0, 60));
  const scene = (): Sharp => sharp(noise, { raw: { ...SIZE, channels: 3 } });
  const frames = await Promise.all([0, 90, 180].map((hue) => scene().modulate({ hue }).png().toBuffer()));
  const drawn: Readonly<Record<string, Sharp>> = {
    jpeg: scene().jpeg(),
    'progressive jpeg': scene().jpeg({ progressive: true }),
    'jpeg with a profile and EXIF': scene().withMetadata({ orientation: 6 }).withIccProfile('p3').jpeg(),
    'CMYK jpeg': scene().toColourspace('cmyk').jpeg(),
    png: scene().png(),
    'palette png': scene().png({ palette: true }),
    'interlaced png of 16 bits': scene().toColourspace('rgb16').png({ progressive: true }),
    'png with a profile': scene().withIccProfile('p3').ensureAlpha(0.5).png(),
    webp: scene().webp(),
    'lossless webp with EXIF': scene().withMetadata({ orientation: 8 }).ensureAlpha(0.5).webp({ lossless: true }),
    'animated webp': sharp(frames, { join: { animated: true } }).webp({ loop: 0 }),
    gif: scene().gif(),
    'animated gif': sharp(frames, { join: { animated: true } }).gif(),
    avif: scene().avif({ effort: 0 }),
    'avif with alpha': scene().ensureAlpha(0.5).avif({ effort: 0 }),
  };
  const samples = await Promise.all(Object.entries(drawn).map(async ([name, image]) => ({ name, bytes: await image.toBuffer() })));
  return missingTestData('images') === undefined ? [...samples, ...readPhotos(PHOTOS)] : samples;
}
