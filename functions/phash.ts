/**
 * A 64-bit perceptual hash: images that look alike have hashes with few differing bits.
 *
 * The DCT hash of pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, 3.2.1;
 * `ph_dct_imagehash` of phash.org): luma at 32×32, its two-dimensional DCT-II, the 8×8 coefficients next to the constant
 * row and column, each compared with their median. pHash blurs with a 7×7 mean first; averaging over areas while
 * shrinking does that here.
 */
const SIDE = 32;
const BLOCK = 8;

/** `cos(π(2x+1)u / 2·32)` for the frequencies u = 1…8, by u and x. */
const COSINES = Array.from({ length: BLOCK }, (_, u) => Float64Array.from({ length: SIDE }, (_, x) => Math.cos((Math.PI * (2 * x + 1) * (u + 1)) / (2 * SIDE))));

/** Coefficients closer than this are the same: of an image without structure, rounding alone would decide. */
const RESOLUTION = 1e-3;

/**
 * @param pixels RGB, 8 bits, row by row; the whole image, at a size of 32×32 or more
 * @returns 16 hex digits; the first bit is the lowest frequency's
 */
export function perceptualHash(pixels: Uint8Array, width: number, height: number): string {
  const coefficients = lowFrequencies(shrinkLuma(pixels, width, height)).map((value) => Math.round(value / RESOLUTION));
  const sorted = [...coefficients].sort((a, b) => a - b);
  const median = ((sorted[31] as number) + (sorted[32] as number)) / 2;
  let hash = 0n;
  for (const coefficient of coefficients) hash = (hash << 1n) | (coefficient > median ? 1n : 0n);
  return hash.toString(16).padStart(16, '0');
}

/** Luma (ITU-R BT.601) averaged over the areas of a 32×32 grid. */
function shrinkLuma(pixels: Uint8Array, width: number, height: number): Float64Array {
  const luma = new Float64Array(SIDE * SIDE);
  for (let row = 0; row < SIDE; row++) {
    const [top, bottom] = bounds(row, height);
    for (let column = 0; column < SIDE; column++) {
      const [left, right] = bounds(column, width);
      luma[row * SIDE + column] = meanLuma(pixels, width, { top, bottom, left, right });
    }
  }
  return luma;
}

function bounds(index: number, size: number): [number, number] {
  const start = Math.floor((index * size) / SIDE);
  return [start, Math.max(start + 1, Math.floor(((index + 1) * size) / SIDE))];
}

function meanLuma(pixels: Uint8Array, width: number, area: { top: number; bottom: number; left: number; right: number }): number {
  let sum = 0;
  for (let y = area.top; y < area.bottom; y++) {
    for (let at = 3 * (y * width + area.left); at < 3 * (y * width + area.right); at += 3) {
      sum += 0.299 * (pixels[at] as number) + 0.587 * (pixels[at + 1] as number) + 0.114 * (pixels[at + 2] as number);
    }
  }
  return sum / ((area.bottom - area.top) * (area.right - area.left));
}

/** The 64 DCT-II coefficients of frequencies 1…8 in both directions, by row; the DCT is separable. */
function lowFrequencies(luma: Float64Array): number[] {
  const rows = COSINES.map((cosine) => Float64Array.from({ length: SIDE }, (_, y) => sumProduct(cosine, (x) => luma[y * SIDE + x] as number)));
  return COSINES.flatMap((cosine) => rows.map((row) => sumProduct(cosine, (y) => row[y] as number)));
}

function sumProduct(cosine: Float64Array, value: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < SIDE; i++) sum += (cosine[i] as number) * value(i);
  return sum;
}
