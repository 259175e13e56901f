/**
 * The image that is searched for, and the region of it that is searched: drawn, moved and pulled with a pointer, or
 * with the keys. What a region is, is in `region.js`; what is done with it, is the caller's.
 */
import { hideImage, showImage } from './key.js';
import { between, grow, MIDDLE, move, pull, toPixels } from './region.js';
import { describeRegion } from './words.js';

/** @typedef {import('./region.js').Region} Region */
/** @typedef {import('./region.js').Corner} Corner */

/** Pixels of the longer side of what is sent: more than any model looks at. */
const SIDE_MAX = 1024;
const JPEG_QUALITY = 0.92;
const PNG_PIXELS_MAX = 256 * 256;
/** Images smaller than this each way are shown larger than they are. */
const TINY_PIXELS = 64;
const KEY_STEP = 0.04;

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {object} parts
 * @param {HTMLElement} parts.stage around the image
 * @param {HTMLImageElement} parts.image
 * @param {HTMLButtonElement} parts.box the region, with a span for each of its corners
 * @param {HTMLElement} parts.voice says to a screen reader where the region is
 * @param {HTMLButtonElement} parts.opener begins a region, and searches the one that is there
 * @param {HTMLButtonElement} parts.closer gives the region up
 * @param {HTMLElement} parts.excuse says that the image cannot be read
 * @param {(region: Region | undefined) => void} parts.onRegion a region is to be searched; undefined: the whole image
 */
export function createCropper({ stage, image, box, voice, opener, closer, excuse, onRegion }) {
  /** @type {Region | undefined} */
  let region;
  let isReadable = false;
  /** @type {Promise<void>} */
  let loaded = Promise.resolve();

  /** @param {Region | undefined} next */
  function draw(next) {
    const hadFocus = document.activeElement === box || document.activeElement === closer;
    region = next;
    box.hidden = closer.hidden = !region;
    opener.textContent = region ? 'Search this region' : 'Search a region';
    if (region) {
      for (const [side, share] of Object.entries(region)) stage.style.setProperty(`--${side}`, String(share));
      box.setAttribute('aria-label', describeRegion(region));
    } else if (hadFocus) opener.focus({ preventScroll: true });
  }

  /** @param {boolean} can whether the page may read the image's pixels */
  function allow(can) {
    isReadable = can;
    opener.hidden = !can;
    excuse.hidden = can;
    stage.classList.toggle('readable', can);
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
    if (event.button !== 0 || !isReadable || (!onBox && event.pointerType !== 'mouse')) return; // a finger beside the region scrolls the page
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
    } else if (event.key === 'Escape') clear();
    else return; // Enter and Space press the button that the region is
    event.preventDefault();
  }

  /** Begins with the middle of the image, for keys and fingers; searches the region that is there already. */
  function open() {
    if (region) return onRegion(region);
    draw(MIDDLE);
    box.focus({ preventScroll: true });
    voice.textContent = describeRegion(MIDDLE);
  }

  function clear() {
    draw(undefined);
    onRegion(undefined);
  }

  stage.addEventListener('pointerdown', drag);
  box.addEventListener('keydown', steer);
  box.addEventListener('click', ({ detail }) => detail === 0 && onRegion(region)); // by a key or a screen reader; what a pointer does is a drag
  opener.addEventListener('click', open);
  closer.addEventListener('click', clear);

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
      allow(true);
      image.hidden = false;
      image.classList.remove('tiny');
      if (address === undefined || !URL.canParse(address, document.baseURI)) return hide();
      const isForeign = !address.startsWith('blob:') && new URL(address, document.baseURI).origin !== window.location.origin;
      loaded = load(address, isForeign).then(
        () => {
          image.classList.toggle('tiny', Math.max(image.naturalWidth, image.naturalHeight) < TINY_PIXELS);
          draw(chosen);
        },
        () => {
          allow(false);
          return isForeign ? load(address, false).catch(hide) : hide();
        },
      );
    },
    draw,
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
      showImage(image, address);
    });
  }

  function hide() {
    allow(false);
    image.hidden = true;
    hideImage(image);
    draw(undefined);
  }
}

/** PNG while that is small, since it keeps what is transparent; else JPEG. @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function toBlob(canvas) {
  const type = canvas.width * canvas.height <= PNG_PIXELS_MAX ? 'image/png' : 'image/jpeg';
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser could not cut the region out. Try a smaller one.'))), type, JPEG_QUALITY));
}
