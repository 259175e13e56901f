/**
 * Large JPEG and WebP files are decoded at a fraction of their size, which is several times faster. The embedding has to
 * be that of the whole picture all the same.
 */
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { packagePath } from '../../common/package-root.js';
import { dot } from '../../common/vector.js';
import { startInferencePool, type InferencePool } from '../../functions/engines/inference-pool.js';
import { createImageDecoder } from '../../functions/image.js';
import type { LoadedModel } from '../../functions/models/model.js';
import { missingTestData, readPhotos } from '../support/test-data.js';
import { load } from './engines/engine-contract.js';
import { seededRandom } from './support/tiny-model.js';

const WIDTH = 4_000;
const HEIGHT = 3_000;
/** Strength of the grain, which an upscaled photo lacks and a camera's has, in levels of 255. */
const GRAIN = 20;

const missing = missingTestData('images');
const decode = createImageDecoder(DEFAULT_LIMITS, { cpus: 2 });
let model: LoadedModel;
let pool: InferencePool;

beforeAll(async () => {
  model = await load(packagePath('models/builtin/model.json'));
  pool = await startInferencePool({ model, choice: 'tfjs-wasm', log: SILENT_LOG, cpus: 1, cacheDir: undefined });
});
afterAll(() => pool.close());

async function embed(bytes: Buffer): Promise<Float32Array> {
  return pool.embed((await decode(bytes, model.input)).pixels);
}

/** The photo as a camera of 12 million pixels would take it. */
async function enlarge(photo: Buffer): Promise<Sharp> {
  const random = seededRandom(8);
  const pixels = await sharp(photo).resize(WIDTH, HEIGHT, { fit: 'cover', kernel: 'lanczos3' }).toColourspace('srgb').removeAlpha().raw().toBuffer();
  for (let i = 0; i < pixels.length; i++) pixels[i] = Math.max(0, Math.min(255, pixels[i]! + (random() - 0.5) * GRAIN));
  return sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });
}

/** The same pixels in a format that is always decoded whole. */
function whole(bytes: Buffer): Promise<Buffer> {
  return sharp(bytes, { autoOrient: true }).png({ compressionLevel: 0 }).toBuffer();
}

describe(`photos of 12 million pixels${missing === undefined ? '' : ` (${missing})`}`, () => {
  it.skipIf(missing !== undefined)('have the embedding of the whole picture, turned by EXIF or not', async () => {
    const photo = await enlarge(readPhotos(1)[0]!.bytes);
    const files = {
      jpeg: photo.clone().jpeg({ quality: 90 }),
      'turned JPEG': photo.clone().rotate(270).jpeg({ quality: 90 }).withMetadata({ orientation: 6 }),
      'progressive JPEG': photo.clone().jpeg({ quality: 90, progressive: true }),
      webp: photo.clone().webp({ quality: 85, effort: 0 }),
    };
    const upright = await embed(await whole(await files.jpeg.toBuffer()));
    for (const [format, file] of Object.entries(files)) {
      const bytes = await file.toBuffer();
      const embedding = await embed(bytes);
      expect(dot(embedding, await embed(await whole(bytes))), format).toBeGreaterThan(0.999);
      expect(dot(embedding, upright), `${format}, beside a JPEG`).toBeGreaterThan(0.995);
    }
  });
});
