/** One picture, large: where it comes from, how large it is, what can be done with it. */
import { remove } from './api.js';
import { addressOf, describeScore, describeSize, describeSource, nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */

/**
 * @param {object} parts
 * @param {(id: string) => any} parts.byId
 * @param {() => Picture[]} parts.pictures those that one can step through
 * @param {(picture: Picture) => void} parts.onMore
 * @param {(picture: Picture) => void} parts.onRemoved
 * @param {(position: number) => void} parts.onClosed with the picture that was shown last
 */
export function createViewer({ byId, pictures, onMore, onRemoved, onClosed }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('viewer'));
  const image = /** @type {HTMLImageElement} */ (byId('viewer-image'));
  const facts = /** @type {HTMLElement} */ (byId('viewer-facts'));
  const [name, open, confirm, failure, askRemove, previous, next] = ['name', 'open', 'confirm', 'error', 'remove', 'previous', 'next'].map((part) => byId(`viewer-${part}`));
  let position = 0;

  const current = () => /** @type {Picture} */ (pictures()[position]);

  /** @param {number} to */
  function show(to) {
    position = to;
    const picture = current();
    const title = nameOf(picture.urls[0] ?? picture.url, picture.id);
    name.textContent = title;
    image.src = picture.url;
    image.alt = title;
    open.href = picture.url;
    facts.replaceChildren(...factsOf(picture));
    previous.disabled = position === 0;
    next.disabled = position === pictures().length - 1;
    askForRemoval(false);
    if (!dialog.open) dialog.showModal();
  }

  /** @param {number} by */
  function step(by) {
    if (pictures()[position + by]) show(position + by);
  }

  /** @param {boolean} asks */
  function askForRemoval(asks) {
    confirm.hidden = !asks;
    askRemove.hidden = asks;
    failure.hidden = true;
  }

  async function removeCurrent() {
    const picture = current();
    const [yes, no] = [byId('viewer-yes'), byId('viewer-no')];
    yes.disabled = no.disabled = true;
    try {
      await remove(picture.id);
      dialog.close();
      onRemoved(picture);
    } catch (error) {
      askForRemoval(false);
      failure.textContent = /** @type {Error} */ (error).message;
      failure.hidden = false;
      askRemove.focus();
    } finally {
      yes.disabled = no.disabled = false;
    }
  }

  image.addEventListener('error', () => image.removeAttribute('src'));
  previous.addEventListener('click', () => step(-1));
  next.addEventListener('click', () => step(1));
  dialog.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') step(-1);
    if (event.key === 'ArrowRight') step(1);
  });
  dialog.addEventListener('close', () => {
    image.removeAttribute('src');
    onClosed(position);
  });
  byId('viewer-more').addEventListener('click', () => {
    const picture = current();
    dialog.close();
    onMore(picture);
  });
  askRemove.addEventListener('click', () => {
    askForRemoval(true);
    byId('viewer-no').focus();
  });
  byId('viewer-no').addEventListener('click', () => {
    askForRemoval(false);
    askRemove.focus();
  });
  byId('viewer-yes').addEventListener('click', removeCurrent);
  return { show };
}

/** @param {Picture} picture @returns {HTMLElement[]} */
function factsOf({ id, score, width, height, urls }) {
  const sources = urls.map((source) => toLink(describeSource(source, id), addressOf(source)));
  return [
    ...(score === undefined ? [] : toFact('Score', [`${describeScore(score)} (cosine similarity)`])),
    ...toFact('Size', [describeSize(width, height)]),
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
