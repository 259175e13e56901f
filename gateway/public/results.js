/** The grid of pictures, in rows of one height, each picture in its own shape. */
import { showImage } from './key.js';
import { count, describeDuplicates, describeScore, nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */

/** Wider or higher pictures are shown cut to these shapes. */
const [RATIO_MIN, RATIO_MAX] = [0.55, 2.4];

/**
 * @param {object} parts
 * @param {HTMLOListElement} parts.list
 * @param {HTMLTemplateElement} parts.template
 * @param {(pictures: Picture[], position: number) => void} parts.onOpen
 * @param {() => void} parts.onFocusLost the picture that had the focus is gone
 */
export function createResults({ list, template, onOpen, onFocusLost }) {
  /** @type {{ picture: Picture, item: HTMLLIElement }[]} */
  let shown = [];

  /** @param {Picture} picture @param {boolean} dropsMissing */
  function toItem(picture, dropsMissing) {
    const item = /** @type {HTMLLIElement} */ (template.content.firstElementChild?.cloneNode(true));
    const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (item.querySelector(selector));
    const [button, score, label] = [part('button'), part('.score'), part('.name')];
    const image = /** @type {HTMLImageElement} */ (part('img'));
    const name = nameOf(picture.urls[0] ?? picture.url, picture.id);
    const said = picture.score === undefined ? name : `${name}, score ${describeScore(picture.score)}`;
    shape(item, picture.width, picture.height);
    image.addEventListener('load', () => shape(item, image.naturalWidth, image.naturalHeight));
    image.addEventListener('error', () => {
      if (dropsMissing) return drop(picture.id);
      item.classList.add('missing');
      part('.lost').hidden = false;
      button.setAttribute('aria-label', `${said}, cannot be shown`);
    });
    showImage(image, picture.url);
    score.hidden = picture.score === undefined;
    score.textContent = picture.score === undefined ? '' : describeScore(picture.score);
    label.textContent = label.title = name;
    button.setAttribute('aria-label', said);
    addOthers(item, picture, name);
    button.addEventListener('click', () => onOpen(shown.map((entry) => entry.picture), shown.findIndex((entry) => entry.item === item)));
    return item;
  }

  /** The button that shows the near-duplicates of a picture behind it, and takes them away again. @param {HTMLLIElement} item @param {Picture} picture @param {string} name */
  function addOthers(item, { duplicates }, name) {
    const button = /** @type {HTMLButtonElement} */ (item.querySelector('.others'));
    if (!duplicates) return button.remove();
    /** @type {typeof shown} */
    let opened = [];
    button.textContent = describeDuplicates(duplicates.count);
    button.setAttribute('aria-label', `${describeDuplicates(duplicates.count)}: ${count(duplicates.count, 'near-duplicate')} of ${name}`);
    button.addEventListener('click', () => {
      const isOpening = button.getAttribute('aria-expanded') === 'false';
      button.setAttribute('aria-expanded', String(isOpening));
      for (const entry of opened) entry.item.remove();
      shown = shown.filter((entry) => !opened.includes(entry));
      opened = isOpening ? duplicates.images.map((image) => ({ picture: image, item: toItem(image, false) })) : [];
      for (const entry of opened) entry.item.classList.add('alike');
      shown.splice(shown.findIndex((entry) => entry.item === item) + 1, 0, ...opened);
      item.after(...opened.map((entry) => entry.item));
    });
  }

  /** Takes a picture out; the one after it gets the focus. @param {string} id */
  function drop(id) {
    const position = shown.findIndex(({ picture }) => picture.id === id);
    if (position === -1) return;
    const hadFocus = shown[position]?.item.contains(document.activeElement);
    shown[position]?.item.remove();
    shown.splice(position, 1);
    if (hadFocus) focusAt(Math.min(position, shown.length - 1));
  }

  /** @param {number} position */
  function focusAt(position) {
    const button = shown[position]?.item.querySelector('button');
    if (button) button.focus();
    else onFocusLost();
  }

  return {
    /** @param {Picture[]} pictures @param {{ dropsMissing?: boolean }} [options] leaves out pictures that cannot be shown */
    show(pictures, { dropsMissing = false } = {}) {
      const hadFocus = list.contains(document.activeElement);
      shown = pictures.map((picture) => ({ picture, item: toItem(picture, dropsMissing) }));
      list.replaceChildren(...shown.map(({ item }) => item));
      list.removeAttribute('aria-busy');
      if (hadFocus) onFocusLost();
    },
    /** @param {boolean} isBusy */
    wait(isBusy) {
      if (isBusy) list.setAttribute('aria-busy', 'true');
      else list.removeAttribute('aria-busy');
    },
    drop,
    /** The picture with this id, or else what is there for lost focus. @param {string} id */
    focus: (id) => focusAt(shown.findIndex(({ picture }) => picture.id === id)),
  };
}

/** @param {HTMLElement} item @param {number | undefined} width @param {number | undefined} height */
function shape(item, width, height) {
  const ratio = width && height ? width / height : 1;
  item.style.setProperty('--ratio', String(Math.min(Math.max(ratio, RATIO_MIN), RATIO_MAX)));
}
