/** Small pictures that a seed repeats, all different: coloured rectangles on a coloured ground, as PNG. */
import sharp from 'sharp';
import type { SeededRandom } from '../support/seeded-random.js';

const SIZE = 48;
const RECTANGLES = 4;

export async function drawSmallImage(random: SeededRandom): Promise<Buffer> {
  const pixels = Buffer.alloc(SIZE * SIZE * 3);
  fill(pixels, { x: 0, y: 0, width: SIZE, height: SIZE }, random);
  for (let i = 0; i < RECTANGLES; i++) {
    const [x, y] = [random.between(0, SIZE - 8), random.between(0, SIZE - 8)];
    fill(pixels, { x, y, width: random.between(4, SIZE - x), height: random.between(4, SIZE - y) }, random);
  }
  return sharp(pixels, { raw: { width: SIZE, height: SIZE, channels: 3 } }).png({ compressionLevel: 3 }).toBuffer();
}

function fill(pixels: Buffer, { x, y, width, height }: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }, random: SeededRandom): void {
  const colour = [random.between(0, 255), random.between(0, 255), random.between(0, 255)];
  for (let row = y; row < y + height; row++) for (let column = x; column < x + width; column++) pixels.set(colour, (row * SIZE + column) * 3);
}
