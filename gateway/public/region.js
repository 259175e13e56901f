/** A region of an image: fractions of its width and height, from its top left corner. Plain geometry. */

/** @typedef {{ x: number, y: number, width: number, height: number }} Region */
/** @typedef {{ x: number, y: number }} Point */
/** @typedef {'nw' | 'ne' | 'sw' | 'se'} Corner */

/** The smallest side; less is a slip of the hand, or nothing to search by. */
export const SIDE_MIN = 0.05;

/** The region that one begins with: the middle. @type {Readonly<Region>} */
export const MIDDLE = Object.freeze({ x: 0.2, y: 0.2, width: 0.6, height: 0.6 });

/** @param {number} value @param {number} min @param {number} max */
const clamp = (value, min, max) => Math.min(Math.max(value, min), max);

/** The region between two points, whichever way it was drawn; undefined when it is too small. @param {Point} a @param {Point} b @returns {Region | undefined} */
export function between(a, b) {
  const [left, right] = [clamp(Math.min(a.x, b.x), 0, 1), clamp(Math.max(a.x, b.x), 0, 1)];
  const [top, bottom] = [clamp(Math.min(a.y, b.y), 0, 1), clamp(Math.max(a.y, b.y), 0, 1)];
  const region = { x: left, y: top, width: right - left, height: bottom - top };
  return region.width < SIDE_MIN || region.height < SIDE_MIN ? undefined : region;
}

/** Moved, and kept inside the image. @param {Region} region @param {Point} by @returns {Region} */
export function move({ x, y, width, height }, by) {
  return { x: clamp(x + by.x, 0, 1 - width), y: clamp(y + by.y, 0, 1 - height), width, height };
}

/** With its right and bottom sides moved. @param {Region} region @param {Point} by @returns {Region} */
export function grow({ x, y, width, height }, by) {
  return { x, y, width: clamp(width + by.x, SIDE_MIN, 1 - x), height: clamp(height + by.y, SIDE_MIN, 1 - y) };
}

/** With one corner pulled to a point; the opposite one stays. @param {Region} region @param {Corner} corner @param {Point} to @returns {Region} */
export function pull({ x, y, width, height }, corner, to) {
  const [right, bottom] = [x + width, y + height];
  const left = corner.endsWith('w') ? clamp(to.x, 0, right - SIDE_MIN) : x;
  const top = corner.startsWith('n') ? clamp(to.y, 0, bottom - SIDE_MIN) : y;
  return {
    x: left,
    y: top,
    width: (corner.endsWith('e') ? clamp(to.x, x + SIDE_MIN, 1) : right) - left,
    height: (corner.startsWith('s') ? clamp(to.y, y + SIDE_MIN, 1) : bottom) - top,
  };
}

/** In pixels of an image: whole ones, at least one each way. @param {Region} region @param {{ width: number, height: number }} image @returns {Region} */
export function toPixels({ x, y, width, height }, image) {
  const left = Math.round(x * image.width);
  const top = Math.round(y * image.height);
  return { x: left, y: top, width: Math.max(1, Math.round((x + width) * image.width) - left), height: Math.max(1, Math.round((y + height) * image.height) - top) };
}

/** As it stands in an address. @param {Region} region */
export function format({ x, y, width, height }) {
  return [x, y, width, height].map((share) => +share.toFixed(4)).join(',');
}

/** From an address; undefined when it is none. @param {string | null} text @returns {Region | undefined} */
export function parse(text) {
  const numbers = (text ?? '').split(',').map(Number);
  const [x = NaN, y = NaN, width = NaN, height = NaN] = numbers;
  const isInside = numbers.length === 4 && x >= 0 && y >= 0 && width >= SIDE_MIN && height >= SIDE_MIN && x + width <= 1.0001 && y + height <= 1.0001;
  return isInside ? { x, y, width: Math.min(width, 1 - x), height: Math.min(height, 1 - y) } : undefined;
}
