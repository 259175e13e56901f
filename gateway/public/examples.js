/** The further images of a search: like them, or less like them. Each stands below the image that is searched for, and can be taken out again. */
import { showImage } from './key.js';
import { nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */
/** @typedef {{ id: string, image: string, name: string, weight: number }} Example */

/** What leads away weighs half of what leads there, so that it does not outweigh it. */
export const [LIKE, UNLIKE] = [1, -0.5];

/** @param {Picture} picture @param {number} weight @returns {Example} */
export const ofExample = ({ id, url, urls }, weight) => ({ id, image: url, name: nameOf(urls[0] ?? url, id), weight });

/** One of which only the id is known. @param {string} id @param {number} weight @returns {Example} */
export const ofId = (id, weight) => ({ id, image: `images/${id}`, name: id.slice(0, 8), weight });

/**
 * @param {object} parts
 * @param {HTMLUListElement} parts.list
 * @param {HTMLTemplateElement} parts.template
 * @param {(example: Example) => void} parts.onRemove
 * @param {() => void} parts.onFocusLost
 */
export function createExamples({ list, template, onRemove, onFocusLost }) {
  /** @param {Example} example */
  function toItem(example) {
    const item = /** @type {HTMLLIElement} */ (template.content.firstElementChild?.cloneNode(true));
    const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (item.querySelector(selector));
    const said = `${example.weight > 0 ? 'also like' : 'less like'} ${example.name}`;
    item.classList.toggle('unlike', example.weight < 0);
    const image = /** @type {HTMLImageElement} */ (part('img'));
    image.addEventListener('error', () => (image.hidden = true));
    showImage(image, example.image);
    part('.said').textContent = part('.said').title = said;
    part('button').setAttribute('aria-label', `Take out: ${said}`);
    part('button').addEventListener('click', () => onRemove(example));
    return item;
  }

  return {
    /** @param {readonly Example[]} examples */
    show(examples) {
      const hadFocus = list.contains(document.activeElement);
      list.replaceChildren(...examples.map(toItem));
      list.hidden = examples.length === 0;
      if (hadFocus) onFocusLost();
    },
  };
}
