/**
 * How well a model finds a photo again after it was altered: recall@1 of altered copies among the originals. For tests
 * that hold a model, an engine or a loader to it.
 */
import sharp from 'sharp';
import { grantedCpus } from '../../common/granted-cpus.js';
import { createImageDecoder, type DecodedImage } from '../../functions/image.js';
import { startInferencePool } from '../../functions/engines/inference-pool.js';
import { loadModel } from '../../functions/models/load-model.js';
import type { ModelConfig } from '../../common/config.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { dot } from '../../common/vector.js';
import type { Photo } from './test-data.js';

export type Alteration = (bytes: Buffer) => Promise<Buffer>;

const ROTATION_DEGREES = 10;
const JPEG_QUALITY = 92;

/** The middle 75 % of both sides. */
async function crop(bytes: Buffer): Promise<Buffer> {
  const { width, height } = await sharp(bytes).metadata();
  const [w, h] = [Math.round(width * 0.75), Math.round(height * 0.75)];
  return sharp(bytes).extract({ left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h }).jpeg({ quality: JPEG_QUALITY }).toBuffer();
}

/** Turned by 10°, then cut to the largest rectangle of the photo's shape that has no empty corner in it. */
async function rotate(bytes: Buffer): Promise<Buffer> {
  const { width, height } = await sharp(bytes).metadata();
  const [sin, cos] = [Math.sin((ROTATION_DEGREES * Math.PI) / 180), Math.cos((ROTATION_DEGREES * Math.PI) / 180)];
  const scale = Math.min(width / (width * cos + height * sin), height / (width * sin + height * cos));
  const [w, h] = [Math.floor(width * scale), Math.floor(height * scale)];
  const turned = await sharp(bytes).rotate(ROTATION_DEGREES).png().toBuffer({ resolveWithObject: true });
  const [left, top] = [Math.floor((turned.info.width - w) / 2), Math.floor((turned.info.height - h) / 2)];
  return sharp(turned.data).extract({ left, top, width: w, height: h }).jpeg({ quality: JPEG_QUALITY }).toBuffer();
}

/** What happens to pictures on their way through the world; all but one saved as JPEG of quality 92. */
export const ALTERATIONS = {
  'cropped to 75 %': crop,
  'JPEG quality 20 at 300 px': (bytes) => sharp(bytes).resize(300, 300, { fit: 'inside' }).jpeg({ quality: 20 }).toBuffer(),
  mirrored: (bytes) => sharp(bytes).flop().jpeg({ quality: JPEG_QUALITY }).toBuffer(),
  greyscale: (bytes) => sharp(bytes).greyscale().jpeg({ quality: JPEG_QUALITY }).toBuffer(),
  'brightness × 1.4': (bytes) => sharp(bytes).linear(1.4, 0).jpeg({ quality: JPEG_QUALITY }).toBuffer(),
  'rotated 10°': rotate,
} as const satisfies Record<string, Alteration>;

export interface Recall {
  /** By alteration: the share of copies whose own original is the nearest of all, 0 to 1. */
  readonly recall: Readonly<Record<string, number>>;
  /** The lowest score that a photo, embedded again, has with itself. */
  readonly selfScoreMin: number;
  /** The share of photos, embedded again, that find themselves first. */
  readonly selfRecall: number;
}

export interface RecallOptions {
  /** L2-normalised. */
  readonly embed: (bytes: Buffer) => Promise<Float32Array>;
  readonly photos: readonly Photo[];
  readonly alterations?: Readonly<Record<string, Alteration>>;
}

export async function measureRecall({ embed, photos, alterations = ALTERATIONS }: RecallOptions): Promise<Recall> {
  const gallery = await embedAll(embed, photos.map(({ bytes }) => bytes));
  const again = await embedAll(embed, photos.map(({ bytes }) => bytes));
  const recall: Record<string, number> = {};
  for (const [name, alter] of Object.entries(alterations)) {
    const copies = await embedAll(embed, await Promise.all(photos.map(({ bytes }) => alter(bytes))));
    recall[name] = recallAt1(copies, gallery);
  }
  return { recall, selfScoreMin: Math.min(...again.map((vector, i) => dot(vector, gallery[i]!))), selfRecall: recallAt1(again, gallery) };
}

function embedAll(embed: RecallOptions['embed'], images: readonly Buffer[]): Promise<Float32Array[]> {
  return Promise.all(images.map(embed));
}

function recallAt1(queries: readonly Float32Array[], gallery: readonly Float32Array[]): number {
  const nearest = (query: Float32Array): number => gallery.reduce((best, vector, i) => (dot(query, vector) > dot(query, gallery[best]!) ? i : best), 0);
  return queries.filter((query, i) => nearest(query) === i).length / queries.length;
}

export interface LocalEmbedder {
  readonly dim: number;
  readonly embed: (bytes: Buffer) => Promise<Float32Array>;
  /** Both that an image comes to. */
  readonly look: (bytes: Buffer) => Promise<{ readonly vector: Float32Array; readonly image: DecodedImage }>;
  readonly close: () => Promise<void>;
}

/** A model of the configuration run in this process as the function runs it, without HTTP. */
export async function openEmbedder(config: Partial<ModelConfig> & { readonly name: string }): Promise<LocalEmbedder> {
  const whole: ModelConfig = { kubernetesName: config.name, modelUrl: undefined, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined, engine: 'auto', ...config };
  const model = await loadModel(whole, { dataDir: 'unused' });
  const pool = await startInferencePool({ model, choice: whole.engine, log: SILENT_LOG, cpus: grantedCpus(), cacheDir: undefined });
  const decode = createImageDecoder(DEFAULT_LIMITS, { cpus: grantedCpus() });
  const look: LocalEmbedder['look'] = async (bytes) => {
    const image = await decode(bytes, model.input);
    return { vector: await pool.embed(image.pixels), image };
  };
  return {
    dim: pool.description.dim,
    embed: async (bytes) => (await look(bytes)).vector,
    look,
    close: () => pool.close(),
  };
}
