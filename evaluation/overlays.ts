/** What is laid over a picture, or around it, as SVG. Letters are drawn as squares: which fonts a machine has changes nothing. */

/** Five columns and seven rows of each letter, from the top; the highest of five bits is at the left. */
const LETTERS: readonly (readonly number[])[] = [
  [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110], // S
  [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001], // A
  [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001], // M
  [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000], // P
  [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111], // L
  [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111], // E
];
const LETTER_WIDTH = 6;
const LETTER_HEIGHT = 7;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A word in white over a dark band as wide as the picture. @param top where the band begins, as a share of the height */
export function captionBand({ width, height }: Size, top: number): Buffer {
  const bandHeight = Math.max(1, Math.round(height * 0.18));
  const dot = Math.min((width * 0.8) / (LETTERS.length * LETTER_WIDTH), (bandHeight * 0.7) / LETTER_HEIGHT);
  const y = Math.round((height - bandHeight) * top);
  const left = (width - dot * LETTERS.length * LETTER_WIDTH) / 2;
  const word = LETTERS.flatMap((rows, i) => dotsOf(rows, { x: left + i * LETTER_WIDTH * dot, y: y + (bandHeight - dot * LETTER_HEIGHT) / 2, dot }));
  return svg({ width, height }, `<rect x="0" y="${y}" width="${width}" height="${bandHeight}" fill="#000" fill-opacity="0.6"/><g fill="#fff">${word.join('')}</g>`);
}

function dotsOf(rows: readonly number[], { x, y, dot }: { readonly x: number; readonly y: number; readonly dot: number }): string[] {
  return rows.flatMap((bits, row) =>
    Array.from({ length: LETTER_WIDTH - 1 }, (_, column) => column)
      .filter((column) => (bits >> (LETTER_WIDTH - 2 - column)) & 1)
      .map((column) => `<rect x="${x + column * dot}" y="${y + row * dot}" width="${dot}" height="${dot}"/>`),
  );
}

/** The window that a picture is shown in: a bar with a title and buttons above it, lines of text under it. */
export function windowFrame({ width, height }: Size, picture: Size & { readonly left: number; readonly top: number }): Buffer {
  const { left, top } = picture;
  const below = top + picture.height;
  const line = (y: number, share: number): string => `<rect x="${left}" y="${y}" width="${Math.round(picture.width * share)}" height="10" rx="5" fill="#b9bec6"/>`;
  return svg(
    { width, height },
    `<rect width="${width}" height="${height}" fill="#f4f5f7"/><rect width="${width}" height="40" fill="#d9dde3"/>${[18, 40, 62].map((x) => `<circle cx="${x}" cy="20" r="7" fill="#8d95a1"/>`).join('')}<rect x="90" y="12" width="${Math.max(1, width - 130)}" height="16" rx="8" fill="#fff"/>${line(below + 20, 0.7)}${line(below + 44, 0.45)}`,
  );
}

function svg({ width, height }: Size, content: string): Buffer {
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${content}</svg>`);
}
