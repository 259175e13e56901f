/** The gateway as the page calls it. Every failure is an Error whose message is meant for the person who reads it. */

import { fetchWithKey } from './key.js';

/** @typedef {{ id: string, score?: number, url: string, urls: string[], width?: number, height?: number, metadata?: Record<string, string | number | boolean | string[]>, duplicates?: { count: number, images: { id: string, url: string, urls: string[], width?: number, height?: number }[] } }} Picture an image of the index, and the near-duplicates that it stands for */
/** @typedef {{ id: string, url?: string, urls?: string[], width?: number, height?: number }} Searched */
/**
 * @typedef {object} Answer
 * @property {string} model
 * @property {Searched} query
 * @property {(Searched & { weight: number })[]} [examples]
 * @property {Picture[]} results
 * @property {{ total: number, ok: number, failed: { shard: string, code: string }[] }} shards
 * @property {boolean} partial
 * @property {{ vectors: number, freshness_s: number }} index
 * @property {{ embed: number, fan_out: number, merge: number, total: number }} timings_ms
 */
/** @typedef {{ source: string, model: string, state: 'accepted' | 'stored' | 'duplicate' | 'rejected' | 'dead', id?: string, message?: string }} LedgerEntry */

const ATTEMPTS = 5;
const LEDGER_PAGE = 1000;

/** An answer that is no success, in the gateway's own words. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @param {string} path @param {RequestInit} [init] @returns {Promise<any>} */
async function call(path, init) {
  return (await callWhole(path, init)).answer;
}

/** @param {string} path @param {RequestInit} [init] @returns {Promise<{ answer: any, headers: Headers }>} */
async function callWhole(path, init = {}) {
  const response = await fetchWithKey(path, init).catch(async (error) => {
    if (init.signal?.aborted) throw error;
    if (init.body instanceof File && !(await isReadable(init.body))) throw new ApiError('The file was changed or moved after it was chosen. Choose it again.', 400);
    throw new ApiError('The gateway cannot be reached. Is it running?', 0);
  });
  const answer = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return { answer, headers: response.headers };
  const error = new ApiError(answer?.message ?? `The gateway answered ${response.status}. Try again in a moment.`, response.status);
  throw Object.assign(error, { retryAfterS: Number(response.headers.get('retry-after') ?? 1) });
}

/** @param {File} file */
function isReadable(file) {
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** @param {number} s */
const sleep = (s) => new Promise((resolve) => setTimeout(resolve, s * 1000));

/** The same, again after a while when the gateway is busy, or it or a part of it is away. @param {string} path @param {() => RequestInit} init */
async function callPatiently(path, init) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(path, init());
    } catch (error) {
      const { status, retryAfterS = 1 } = /** @type {ApiError & { retryAfterS?: number }} */ (error);
      if (attempt === ATTEMPTS || ![0, 429, 502, 503].includes(status)) throw error;
      await sleep(retryAfterS * attempt);
    }
  }
}

const json = { 'content-type': 'application/json' };

/**
 * The images most like one: a file or part of one (`blob`), the image at an address (`url`), or one of the index (`id`);
 * and like, or less like, further ones of the index.
 *
 * @param {{ blob: Blob } | { url: string } | { id: string }} input
 * @param {{ top: string, model: string, filter?: string, examples?: readonly { id: string, weight: number }[], signal: AbortSignal }} options
 * @returns {Promise<Answer>}
 */
export function search(input, { top, model, filter = '', examples = [], signal }) {
  const query = new URLSearchParams({ top, ...(model && { model }), ...(filter && { filter }) });
  const further = examples.map(({ id, weight }) => ({ id, weight }));
  return call(`search?${query}`, { method: 'POST', signal, ...('blob' in input ? ofBlob(input.blob, further) : { body: JSON.stringify(further.length > 0 ? { images: [input, ...further] } : input), headers: json }) });
}

/** @param {Blob} blob @param {object[]} further @returns {RequestInit} */
function ofBlob(blob, further) {
  if (further.length === 0) return { body: blob, headers: { 'content-type': blob.type.startsWith('image/') ? blob.type : 'application/octet-stream' } };
  const body = new FormData();
  body.append('image', blob, 'image');
  body.append('images', JSON.stringify(further));
  return { body };
}

/** @typedef {{ name: string, vectors: number, shards: { ok: number, total: number } }} Model */

/**
 * The models that are served. In a cluster each has a gateway of its own, which knows no other; nginx, before them all, names
 * the others, and they are asked one by one. One that does not answer is left out.
 *
 * @returns {Promise<{ models: Model[] }>}
 */
export async function listModels() {
  const { answer, headers } = await callWhole('models');
  /** @type {Model[]} */
  const known = answer.models;
  const named = headers.get('x-eis-models')?.split(',') ?? known.map(({ name }) => name);
  const others = named.filter((name) => !known.some((model) => model.name === name));
  const answers = await Promise.all(others.map((name) => call(`models?${new URLSearchParams({ model: name })}`).catch(() => ({ models: [] }))));
  const all = [...known, ...answers.flatMap(({ models }) => models)];
  return { models: named.flatMap((name) => all.find((model) => model.name === name) ?? []) };
}

/**
 * Hands images in. They are accepted when this resolves; what becomes of them is in the ledger of the submission.
 *
 * @param {File | string[]} images a file, or addresses
 * @param {string} submission
 * @returns {Promise<string[]>} the images as the ledger names them
 */
export async function add(images, submission) {
  const init = () => {
    if (Array.isArray(images)) return { method: 'POST', headers: json, body: JSON.stringify({ urls: images }) };
    const body = new FormData();
    body.append('image', images, images.name || 'pasted');
    return { method: 'POST', body };
  };
  return (await callPatiently(`images?submission=${submission}`, init)).sources;
}

/** Every entry of a submission. @param {string} submission @returns {Promise<LedgerEntry[]>} */
export async function outcomes(submission) {
  /** @type {LedgerEntry[]} */
  const entries = [];
  for (let after = ''; ;) {
    const page = await call(`images?${new URLSearchParams({ submission, limit: String(LEDGER_PAGE), ...(after && { after }) })}`);
    entries.push(...page.entries);
    if (!page.next) return entries;
    after = page.next;
  }
}

/** Some entries of images that were stored. @param {number} limit @returns {Promise<LedgerEntry[]>} */
export async function someStored(limit) {
  return (await call(`images?state=stored&limit=${limit}`)).entries;
}

/** Removes an image from every model. One that somebody else removed meanwhile is as gone. @param {string} id */
export async function remove(id) {
  await call(`images/${id}`, { method: 'DELETE' }).catch((error) => {
    if (error.status !== 404) throw error;
  });
}
