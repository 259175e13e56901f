/** Small pictures for the report. */
import sharp from 'sharp';

/** More than are shown, for screens that have more. */
const PIXELS = 176;
const QUALITY = 62;

/** A picture of an image file as a data: URL; of one that cannot be decoded there is none, and the text is empty. */
export async function toThumbnail(bytes: Uint8Array, pixelsMax: number): Promise<string> {
  try {
    const picture = await sharp(bytes, { autoOrient: true, limitInputPixels: pixelsMax, pages: 1 }).resize({ width: PIXELS, height: PIXELS, fit: 'inside', withoutEnlargement: true }).flatten({ background: '#ffffff' }).webp({ quality: QUALITY }).toBuffer();
    return `data:image/webp;base64,${picture.toString('base64')}`;
  } catch {
    return '';
  }
}
