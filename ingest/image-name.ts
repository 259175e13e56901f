/** Tells by its name whether a file or an object is an image. */
import { extname } from 'node:path';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif']);

/** What is named itself is sent whatever its name; this is for what lies in a folder or in a bucket. */
export function isImageName(name: string): boolean {
  return EXTENSIONS.has(extname(name).toLowerCase());
}
