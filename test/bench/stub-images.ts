/** Bytes for functions that are stubs: no image, and each other than all before. */
import { randomFillSync } from 'node:crypto';

const IMAGE_BYTES = 100 * 1024;

/** Each call gives other bytes, which begin as a JPEG does. */
export function createImages(): () => Buffer {
  const bytes = randomFillSync(Buffer.alloc(IMAGE_BYTES));
  bytes.set([0xff, 0xd8, 0xff, 0xe0]);
  let n = 0;
  return () => {
    const image = Buffer.from(bytes);
    image.writeDoubleLE(++n, 16);
    return image;
  };
}
