/** The grid of pictures, in rows of one height, each picture in its own shape. */
import { describeScore, nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */

/** Wider or higher pictures are shown cut to these shapes. */
const [RATIO_MIN, RATIO_MAX] = [0.55, 2.4];

/**
 * @param {object} parts
 * @param {HTMLOListElement} parts.list
 * @param {HTMLTemplateElement} parts.template
 * @param {(position: number) => void} parts.onOpen
 */
export function createResults({ list, template, onOpen }) {
  /** @type {{ picture: Picture, item: HTMLLIElement }[]} */
  let shown = [];

  /** @param {Picture} picture @param {boolean} dropsMissing */
  function toItem(picture, dropsMissing) {
    const item = /** @type {HTMLLIElement} */ (template.content.firstElementChild?.cloneNode(true));
    const [button, image, score, label] = ['button', 'img', '.score', '.name'].map((selector) => /** @type {HTMLElement} */ (item.querySelector(selector)));
    const name = nameOf(picture.urls[0] ?? picture.url, picture.id);
    const picked = /** @type {HTMLImageElement} */ (image);
    shape(item, picture.width, picture.height);
    picked.addEventListener('load', () => shape(item, picked.naturalWidth, picked.naturalHeight));
    picked.addEventListener('error', () => (dropsMissing ? drop(picture.id) : item.classList.add('missing')));
    picked.src = picture.url;
    if (score) score.textContent = picture.score === undefined ? '' : describeScore(picture.score);
    if (score) score.hidden = picture.score === undefined;
    if (label) label.textContent = label.title = name;
    button?.setAttribute('aria-label', picture.score === undefined ? name : `${name}, score ${describeScore(picture.score)}`);
    button?.addEventListener('click', () => onOpen(shown.findIndex((entry) => entry.item === item)));
    return item;
  }

  /** Takes a picture out; returns the button that takes its place for the keyboard. @param {string} id */
  function drop(id) {
    const position = shown.findIndex(({ picture }) => picture.id === id);
    if (position === -1) return undefined;
    shown[position]?.item.remove();
    shown.splice(position, 1);
    return buttonAt(Math.min(position, shown.length - 1));
  }

  /** @param {number} position */
  function buttonAt(position) {
    return shown[position]?.item.querySelector('button') ?? undefined;
  }

  return {
    /** @param {Picture[]} pictures @param {{ dropsMissing?: boolean }} [options] leaves out pictures that cannot be shown */
    show(pictures, { dropsMissing = false } = {}) {
      shown = pictures.map((picture) => ({ picture, item: toItem(picture, dropsMissing) }));
      list.replaceChildren(...shown.map(({ item }) => item));
      list.removeAttribute('aria-busy');
    },
    wait() {
      list.setAttribute('aria-busy', 'true');
    },
    drop,
    buttonAt,
    /** @returns {Picture[]} */
    get pictures() {
      return shown.map(({ picture }) => picture);
    },
  };
}

/** @param {HTMLElement} item @param {number | undefined} width @param {number | undefined} height */
function shape(item, width, height) {
  const ratio = width && height ? width / height : 1;
  item.style.setProperty('--ratio', String(Math.min(Math.max(ratio, RATIO_MIN), RATIO_MAX)));
}
