/**
 * The API key that a gateway may ask for: typed into a dialog, kept for this tab and no longer, sent in a header. An image
 * element sends none, so images of the gateway are fetched where a key is in use, and shown as what came.
 */
import { isOwnImage } from './words.js';

const NAME = 'eis-api-key';
const ROOT = `${window.location.origin}/`;

/** What the gateway stores; nothing else is opened as a document of this origin. */
const IMAGE_TYPE = /^image\/(jpeg|png|webp|gif|avif)$/;
/** Images of the grid are fetched when they come so close to what is seen. */
const NEAR = '300px';
/** A new tab has taken an image over by then. */
const OPENING_MS = 60_000;

/** @type {(message: string) => Promise<string | undefined>} */
let prompt = () => Promise.resolve(undefined);
let onKeyChange = () => {};
/** @type {Promise<boolean> | undefined} */
let asking;
/** What is being fetched for an element; the next image takes its place. @type {WeakMap<HTMLImageElement, AbortController>} */
const fetching = new WeakMap();
/** @type {WeakMap<Element, () => void>} */
const waiting = new WeakMap();
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    waiting.get(target)?.();
  }
}, { rootMargin: NEAR });

/** '' for none. */
let key = recall();

/** A browser may forbid a page to keep anything; then the key is gone with the page. */
function recall() {
  try {
    return window.sessionStorage.getItem(NAME) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} next */
function remember(next) {
  key = next;
  try {
    window.sessionStorage.setItem(NAME, next);
  } catch { /* see `recall` */ }
  onKeyChange();
}

/**
 * A request with the key. Where the gateway wants one, or another, the person is asked, once however many requests wait.
 *
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} the refusal when no key is given
 */
export async function fetchWithKey(path, init = {}) {
  for (;;) {
    const sent = key;
    const response = await fetch(path, { ...init, headers: { ...(sent && { 'x-api-key': sent }), .../** @type {Record<string, string>} */ (init.headers) } });
    if (response.status !== 401 && response.status !== 403) return response;
    const { code, message = '' } = await response.clone().json().catch(() => ({}));
    if (!['EIS_KEY_MISSING', 'EIS_KEY_UNKNOWN', 'EIS_SCOPE_MISSING'].includes(code)) return response;
    if (key !== sent) continue; // another was given meanwhile
    if (code === 'EIS_KEY_UNKNOWN') remember('');
    if (!(await ask(code === 'EIS_KEY_MISSING' ? '' : message))) return response;
    init.signal?.throwIfAborted();
  }
}

/** @param {string} message what is wrong with the key that is there @returns {Promise<boolean>} whether there is a new one */
function ask(message) {
  asking ??= prompt(message).then((given) => {
    if (given) remember(given);
    return given !== undefined;
  }).finally(() => (asking = undefined));
  return asking;
}

/** Shows an image, wherever it lies, in place of what the element shows or was to show. @param {HTMLImageElement} image @param {string} url */
export function showImage(image, url) {
  hideImage(image);
  if (!key || !isOwnImage(url, ROOT)) {
    image.src = url;
    return;
  }
  const controller = new AbortController();
  fetching.set(image, controller);
  const load = () => void fetchImage(url, controller.signal).then(
    (address) => {
      const done = () => URL.revokeObjectURL(address);
      if (controller.signal.aborted) return done();
      image.addEventListener('load', done, { once: true });
      image.addEventListener('error', done, { once: true });
      image.src = address;
    },
    () => controller.signal.aborted || image.dispatchEvent(new Event('error')),
  );
  if (image.loading !== 'lazy') return load();
  waiting.set(image, load);
  near.observe(image);
}

/** @param {HTMLImageElement} image */
export function hideImage(image) {
  fetching.get(image)?.abort();
  near.unobserve(image);
  image.removeAttribute('src');
}

/** @param {string} url @param {AbortSignal} [signal] @returns {Promise<string>} an address to be revoked */
async function fetchImage(url, signal) {
  const response = await fetchWithKey(url, { signal: signal ?? null });
  const type = response.headers.get('content-type') ?? '';
  if (!response.ok || !IMAGE_TYPE.test(type)) throw new Error('It is no image.');
  return URL.createObjectURL(await response.blob());
}

/** Lets a link to an image of the gateway be followed with the key. @param {HTMLElement} within */
export function followWithKey(within) {
  within.addEventListener('click', (event) => {
    const link = /** @type {Element} */ (event.target).closest('a');
    if (!link || !key || !isOwnImage(link.href, ROOT)) return;
    event.preventDefault();
    const tab = window.open('', '_blank'); // now, while the browser takes it for the person's own doing
    fetchImage(link.href).then(
      (address) => {
        tab?.location.replace(address);
        setTimeout(() => URL.revokeObjectURL(address), OPENING_MS);
      },
      () => tab?.close(),
    );
  });
}

/** @param {{ byId: (id: string) => any }} parts */
export function createKeyPrompt({ byId }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('key'));
  const [form, input, failure, forget] = ['form', 'input', 'error', 'forget'].map((part) => byId(`key-${part}`));
  /** @type {string | undefined} */
  let given;

  prompt = (message) => new Promise((resolve) => {
    given = undefined;
    input.value = '';
    failure.textContent = message;
    failure.hidden = message === '';
    dialog.showModal();
    dialog.addEventListener('close', () => {
      input.value = '';
      resolve(given);
    }, { once: true });
  });

  form.addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    given = input.value.trim() || undefined;
    if (given) dialog.close();
  });
  onKeyChange = () => (forget.hidden = key === '');
  onKeyChange();
  forget.addEventListener('click', () => {
    remember('');
    window.location.assign('./');
  });
}
