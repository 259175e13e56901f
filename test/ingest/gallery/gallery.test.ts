import { readdirSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { drawGallery } from '../../../ingest/gallery/draw.js';
import { galleryPictures } from '../../../ingest/gallery/gallery.js';
import { tempFolder } from '../../support/temp-folder.js';

describe('sample gallery', () => {
  it('has 12 kinds of 10 variations, no two the same', () => {
    const pictures = galleryPictures();
    expect(new Set(pictures.map(({ name }) => name.replace(/-\d+\.jpg$/, ''))).size).toBe(12);
    expect(new Set(pictures.map(({ name }) => name)).size).toBe(120);
    expect(new Set(pictures.map(({ svg }) => svg)).size).toBe(120);
  });

  it('is the same every time', () => {
    expect(galleryPictures()).toEqual(galleryPictures());
  });

  it('is drawn as 120 different JPEGs that can be opened', async () => {
    const folder = tempFolder();
    expect(await drawGallery(folder)).toBe(120);
    const names = readdirSync(folder);
    expect(names).toHaveLength(120);
    const hashes = new Set(names.map((name) => createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')));
    expect(hashes.size).toBe(120);
    expect(await sharp(join(folder, names[0] as string)).metadata()).toMatchObject({ format: 'jpeg' });
  });
});
