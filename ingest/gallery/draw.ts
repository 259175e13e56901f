/** Draws the sample gallery into a folder. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { galleryPictures } from './gallery.js';

const JPEG_QUALITY = 88;

/**
 * Writes every picture as a JPEG into `folder` (made when missing).
 *
 * @returns how many there are
 */
export async function drawGallery(folder: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  const pictures = galleryPictures();
  await Promise.all(
    pictures.map(async ({ name, svg }) => {
      const jpeg = await sharp(Buffer.from(svg), { density: 144 }).jpeg({ quality: JPEG_QUALITY }).toBuffer();
      const aside = join(folder, `.${name}`);
      await writeFile(aside, jpeg);
      await rename(aside, join(folder, name));
    }),
  );
  return pictures.length;
}
