/** Small drawn pictures, all different, as files: what tests ingest that need no photos. */
import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { drawGallery } from '../../ingest/gallery/draw.js';
import { galleryPictures } from '../../ingest/gallery/gallery.js';

/** Draws `count` (at most 120) pictures into `folder`; returns their names. */
export async function drawImages(folder: string, count: number): Promise<string[]> {
  const all = join(folder, '.all');
  await drawGallery(all);
  const names = galleryPictures().map(({ name }) => name).slice(0, count);
  mkdirSync(folder, { recursive: true });
  for (const name of names) renameSync(join(all, name), join(folder, name));
  rmSync(all, { recursive: true });
  return names;
}

export function readImage(folder: string, name: string): Buffer {
  return readFileSync(join(folder, name));
}
