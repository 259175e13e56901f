/**
 * From the bytes of an image to the pixels that a model takes. Everything that a hostile file could do is bounded here:
 * formats (only five loaders can be reached), pixels (judged from the header), time, and what is decoded at once.
 */
import sharp, { type Metadata, type ResizeOptions, type Sharp } from 'sharp';
import { EisError, isEisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import { isSrgbProfile } from './colour-profile.js';
import { DecodeTurns } from './decode-turns.js';
import { detectFormat, type ImageFormat } from './image-format.js';
import { countJpegSegments } from './jpeg-markers.js';
import { perceptualHash } from './phash.js';
import { countWebpFrames } from './webp-frames.js';

export interface DecodedImage {
  /** RGB, 8 bits, row by row, of the size that was asked for. In memory of its own. */
  readonly pixels: Uint8Array;
  /** Pixels as the image is seen: after its EXIF orientation. */
  readonly width: number;
  readonly height: number;
  readonly format: ImageFormat;
  readonly phash: string;
  /** What it took, waiting left out: decoding and shrinking; cutting out what the model sees, and the perceptual hash. */
  readonly timingsMs: { readonly decode: number; readonly preprocess: number };
}

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/**
 * @param signal aborts when nobody wants the image any more: it is not decoded if it still waits for its turn
 * @throws EisError EIS_IMAGE_…; the signal's reason
 */
export type DecodeImage = (bytes: Buffer, size: ImageSize, signal?: AbortSignal) => Promise<DecodedImage>;

type DecodeLimits = Pick<Limits, 'imagePixelsMax' | 'decodeTimeoutMs'>;

export interface DecoderOptions {
  /** CPUs that may be kept busy: as many images are decoded at once, up to the threads that libuv gives to all of sharp. */
  readonly cpus: number;
}

const LIBUV_THREADS = 4;

const LOADERS = ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer', 'VipsForeignLoadNsgifBuffer', 'VipsForeignLoadHeifBuffer'];

/** A strip longer than this many times its width is squeezed to it, so that no shape makes a large intermediate. */
const ASPECT_MAX = 8;

/** Encoders write 1 to some 10 scans. */
const JPEG_SCANS_MAX = 100;

/** A profile and metadata of 20 MB are some 600 segments. With five million a file of that size is 1.4 GB in memory. */
const JPEG_SEGMENTS_MAX = 5_000;

/** Minutes of animation. */
const WEBP_FRAMES_MAX = 5_000;

const BACKGROUND = '#ffffff';

/**
 * Makes a decoder. It sets sharp up for the whole process: no cache (every image is seen once), one thread an image
 * (images are decoded side by side), and no loader but those of the formats that are accepted.
 */
export function createImageDecoder(limits: DecodeLimits, { cpus }: DecoderOptions): DecodeImage {
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS });
  const turns = new DecodeTurns({ imagesMax: Math.min(cpus, LIBUV_THREADS), pixelsMax: limits.imagePixelsMax });
  return (bytes, size, signal) => decode({ bytes, size, signal }, limits, turns);
}

interface DecodeTask {
  readonly bytes: Buffer;
  readonly size: ImageSize;
  readonly signal: AbortSignal | undefined;
}

async function decode({ bytes, size, signal }: DecodeTask, limits: DecodeLimits, turns: DecodeTurns): Promise<DecodedImage> {
  const format = detectFormat(bytes);
  refuseParts(bytes, format);
  try {
    const header = await readHeader(bytes, limits.imagePixelsMax);
    const { width, height } = header;
    const scaled = coveringSize(header, size);
    let startedAt = 0;
    const whole = await turns.run({ pixels: header.isHeldWhole ? width * height : 0, signal }, () => {
      startedAt = performance.now();
      return shrink(bytes, header, scaled, limits);
    });
    const decodedAt = performance.now();
    const decoded = { pixels: cropCentre(whole, scaled, size), width, height, format, phash: perceptualHash(whole, scaled.width, scaled.height) };
    return { ...decoded, timingsMs: { decode: decodedAt - startedAt, preprocess: performance.now() - decodedAt } };
  } catch (thrown) {
    if (signal?.aborted) throw signal.reason;
    throw toImageError(thrown, limits.decodeTimeoutMs);
  }
}

/** What decoders take too much time or memory for, before their own limits are met. @throws EisError EIS_IMAGE_UNDECODABLE */
function refuseParts(bytes: Buffer, format: ImageFormat): void {
  const { scans, segments } = format === 'jpeg' ? countJpegSegments(bytes) : { scans: 0, segments: 0 };
  const frames = format === 'webp' ? countWebpFrames(bytes, WEBP_FRAMES_MAX) : 0;
  const refuse = (parts: string): never => {
    throw new EisError('EIS_IMAGE_UNDECODABLE', { detail: `it has more than ${parts}.` });
  };
  if (scans > JPEG_SCANS_MAX) refuse(`${JPEG_SCANS_MAX} scans`);
  if (segments > JPEG_SEGMENTS_MAX) refuse(`${JPEG_SEGMENTS_MAX} segments`);
  if (frames > WEBP_FRAMES_MAX) refuse(`${WEBP_FRAMES_MAX} frames`);
}

/**
 * The whole image at another size: RGB, 8 bits, as if it had been decoded at its own size and then shrunk.
 *
 * A large JPEG is decoded at a half, a quarter or an eighth, still twice as large as asked for. libwebp would shrink all the
 * way, by averages, after which an embedding is as far as 0.99 from that of other formats: it is let do half.
 */
async function shrink(bytes: Buffer, header: Header, size: ImageSize, limits: DecodeLimits): Promise<Buffer> {
  const image = open(bytes, header, limits.imagePixelsMax);
  const between = { width: 2 * size.width, height: 2 * size.height };
  const isDoneByHalves = header.isWebp && header.width >= 2 * between.width && header.height >= 2 * between.height;
  if (!isDoneByHalves) return render(image, size, { fastShrinkOnLoad: false }, limits);
  const pixels = await render(image, between, { fastShrinkOnLoad: true }, limits);
  return render(sharp(pixels, { raw: { ...between, channels: 3 } }), size, {}, limits);
}

function render(image: Sharp, { width, height }: ImageSize, options: ResizeOptions, limits: DecodeLimits): Promise<Buffer> {
  return image
    .resize(width, height, { fit: 'fill', ...options })
    .flatten({ background: BACKGROUND })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .timeout({ seconds: Math.max(1, Math.ceil(limits.decodeTimeoutMs / 1000)) })
    .toBuffer();
}

/** Of an animation the first frame. A file that is damaged is refused; warnings (a wrong profile, say) are not. */
function open(bytes: Buffer, { isSrgb }: Header, pixelsMax: number): Sharp {
  return sharp(bytes, { autoOrient: true, ignoreIcc: isSrgb, failOn: 'error', limitInputPixels: pixelsMax, pages: 1, sequentialRead: true });
}

interface Header extends ImageSize {
  /** Whether decoding holds all pixels at once. */
  readonly isHeldWhole: boolean;
  readonly isWebp: boolean;
  /** Whether its profile changes nothing. */
  readonly isSrgb: boolean;
}

/**
 * The size as the image is seen, from its header alone. JPEGs of one scan and PNGs that are not interlaced are decoded
 * row by row, in a few megabytes whatever their size; all else is in memory whole.
 */
async function readHeader(bytes: Buffer, pixelsMax: number): Promise<Header> {
  const metadata: Metadata = await sharp(bytes, { limitInputPixels: false, pages: 1 }).metadata();
  const { width, height } = metadata.autoOrient;
  if (width * height > pixelsMax) throw new EisError('EIS_IMAGE_PIXELS', { width, height, pixelsMax });
  const isByRow = (metadata.format === 'jpeg' || metadata.format === 'png') && !metadata.isProgressive;
  return { width, height, isHeldWhole: !isByRow, isWebp: metadata.format === 'webp', isSrgb: metadata.icc !== undefined && isSrgbProfile(metadata.icc) };
}

/** The smallest size of the image's shape (up to `ASPECT_MAX`) that covers `size`. */
function coveringSize(image: ImageSize, size: ImageSize): ImageSize {
  const scale = Math.max(size.width / image.width, size.height / image.height);
  const fit = (length: number, least: number): number => Math.min(Math.max(Math.round(length * scale), least), least * ASPECT_MAX);
  return { width: fit(image.width, size.width), height: fit(image.height, size.height) };
}

/** The middle `size` of an RGB image that covers it, copied. */
function cropCentre(pixels: Uint8Array, from: ImageSize, size: ImageSize): Uint8Array {
  const left = Math.floor((from.width - size.width) / 2);
  const top = Math.floor((from.height - size.height) / 2);
  const cropped = new Uint8Array(size.width * size.height * 3);
  for (let row = 0; row < size.height; row++) {
    const start = 3 * ((top + row) * from.width + left);
    cropped.set(pixels.subarray(start, start + 3 * size.width), 3 * row * size.width);
  }
  return cropped;
}

function toImageError(thrown: unknown, timeoutMs: number): EisError {
  if (isEisError(thrown)) return thrown;
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  if (/timeout: \d+% complete/.test(said)) return new EisError('EIS_IMAGE_DECODE_TIMEOUT', { timeoutMs }, { cause: thrown });
  const detail = /premature|truncat|end of (file|data|image|stream)|too few|incomplete/i.test(said) ? 'it is truncated.' : 'its data is damaged or ends early.';
  return new EisError('EIS_IMAGE_UNDECODABLE', { detail }, { cause: thrown });
}
