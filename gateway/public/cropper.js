/**
 * The image that is searched for, and the region of it that is searched: drawn, moved and pulled with a pointer, or
 * with the keys. What a region is, is in `region.js`; what is done with it, is the caller's.
 */
import { between, grow, MIDDLE, move, pull, toPixels } from './region.js';
import { describeRegion } from './words.js';

/** @typedef {import('./region.js').Region} Region */
/** @typedef {import('./region.js').Corner} Corner */

/** Pixels of the longer side of what is sent: more than any model looks at. */
const SIDE_MAX = 1024;
const JPEG_QUALITY = 0.92;
const PNG_PIXELS_MAX = 256 * 256;
const KEY_STEP = 0.04;

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {object} parts
 * @param {HTMLElement} parts.stage around the image
 * @param {HTMLImageElement} parts.image
 * @param {HTMLButtonElement} parts.box the region, with a span for each of its corners
 * @param {HTMLElement} parts.voice says to a screen reader where the region is
 * @param {(region: Region | undefined) => void} parts.onRegion a region was settled on; undefined: the whole image
 */
export function createCropper({ stage, image, box, voice, onRegion }) {
  /** @type {Region | undefined} */
  let region;
  let isReadable = true;
  /** @type {Promise<void>} */
  let loaded = Promise.resolve();

  /** @param {Region | undefined} next */
  function draw(next) {
    region = next;
    box.hidden = !region;
    if (!region) return;
    for (const [side, share] of [['left', region.x], ['top', region.y], ['width', region.width], ['height', region.height]]) box.style.setProperty(String(side), `${Number(share) * 100}%`);
    box.setAttribute('aria-label', describeRegion(region));
  }

  /** @param {PointerEvent} event */
  function pointOf(event) {
    const { left, top, width, height } = image.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  }

  /** @param {PointerEvent} event */
  function drag(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const onBox = box.contains(target);
    if (event.button !== 0 || image.hidden || (!onBox && event.pointerType !== 'mouse')) return; // a finger beside the region scrolls the page
    event.preventDefault();
    if (onBox) box.focus({ preventScroll: true });
    const before = region;
    const start = pointOf(event);
    const corner = /** @type {Corner | undefined} */ (target.dataset['corner']);
    const follow = (/** @type {PointerEvent} */ moved) => {
      const at = pointOf(moved);
      if (!onBox || !before) draw(between(start, at) ?? before);
      else draw(corner ? pull(before, corner, at) : move(before, { x: at.x - start.x, y: at.y - start.y }));
    };
    const end = (/** @type {PointerEvent} */ { type }) => {
      stage.removeEventListener('pointermove', follow);
      stage.removeEventListener('pointerup', end);
      stage.removeEventListener('pointercancel', end);
      if (type === 'pointercancel') draw(before);
      else if (region !== before) onRegion(region);
    };
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener('pointermove', follow);
    stage.addEventListener('pointerup', end);
    stage.addEventListener('pointercancel', end);
  }

  /** @param {KeyboardEvent} event */
  function steer(event) {
    const arrow = ARROWS[event.key];
    if (arrow && region) {
      const by = { x: arrow[0] * KEY_STEP, y: arrow[1] * KEY_STEP };
      draw(event.shiftKey ? grow(region, by) : move(region, by));
      voice.textContent = describeRegion(region);
    } else if (event.key === 'Enter' || event.key === ' ') onRegion(region);
    else if (event.key === 'Escape') clear();
    else return;
    event.preventDefault();
  }

  function clear() {
    if (!region) return;
    draw(undefined);
    onRegion(undefined);
  }

  stage.addEventListener('pointerdown', drag);
  box.addEventListener('keydown', steer);

  return {
    /**
     * Shows an image. One of another host is asked for in the way that lets the page read it; where that host does not
     * agree, it is shown all the same.
     *
     * @param {string | undefined} address undefined: it cannot be shown
     * @param {Region | undefined} chosen
     */
    show(address, chosen) {
      draw(undefined);
      image.hidden = address === undefined;
      isReadable = address !== undefined;
      if (address === undefined) return;
      const isForeign = new URL(address, document.baseURI).origin !== window.location.origin && !address.startsWith('blob:');
      loaded = load(address, isForeign).then(
        () => draw(chosen),
        () => {
          isReadable = false;
          return isForeign ? load(address, false).catch(hide) : hide();
        },
      );
    },
    draw,
    clear,
    /** Begins with the middle of the image, for keys and fingers. */
    begin() {
      if (!region) draw(MIDDLE);
      box.focus({ preventScroll: true });
      if (region) voice.textContent = describeRegion(region);
    },
    /**
     * The region as an image of its own.
     *
     * @param {Region} of
     * @throws Error in words for the person, when the image cannot be read
     */
    async cut(of) {
      await loaded;
      if (!isReadable) throw new Error('No region of this image can be searched: its host does not let a page read it, or it cannot be shown. Save it, and drop it here.');
      const canvas = document.createElement('canvas');
      const { x, y, width, height } = toPixels(of, { width: image.naturalWidth, height: image.naturalHeight });
      const scale = Math.min(1, SIDE_MAX / Math.max(width, height));
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
      canvas.getContext('2d')?.drawImage(image, x, y, width, height, 0, 0, canvas.width, canvas.height);
      return toBlob(canvas);
    },
  };

  /** @param {string} address @param {boolean} byCors @returns {Promise<void>} */
  function load(address, byCors) {
    return new Promise((resolve, reject) => {
      image.onload = () => resolve();
      image.onerror = () => reject(new Error('The image cannot be shown.'));
      image.crossOrigin = byCors ? 'anonymous' : null;
      image.referrerPolicy = 'no-referrer';
      image.src = address;
    });
  }

  function hide() {
    image.hidden = true;
    draw(undefined);
  }
}

/** PNG while that is small, since it keeps what is transparent; else JPEG. @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function toBlob(canvas) {
  const type = canvas.width * canvas.height <= PNG_PIXELS_MAX ? 'image/png' : 'image/jpeg';
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser could not cut the region out. Try a smaller one.'))), type, JPEG_QUALITY));
}
