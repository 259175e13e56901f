/** The page: puts its parts together. One search at a time, held in the address as far as an address can hold it. */
import { createAdder } from './adder.js';
import * as api from './api.js';
import { createCropper } from './cropper.js';
import * as regions from './region.js';
import { createResults } from './results.js';
import { addressesOf, filesOf } from './transfer.js';
import { createViewer } from './viewer.js';
import { addressOf, count, describeAnswer, describeMissing, describeTimings, nameOf } from './words.js';

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
/** @typedef {{ query: Query, region: regions.Region | undefined }} Asked */

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
const page = Object.fromEntries(['form', 'file', 'camera', 'url', 'model', 'model-choice', 'top', 'query', 'query-name', 'crop', 'whole', 'browse', 'add', 'invitation', 'index', 'asking', 'status', 'timings', 'warning', 'error', 'results-title'].map((id) => [id, byId(id)]));
const NAME = document.title;
const BROWSED = 24;
/** As in style.css: where the results would lie far below what else can be asked. */
const NARROW = window.matchMedia('(max-width: 48rem)');

/** The search that is under way: a new one takes its place. */
let running = new AbortController();
/** @type {Asked | undefined} */
let asked;
/** What entries of the history stand for: a file cannot be held in an address. @type {Map<string, Asked>} */
const visited = new Map();
/** Images that were removed here; an index may show them for a moment longer. @type {Set<string>} */
const removed = new Set();

const results = createResults({ list: byId('results'), template: byId('hit'), onOpen: (position) => viewer.show(position) });
const cropper = createCropper({ stage: byId('stage'), image: byId('preview'), box: byId('region'), voice: byId('region-said'), onRegion: (region) => asked && search({ query: asked.query, region }) });
const viewer = createViewer({
  byId,
  pictures: () => results.pictures,
  onMore: ({ id, url, urls }) => search({ query: { id, image: url, name: nameOf(urls[0] ?? url, id) }, region: undefined }, { focuses: true }),
  onRemoved: ({ id, url, urls }) => {
    removed.add(id);
    const next = results.drop(id);
    (next ?? page['results-title']).focus();
    page.status.textContent = `Removed ${nameOf(urls[0] ?? url, id)}.`;
  },
  onClosed: (position) => results.buttonAt(position)?.focus(),
});
const adder = createAdder({
  byId,
  onFind: (id, name) => search({ query: { id, image: `images/${id}`, name }, region: undefined }, { focuses: true }),
  onProgress: (text) => (page.add.textContent = text || 'Add images'),
  onDone: (outcomes) => {
    for (const { id } of outcomes) removed.delete(id ?? '');
    void showModels();
  },
});

// ── Searching ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {File} file @returns {Asked} */
const ofFile = (file) => ({ query: { file, image: URL.createObjectURL(file), name: file.name || 'the pasted image' }, region: undefined });
/** @param {string} url @returns {Asked} */
const ofUrl = (url) => ({ query: { url, image: addressOf(url), name: nameOf(url, 'the image at this address') }, region: undefined });

/**
 * @param {Asked} next
 * @param {{ focuses?: boolean, records?: boolean }} [options] moves the focus to the results; makes an entry of the history
 */
async function search(next, { focuses = false, records = true } = {}) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const options = { top: page.top.value, model: page.model.value, signal };
  showAsked(next);
  if (records) record(next, 'pushState');
  if (focuses) focusResults();
  try {
    if (next.region && !next.query.image) learn(next, (await api.search(toInput(next.query), { ...options, top: '1' })).query);
    const answer = await api.search(next.region ? { blob: await cropper.cut(next.region) } : toInput(next.query), options);
    if (signal.aborted) return;
    if (!next.region) learn(next, answer.query, answer.results.some(({ id }) => id === answer.query.id));
    showAnswer(next, answer);
  } catch (error) {
    if (!signal.aborted) showError(/** @type {Error} */ (error).message);
  }
}

/** @param {Query} query */
function toInput({ file, url, id }) {
  if (file) return { blob: file };
  return id ? { id } : { url: url ?? '' };
}

/** Takes over what an answer says about the image: where it can be seen, and under which id it is in the index. @param {Asked} of @param {api.Searched} searched @param {boolean} [isIndexed] */
function learn({ query, region }, { id, url, urls }, isIndexed = false) {
  if (isIndexed) query.id = id;
  if (query.image || !url) return;
  query.image = url;
  query.name = nameOf(urls?.[0] ?? url, id);
  showName(query.name);
  cropper.show(query.image, region);
}

// ── Showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {Asked} next */
function showAsked(next) {
  const { query, region } = next;
  if (asked?.query === query) cropper.draw(region);
  else cropper.show(query.image, region);
  asked = next;
  document.body.dataset['asked'] = '';
  page.query.hidden = false;
  if (NARROW.matches) page.asking.open = false;
  showName(query.name);
  page.whole.hidden = !region;
  page.invitation.textContent = 'Another image';
  page.error.hidden = page.warning.hidden = true;
  page.status.textContent = region ? 'Searching for this region…' : 'Searching…';
  page.timings.textContent = '';
  results.wait();
}

/** @param {string} name of what is searched for */
function showName(name) {
  page['query-name'].textContent = page['query-name'].title = name;
  document.title = `${name} · ${NAME}`;
}

/** @param {string} message */
function showError(message) {
  results.show([]);
  page.status.textContent = '';
  page.error.textContent = message;
  page.error.hidden = false;
}

/** @param {Asked} of @param {api.Answer} answer */
function showAnswer(of, answer) {
  page.warning.hidden = !answer.partial;
  page.warning.textContent = answer.partial ? describeMissing(answer.shards) : '';
  page.status.textContent = describeAnswer(answer, of.region ? `this region of ${of.query.name}` : of.query.name);
  page.timings.textContent = describeTimings(answer, of.query.id && !of.query.file && !of.region ? 'id' : 'image');
  results.show(answer.results.filter(({ id }) => !removed.has(id)));
  if (!answer.partial) showSize(answer.index.vectors);
  record(of, 'replaceState');
}

function focusResults() {
  page['results-title'].focus({ preventScroll: true });
  window.scrollTo({ top: 0 });
}

/** @param {number} vectors */
function showSize(vectors) {
  page.index.textContent = vectors === 0 ? 'The index is empty' : count(vectors, 'image');
  page.browse.hidden = vectors === 0;
}

async function showModels() {
  const { models } = await api.listModels();
  showSize(Math.max(0, ...models.map(({ vectors }) => vectors)));
  page['model-choice'].hidden = models.length < 2;
  choose(page.model, page.model.value || new URLSearchParams(window.location.search).get('model') || '', [['', 'automatic'], ...models.map(({ name }) => [name, name])]);
}

/** @param {HTMLSelectElement} select @param {string} value @param {string[][]} options */
function choose(select, value, options) {
  const known = options.some(([option]) => option === value) ? options : [...options, [value, value]];
  select.replaceChildren(...known.map(([option, label]) => new Option(label, option)));
  select.value = value;
}

async function browse() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  page.error.hidden = page.warning.hidden = true;
  try {
    const entries = await api.someStored(20 * BROWSED);
    if (signal.aborted) return;
    const pictures = new Map(entries.flatMap(({ id, source }) => {
      const url = addressOf(source);
      return id && url && !removed.has(id) ? [/** @type {[string, api.Picture]} */ ([id, { id, url, urls: [source] }])] : [];
    }));
    results.show([...pictures.values()].sort(() => Math.random() - 0.5).slice(0, BROWSED), { dropsMissing: true });
    page.status.textContent = 'Some of the images here. Open one to find those like it.';
    focusResults();
  } catch (error) {
    showError(/** @type {Error} */ (error).message);
  }
}

// ── The address ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** The search as an address, for others too: by id or address. A file that is not in the index can only be gone back to. @param {Asked} of @param {'pushState' | 'replaceState'} how */
function record({ query, region }, how) {
  const { id, url } = query;
  const parameters = new URLSearchParams({
    ...(id ? { id } : url ? { url } : {}),
    ...(region && (id || url) ? { region: regions.format(region) } : {}),
    ...(page.model.value && { model: page.model.value }),
    ...(page.top.value !== '20' && { top: page.top.value }),
  });
  const entry = (how === 'replaceState' && window.history.state?.entry) || `${Date.now()}-${Math.random()}`;
  visited.set(entry, { query, region });
  const text = parameters.toString();
  window.history[how]({ entry }, '', text === '' ? window.location.pathname : `?${text}`);
}

/** Searches what the address says, if it says anything. */
function follow() {
  const parameters = new URLSearchParams(window.location.search);
  const [id, url, model, top] = ['id', 'url', 'model', 'top'].map((name) => parameters.get(name) ?? '');
  if (/^\d{1,4}$/.test(top ?? '')) choose(page.top, top ?? '', [...page.top.options].map(({ value }) => [value, value]));
  if (model) choose(page.model, model, [...page.model.options].map(({ value, text }) => [value, text]));
  const known = visited.get(window.history.state?.entry);
  const region = regions.parse(parameters.get('region'));
  if (known) void search(known, { records: false });
  else if (id) void search({ query: { id, name: id.slice(0, 8) }, region }, { records: false });
  else if (url) void search({ ...ofUrl(url), region }, { records: false });
  else if (asked) startOver();
}

function startOver() {
  running.abort();
  asked = undefined;
  delete document.body.dataset['asked'];
  page.query.hidden = page.error.hidden = page.warning.hidden = true;
  page.status.textContent = page.timings.textContent = '';
  page.invitation.textContent = 'Choose an image';
  page.asking.open = true;
  document.title = NAME;
  results.show([]);
}

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Searches for what was dropped or pasted, or adds it: several files, or anything while the dialog for adding is open. @param {DataTransfer} transfer */
async function take(transfer) {
  const addresses = addressesOf(transfer);
  const files = await filesOf(transfer);
  if (byId('viewer').open) return;
  if (adder.isOpen || files.length > 1) return adder.add({ files, addresses: files.length > 0 ? [] : addresses });
  if (files[0]) return search(ofFile(files[0]));
  if (addresses[0]) return search(ofUrl(addresses[0]));
  return undefined;
}

page.form.addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  const url = page.url.value.trim();
  if (url) void search(ofUrl(url));
  else page.url.focus();
});
for (const input of [page.file, page.camera]) {
  input.addEventListener('change', () => {
    const [file] = input.files;
    if (file) void search(ofFile(file));
    input.value = ''; // the same file can be chosen again
  });
}
for (const choice of [page.top, page.model]) choice.addEventListener('change', () => asked && search(asked));
page.crop.addEventListener('click', () => cropper.begin());
page.whole.addEventListener('click', () => {
  cropper.clear();
  page.crop.focus();
});
page.browse.addEventListener('click', browse);
page.add.addEventListener('click', () => adder.open());
for (const dialog of document.querySelectorAll('dialog')) {
  dialog.addEventListener('click', ({ target }) => {
    if (target === dialog || /** @type {Element} */ (target).closest('[data-close]')) dialog.close(); // the dialog itself is hit only beside its contents
  });
}
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dropping');
});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) document.body.classList.remove('dropping');
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  if (event.dataTransfer) void take(event.dataTransfer);
});
document.addEventListener('paste', (event) => {
  const isText = /** @type {Element} */ (event.target).matches('input[type=url], textarea');
  if (event.clipboardData && (!isText || event.clipboardData.files.length > 0)) void take(event.clipboardData);
});
window.addEventListener('popstate', follow);
NARROW.addEventListener('change', () => (page.asking.open = !(NARROW.matches && asked)));

follow();
showModels().catch(() => (page.index.textContent = ''));
