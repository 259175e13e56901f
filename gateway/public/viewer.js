/** One picture, large: where it comes from, how large it is, what can be done with it. */
import { remove } from './api.js';
import { LIKE, UNLIKE } from './examples.js';
import { followWithKey, hideImage, showImage } from './key.js';
import { addressOf, describeScore, describeSize, describeSource, nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */

/**
 * @param {object} parts
 * @param {(id: string) => any} parts.byId
 * @param {(picture: Picture) => void} parts.onMore
 * @param {(picture: Picture, weight: number) => void} parts.onExample it is to be one of the search's images
 * @param {() => boolean} parts.isSearch whether there is a search that it can be added to
 * @param {(picture: Picture) => void} parts.onRemoved
 * @param {(picture: Picture) => void} parts.onLeft it was closed, and this picture was shown last
 */
export function createViewer({ byId, onMore, onExample, isSearch, onRemoved, onLeft }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('viewer'));
  const image = /** @type {HTMLImageElement} */ (byId('viewer-image'));
  const facts = /** @type {HTMLElement} */ (byId('viewer-facts'));
  const [name, missing, open, confirm, failure, askRemove, previous, next] = ['name', 'missing', 'open', 'confirm', 'error', 'remove', 'previous', 'next'].map((part) => byId(`viewer-${part}`));
  /** As they were when the dialog was opened: what is shown is what is acted on, whatever is searched meanwhile. @type {Picture[]} */
  let pictures = [];
  let position = 0;
  let isRemoving = false;
  /** What is done once the dialog is closed. */
  let leave = onLeft;

  const current = () => /** @type {Picture} */ (pictures[position]);

  /** @param {number} to */
  function show(to) {
    position = to;
    const picture = current();
    const title = nameOf(picture.urls[0] ?? picture.url, picture.id);
    name.textContent = title;
    missing.hidden = true;
    showImage(image, picture.url);
    image.alt = title;
    open.href = picture.url;
    facts.replaceChildren(...factsOf(picture));
    byId('viewer-like').hidden = byId('viewer-unlike').hidden = !isSearch();
    previous.setAttribute('aria-disabled', String(position === 0));
    next.setAttribute('aria-disabled', String(position === pictures.length - 1));
    if (confirm.contains(document.activeElement)) name.focus();
    askForRemoval(false);
  }

  /** @param {number} by */
  function step(by) {
    if (pictures[position + by] && !isRemoving) show(position + by);
  }

  /** @param {boolean} asks */
  function askForRemoval(asks) {
    confirm.hidden = !asks;
    askRemove.hidden = asks;
    failure.hidden = true;
  }

  /** @param {(picture: Picture) => void} then */
  function close(then) {
    leave = then;
    dialog.close();
  }

  async function removeCurrent() {
    if (isRemoving) return;
    isRemoving = true;
    confirm.setAttribute('aria-disabled', 'true');
    try {
      await remove(current().id);
      close(onRemoved);
    } catch (error) {
      askForRemoval(false);
      failure.textContent = /** @type {Error} */ (error).message;
      failure.hidden = false;
      askRemove.focus();
    } finally {
      isRemoving = false;
      confirm.removeAttribute('aria-disabled');
    }
  }

  image.addEventListener('error', () => {
    hideImage(image);
    missing.hidden = false;
  });
  followWithKey(dialog);
  previous.addEventListener('click', () => step(-1));
  next.addEventListener('click', () => step(1));
  dialog.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') step(-1);
    if (event.key === 'ArrowRight') step(1);
  });
  dialog.addEventListener('close', () => {
    hideImage(image);
    const then = leave;
    leave = onLeft;
    then(current());
  });
  byId('viewer-more').addEventListener('click', () => close(onMore));
  byId('viewer-like').addEventListener('click', () => close((picture) => onExample(picture, LIKE)));
  byId('viewer-unlike').addEventListener('click', () => close((picture) => onExample(picture, UNLIKE)));
  askRemove.addEventListener('click', () => {
    askForRemoval(true);
    byId('viewer-no').focus();
  });
  byId('viewer-no').addEventListener('click', () => {
    askForRemoval(false);
    askRemove.focus();
  });
  byId('viewer-yes').addEventListener('click', removeCurrent);
  return {
    /** @param {Picture[]} of @param {number} at */
    show(of, at) {
      pictures = of;
      show(at);
      if (!dialog.open) dialog.showModal();
    },
    get isOpen() {
      return dialog.open;
    },
    /** Without a word, when the page goes elsewhere. */
    dismiss: () => dialog.open && close(() => undefined),
  };
}

/** @param {Picture} picture @returns {HTMLElement[]} */
function factsOf({ id, score, width, height, urls, metadata = {} }) {
  const sources = urls.map((source) => toLink(describeSource(source, id), addressOf(source)));
  return [
    ...(score === undefined ? [] : toFact('Score', [`${describeScore(score)} (cosine similarity)`])),
    ...toFact('Size', [describeSize(width, height)]),
    ...Object.entries(metadata).flatMap(([key, value]) => toFact(key, [[value].flat().join(', ')])),
    ...toFact(urls.length === 1 ? 'Source' : 'Sources', sources),
    ...toFact('Link', [toLink('to the images most like it', `?id=${id}`)]),
  ];
}

/** @param {string} term @param {(string | Node)[]} details @returns {HTMLElement[]} */
function toFact(term, details) {
  const name = document.createElement('dt');
  name.textContent = term;
  return [name, ...details.map((detail) => {
    const item = document.createElement('dd');
    item.append(detail);
    return item;
  })];
}

/** @param {string} text @param {string | undefined} address */
function toLink(text, address) {
  if (!address) return text;
  const link = document.createElement('a');
  link.textContent = text;
  link.href = address;
  if (!address.startsWith('?')) Object.assign(link, { target: '_blank', rel: 'noopener noreferrer' });
  return link;
}
