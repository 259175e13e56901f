/**
 * Tells an image's format from its first bytes, before any decoder sees it: only five formats reach one, and what is
 * known but not accepted can be named in the error.
 */
import { EisError } from '../common/errors.js';

export const IMAGE_FORMATS = ['jpeg', 'png', 'webp', 'gif', 'avif'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

type Signature = readonly [format: string, offset: number, bytes: string];

/** Magic numbers; `latin1` text. */
const SIGNATURES: readonly Signature[] = [
  ['jpeg', 0, '\xff\xd8\xff'],
  ['png', 0, '\x89PNG\r\n\x1a\n'],
  ['gif', 0, 'GIF87a'],
  ['gif', 0, 'GIF89a'],
  ['webp', 8, 'WEBP'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
  ['TIFF', 0, 'II+\0'],
  ['TIFF', 0, 'MM\0+'],
  ['PDF', 0, '%PDF-'],
  ['JPEG XL', 0, '\xff\x0a'],
  ['JPEG XL', 4, 'JXL \r\n\x87\n'],
  ['JPEG 2000', 4, 'jP  \r\n\x87\n'],
  ['JPEG 2000', 0, '\xff\x4f\xff\x51'],
  ['ICO', 0, '\0\0\x01\0'],
  ['Photoshop', 0, '8BPS'],
  ['OpenEXR', 0, 'v/1\x01'],
  ['QOI', 0, 'qoif'],
];

/** Brands of an ISO media file (`ftyp` box) that are AVIF, and those that are HEIC or HEIF. */
const AVIF_BRANDS = new Set(['avif', 'avis']);
const HEIF_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1']);

/**
 * The format of an image.
 *
 * @throws EisError EIS_IMAGE_MISSING when there are no bytes, EIS_IMAGE_FORMAT when the format is known but not
 *   accepted, EIS_IMAGE_INVALID when the bytes are no image that is known
 */
export function detectFormat(bytes: Uint8Array): ImageFormat {
  if (bytes.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 1024)).toString('latin1');
  const format = SIGNATURES.find(([, offset, magic]) => head.startsWith(magic, offset))?.[0] ?? detectMediaFile(head) ?? detectBitmap(head) ?? detectSvg(head);
  if (format === undefined) throw new EisError('EIS_IMAGE_INVALID', {});
  const accepted = IMAGE_FORMATS.find((name) => name === format);
  if (!accepted || (accepted === 'webp' && !head.startsWith('RIFF'))) throw new EisError('EIS_IMAGE_FORMAT', { format });
  return accepted;
}

function detectMediaFile(head: string): string | undefined {
  if (head.slice(4, 8) !== 'ftyp') return undefined;
  const size = Math.min(head.charCodeAt(2) * 256 + head.charCodeAt(3), head.length);
  const brands = [head.slice(8, 12)];
  for (let at = 16; at + 4 <= size; at += 4) brands.push(head.slice(at, at + 4));
  if (brands.some((brand) => AVIF_BRANDS.has(brand))) return 'avif';
  return brands.some((brand) => HEIF_BRANDS.has(brand)) ? 'HEIC' : 'MP4';
}

/** "BM" alone begins many a text; a bitmap goes on with four reserved zeros. */
function detectBitmap(head: string): string | undefined {
  return head.startsWith('BM') && head.slice(6, 10) === '\0\0\0\0' ? 'BMP' : undefined;
}

function detectSvg(head: string): string | undefined {
  return /^(\xef\xbb\xbf)?\s*<(\?xml|!doctype svg|!--|svg)/i.test(head) && /<svg[\s>]/i.test(head) ? 'SVG' : undefined;
}
