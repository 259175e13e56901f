/**
 * What becomes of a picture on its way through the world, and still is that picture: a copy altered so is to find its
 * original. What an alteration draws (where it crops, which way it turns) follows from the seed, the image and its own name.
 */
import { createHash } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';
import { createRandom, type Random } from '../common/random.js';
import { captionBand, windowFrame, type Size } from './overlays.js';

/** A decoded picture: three bytes a pixel, sRGB, upright. */
export interface Pixels extends Size {
  readonly data: Buffer;
}

interface Alteration {
  /** Of JSON, metrics and ids: letters, digits and "-". */
  readonly name: string;
  /** As a person reads it. */
  readonly title: string;
  /** The altered copy as a file. */
  readonly apply: (pixels: Pixels, random: Random) => Promise<Buffer>;
}

/** Of copies whose alteration is another: hardly visible. */
const QUALITY = 90;
/** As wide as a screenshot shows a picture, at most. */
const SHOWN_WIDTH_MAX = 640;
/** A photo turned or framed has something behind it. */
const GROUND = '#202020';

const ALTERATIONS: readonly Alteration[] = [
  { name: 'resize-50', title: 'half as wide and high', apply: (pixels) => jpeg(scaled(pixels, 0.5)) },
  { name: 'thumbnail', title: '128 pixels wide, JPEG 60', apply: (pixels) => jpeg(open(pixels).resize({ width: 128, height: 128, fit: 'inside', withoutEnlargement: true }), 60) },
  { name: 'jpeg-50', title: 'JPEG quality 50', apply: (pixels) => jpeg(open(pixels), 50) },
  { name: 'jpeg-10', title: 'JPEG quality 10', apply: (pixels) => jpeg(open(pixels), 10) },
  { name: 'crop-90', title: 'cropped to 90 % of each side', apply: (pixels, random) => jpeg(cropped(pixels, 0.9, random)) },
  { name: 'crop-60', title: 'cropped to 60 % of each side', apply: (pixels, random) => jpeg(cropped(pixels, 0.6, random)) },
  { name: 'rotate-3', title: 'turned by 3°', apply: (pixels, random) => jpeg(turned(pixels, random.pick([-3, 3]))) },
  { name: 'rotate-10', title: 'turned by 10°', apply: (pixels, random) => jpeg(turned(pixels, random.pick([-10, 10]))) },
  { name: 'flip', title: 'mirrored', apply: (pixels) => jpeg(open(pixels).flop()) },
  { name: 'brighter', title: 'brighter by 40 %', apply: (pixels) => jpeg(open(pixels).linear(1.4, 0)) },
  { name: 'darker', title: 'darker by 40 %', apply: (pixels) => jpeg(open(pixels).linear(0.6, 0)) },
  { name: 'contrast', title: 'contrast up by 60 %', apply: (pixels) => jpeg(open(pixels).linear(1.6, -0.6 * 128)) },
  { name: 'grey', title: 'grey', apply: (pixels) => jpeg(open(pixels).greyscale()) },
  { name: 'blur', title: 'blurred over 1 % of its longer side', apply: (pixels) => jpeg(open(pixels).blur(Math.max(0.5, Math.max(pixels.width, pixels.height) * 0.01))) },
  { name: 'caption', title: 'a band with a word over it', apply: (pixels, random) => jpeg(open(pixels).composite([{ input: captionBand(pixels, random.between(0.1, 0.9)) }])) },
  { name: 'border', title: 'a border of 10 % around it', apply: (pixels, random) => jpeg(bordered(pixels, random.pick(['#ffffff', '#000000', '#c0392b', '#2c5aa0']))) },
  { name: 'screenshot', title: 'a screenshot of a window that shows it', apply: screenshot },
];

export const ALTERATION_NAMES: readonly string[] = ALTERATIONS.map(({ name }) => name);

/** @param name of `ALTERATION_NAMES` */
export function alterationTitle(name: string): string {
  return find(name).title;
}

/**
 * A picture as alterations take it; of an animation its first frame, and what is transparent is white.
 *
 * @throws Error of sharp when the bytes cannot be decoded, or hold more pixels
 */
export async function decodePixels(bytes: Uint8Array, pixelsMax: number): Promise<Pixels> {
  const { data, info } = await sharp(bytes, { autoOrient: true, failOn: 'error', limitInputPixels: pixelsMax, pages: 1 }).flatten({ background: '#ffffff' }).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

/** The altered copy of an image, always the same for the same seed. @param name of `ALTERATION_NAMES` */
export async function alter(pixels: Pixels, { name, imageId, seed }: { readonly name: string; readonly imageId: string; readonly seed: number }): Promise<Buffer> {
  const digest = createHash('sha256').update(`${seed}/${imageId}/${name}`).digest();
  return find(name).apply(pixels, createRandom(digest.readUInt32LE()));
}

function find(name: string): Alteration {
  const alteration = ALTERATIONS.find((one) => one.name === name);
  if (!alteration) throw new Error(`There is no alteration ${name}.`);
  return alteration;
}

function open({ data, width, height }: Pixels): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}

function jpeg(image: Sharp, quality = QUALITY): Promise<Buffer> {
  return image.jpeg({ quality }).toBuffer();
}

function scaled(pixels: Pixels, factor: number): Sharp {
  return open(pixels).resize({ width: shrink(pixels.width, factor), height: shrink(pixels.height, factor), fit: 'fill' });
}

function cropped(pixels: Pixels, share: number, random: Random): Sharp {
  const width = shrink(pixels.width, share);
  const height = shrink(pixels.height, share);
  return open(pixels).extract({ left: random.whole(0, pixels.width - width), top: random.whole(0, pixels.height - height), width, height });
}

function turned(pixels: Pixels, degrees: number): Sharp {
  return open(pixels).rotate(degrees, { background: GROUND });
}

function bordered(pixels: Pixels, background: string): Sharp {
  const margin = Math.max(1, Math.round(Math.max(pixels.width, pixels.height) * 0.1));
  return open(pixels).extend({ top: margin, bottom: margin, left: margin, right: margin, background });
}

async function screenshot(pixels: Pixels): Promise<Buffer> {
  const shown = await open(pixels).resize({ width: Math.min(SHOWN_WIDTH_MAX, pixels.width), withoutEnlargement: true }).png().toBuffer({ resolveWithObject: true });
  const { width, height } = shown.info;
  const canvas = { width: width + 120, height: height + 150 };
  const place = { left: 60, top: 64 };
  return sharp(windowFrame(canvas, { width, height, ...place })).composite([{ input: shown.data, ...place }]).flatten().png().toBuffer();
}

function shrink(length: number, factor: number): number {
  return Math.max(1, Math.round(length * factor));
}
