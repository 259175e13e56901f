/** What is searched for: from a file, an address or a picture; as it is sent, and as it stands in the page's address. */
import { LIKE, ofId, UNLIKE } from './examples.js';
import * as regions from './region.js';
import { addressOf, nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */
/**
 * What is searched for.
 *
 * @typedef {object} Query
 * @property {File} [file]
 * @property {string} [url]
 * @property {string} [id] of an image of the index; of a file too, once it is known to be in the index
 * @property {string | undefined} [image] where the image can be seen
 * @property {string} name
 */
/** A search, whole. @typedef {{ query: Query, region: regions.Region | undefined, model: string, top: string, filter: string, examples: readonly import('./examples.js').Example[] }} Asked */

/** How many results come where nothing is said. */
export const TOP = '20';

/** @param {File} file @returns {Query} */
export const ofFile = (file) => ({ file, image: URL.createObjectURL(file), name: file.name || 'the pasted image' });
/** @param {Picture} picture @returns {Query} */
export const ofPicture = ({ id, url, urls }) => ({ id, image: url, name: nameOf(urls[0] ?? url, id) });

/** An image by its address; one of our own, dragged from the results perhaps, by its id. @param {string} url @returns {Query} */
export function ofUrl(url) {
  const [, id] = (url.startsWith(`${window.location.origin}/`) && /\/images\/([0-9a-f]{64})$/.exec(url)) || [];
  return id ? { id, image: `images/${id}`, name: id.slice(0, 8) } : { url, image: addressOf(url), name: nameOf(url, 'the image at this address') };
}

/** @param {Query} query */
export function toInput({ file, url, id }) {
  if (file) return { blob: file };
  return id ? { id } : { url: url ?? '' };
}

/** @param {Asked} asked */
export function toParameters({ query: { id, url }, region, model, top, filter, examples }) {
  const parameters = new URLSearchParams({
    ...(id ? { id } : url ? { url } : {}),
    ...(region && (id || url) ? { region: regions.format(region) } : {}),
    ...(model && { model }),
    ...(top !== TOP && { top }),
    ...(filter && { filter }),
  });
  if (id || url) for (const example of examples) parameters.append(example.weight > 0 ? 'like' : 'unlike', example.id);
  return parameters.toString();
}

/** What an address says: how to search, and perhaps for what. @param {{ search: string }} address */
export function readAddress({ search }) {
  const parameters = new URLSearchParams(search);
  const [id, url, model = '', top = '', filter = ''] = ['id', 'url', 'model', 'top', 'filter'].map((name) => parameters.get(name) ?? '');
  const query = id ? { id, name: id.slice(0, 8) } : url ? ofUrl(url) : undefined;
  const examples = [...parameters.getAll('like').map((like) => ofId(like, LIKE)), ...parameters.getAll('unlike').map((unlike) => ofId(unlike, UNLIKE))];
  return { query, region: regions.parse(parameters.get('region')), model, top: /^\d{1,4}$/.test(top) ? top : TOP, filter, examples };
}
