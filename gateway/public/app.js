/** The page: puts its parts together. One search at a time, held in the address as far as an address can hold it. */
import { createAdder } from './adder.js';
import * as api from './api.js';
import { createCropper } from './cropper.js';
import { closeFromOutside } from './dialogs.js';
import { createExamples, ofExample } from './examples.js';
import { createKeyPrompt } from './key.js';
import { ofFile, ofPicture, ofUrl, readAddress, toInput, toParameters } from './query.js';
import { createResults } from './results.js';
import { filesOf, isAddress, linesOf, onTransfer, textOf } from './transfer.js';
import { createViewer } from './viewer.js';
import { addressOf, count, describeAnswer, describeMissing, describeTimings, nameOf } from './words.js';

/** @typedef {import('./api.js').Picture} Picture */
/** @typedef {import('./query.js').Query} Query */
/** @typedef {import('./query.js').Asked} Asked */
/** What an entry of the history stands for. @typedef {Asked | { browsed: Picture[] }} Entry */

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
const page = Object.fromEntries(['form', 'file', 'camera', 'url', 'filter', 'model', 'model-choice', 'top', 'query', 'query-name', 'browse', 'add', 'invitation', 'index', 'asking', 'status', 'timings', 'warning', 'error', 'results-title'].map((id) => [id, byId(id)]));
const NAME = document.title;
const BROWSED = 24;
/** As in style.css: where the results would lie far below what else can be asked. */
const NARROW = window.matchMedia('(max-width: 48rem)');
/** An index shows what was removed, and lacks what was added, for up to so long. */
const FOLLOWING_MS = 2_500;

/** The search that is under way: a new one takes its place. */
let running = new AbortController();
/** @type {Asked | undefined} */
let asked;
/** A file cannot be held in an address. @type {Map<string, Entry>} */
const visited = new Map();
/** Images that were removed here a moment ago. @type {Set<string>} */
const removed = new Set();

createKeyPrompt({ byId });
const focusTitle = () => page['results-title'].focus({ preventScroll: true });
const results = createResults({ list: byId('results'), template: byId('hit'), onOpen: (pictures, position) => viewer.show(pictures, position), onFocusLost: focusTitle });
const cropper = createCropper({
  stage: byId('stage'), image: byId('preview'), box: byId('region'), voice: byId('region-said'), opener: byId('crop'), closer: byId('whole'), excuse: byId('unreadable'),
  onRegion: (region) => asked && (region || asked.region) && askAgain({ region }),
});
const examples = createExamples({
  list: byId('examples'), template: byId('example'), onFocusLost: focusTitle,
  onRemove: ({ id }) => askAgain({ examples: examplesBut(id) }),
});
const viewer = createViewer({
  byId,
  isSearch: () => asked !== undefined,
  onExample: (picture, weight) => askAgain({ examples: [...examplesBut(picture.id), ofExample(picture, weight)] }, { focuses: true }),
  onMore: (picture) => ask(ofPicture(picture), { focuses: true }),
  onRemoved: noteRemoved,
  onLeft: ({ id }) => results.focus(id),
});
const adder = createAdder({
  byId,
  onFind: (id, name) => ask({ id, image: `images/${id}`, name }, { focuses: true }),
  onProgress: (text) => (page.add.textContent = text || 'Add images'),
  onDone: (outcomes) => {
    for (const { id } of outcomes) removed.delete(id ?? '');
    void showModelsSoon();
  },
});

// ── Searching ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Searches for an image as the page's choices say. @param {Query} query @param {{ focuses?: boolean }} [options] */
function ask(query, options) {
  return search({ query, region: undefined, examples: [], ...choices() }, options);
}

/** The same with something changed, as the page's choices say now. @param {Partial<Pick<Asked, 'region' | 'examples'>>} [changes] @param {{ focuses?: boolean }} [options] */
function askAgain(changes, options) {
  return asked && search({ ...asked, ...choices(), ...changes }, options);
}

function choices() {
  return { model: page.model.value, top: page.top.value, filter: page.filter.value.trim() };
}

/** The further images of the search, without one. @param {string} id */
function examplesBut(id) {
  return asked?.examples.filter((example) => example.id !== id) ?? [];
}

/**
 * @param {Asked} next
 * @param {{ focuses?: boolean, records?: boolean }} [options] moves the focus to the results; makes an entry of the history
 */
async function search(next, { focuses = false, records = true } = {}) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const { query, region, model, top, filter } = next;
  const options = { top, model, filter, examples: next.examples, signal };
  viewer.dismiss();
  try {
    showAsked(next);
    if (records) record(next, 'pushState');
    if (focuses) focusResults();
    if (region && !query.image) learn(next, (await api.search(toInput(query), { top: '1', model, signal })).query);
    const answer = await api.search(region ? { blob: await cropper.cut(region) } : toInput(query), options);
    if (signal.aborted) return;
    if (!region) learn(next, answer.query, answer.results.some(({ id }) => id === answer.query.id));
    learnExamples(next, answer);
    showAnswer(next, answer);
  } catch (error) {
    if (!signal.aborted) showError(/** @type {Error} */ (error).message);
  }
}

/** Takes over what an answer says about the image: where it can be seen, and under which id it is in the index. @param {Asked} of @param {api.Searched} searched @param {boolean} [isIndexed] */
function learn({ query, region }, { id, url, urls }, isIndexed = false) {
  if (isIndexed) query.id = id;
  if (!url) return;
  if (query.id && !query.file) showName((query.name = nameOf(urls?.[0] ?? url, id)));
  if (query.image) return;
  query.image = url;
  cropper.show(query.image, region);
}

/** An address names examples by their ids alone. @param {Asked} of @param {api.Answer} answer */
function learnExamples({ examples: further }, { examples: searched = [] }) {
  for (const example of further) {
    const found = searched.find(({ id }) => id === example.id);
    if (found?.url) Object.assign(example, { image: found.url, name: nameOf(found.urls?.[0] ?? found.url, found.id) });
  }
  examples.show(further);
}

/** @param {Picture} picture */
function noteRemoved({ id, url, urls }) {
  removed.add(id);
  setTimeout(() => removed.delete(id), 2 * FOLLOWING_MS);
  results.focus(id);
  results.drop(id);
  page.status.textContent = `Removed ${nameOf(urls[0] ?? url, id)}.`;
  if (asked?.query.id === id && asked.query.file) {
    delete asked.query.id;
    record(asked, 'replaceState');
  }
  void showModelsSoon();
}

// ── Showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {Asked} next */
function showAsked(next) {
  const { query, region } = next;
  if (asked?.query === query) cropper.draw(region);
  else cropper.show(query.image, region);
  asked = next;
  examples.show(next.examples);
  document.body.dataset['asked'] = '';
  page.query.hidden = false;
  if (NARROW.matches) {
    if (page.asking.contains(document.activeElement)) focusTitle();
    page.asking.open = false;
  }
  showName(query.name);
  page.invitation.textContent = 'Another image';
  page.error.hidden = page.warning.hidden = true;
  page.status.textContent = region ? 'Searching for this region…' : 'Searching…';
  page.timings.textContent = '';
  results.wait(true);
}

/** @param {string} name of what is searched for */
function showName(name) {
  page['query-name'].textContent = page['query-name'].title = name;
  document.title = `${name} · ${NAME}`;
}

/** @param {string} message */
function showError(message) {
  results.show([]);
  page.status.textContent = page.timings.textContent = '';
  page.error.textContent = message;
  page.error.hidden = false;
}

/** @param {Asked} of @param {api.Answer} answer */
function showAnswer(of, answer) {
  const left = answer.results.filter(({ id }) => !removed.has(id));
  page.warning.hidden = !answer.partial;
  page.warning.textContent = answer.partial ? describeMissing(answer.shards) : '';
  page.status.textContent = describeAnswer({ ...answer, results: left }, describeAsked(of), of.filter !== '');
  page.timings.textContent = describeTimings(answer, of.query.id && !of.query.file && !of.region ? 'id' : 'image');
  results.show(left);
  if (!answer.partial) showSize(answer.index.vectors);
  record(of, 'replaceState');
}

/** @param {Asked} of */
function describeAsked({ query: { name }, region, examples: further }) {
  const what = region ? `this region of ${name}` : name;
  return further.length > 0 ? `${what}, with ${count(further.length, 'further example')}` : what;
}

function focusResults() {
  focusTitle();
  window.scrollTo({ top: 0 });
}

/** @param {number} vectors */
function showSize(vectors) {
  page.index.textContent = vectors === 0 ? 'The index is empty' : count(vectors, 'image');
  page.browse.hidden = vectors === 0;
}

async function showModels() {
  const { models } = await api.listModels();
  const names = models.map(({ name }) => name);
  showSize(Math.max(0, ...models.map(({ vectors }) => vectors)));
  choose(page.model, page.model.value, [['', 'automatic'], ...names.map((name) => [name, name])]);
  page['model-choice'].hidden = models.length < 2 && ['', ...names].includes(page.model.value);
}

/** Now, and when the index has followed what was added or removed. */
async function showModelsSoon() {
  await new Promise((resolve) => setTimeout(resolve, FOLLOWING_MS));
  await showModels().catch(() => undefined);
}

/** @param {HTMLSelectElement} select @param {string} value @param {string[][]} [options] */
function choose(select, value, options = [...select.options].map((option) => [option.value, option.text])) {
  const known = options.some(([option]) => option === value) ? options : [...options, [value, value]];
  select.replaceChildren(...known.map(([option, label]) => new Option(label, option)));
  select.value = value;
}

// ── Looking around ──────────────────────────────────────────────────────────────────────────────────────────────────

async function browse() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  try {
    const entries = await api.someStored(20 * BROWSED);
    if (signal.aborted) return;
    const pictures = new Map(entries.flatMap(({ id, source }) => {
      const url = addressOf(source);
      return id && url && !removed.has(id) ? [/** @type {[string, Picture]} */ ([id, { id, url, urls: [source] }])] : [];
    }));
    const browsed = [...pictures.values()].sort(() => Math.random() - 0.5).slice(0, BROWSED);
    showBrowsed(browsed);
    record({ browsed }, 'pushState');
    page['results-title'].focus();
  } catch (error) {
    showError(/** @type {Error} */ (error).message);
  }
}

/** @param {Picture[]} pictures */
function showBrowsed(pictures) {
  startOver();
  results.show(pictures, { dropsMissing: true });
  page.status.textContent = 'Some of the images here. Open one to find those like it.';
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

// ── The address ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** The search as an address, for others too: by id or address. A file that is not in the index can only be gone back to. @param {Entry} of @param {'pushState' | 'replaceState'} how */
function record(of, how) {
  const entry = (how === 'replaceState' && window.history.state?.entry) || `${Date.now()}-${Math.random()}`;
  visited.set(entry, of);
  const text = 'browsed' in of ? '' : toParameters(of);
  window.history[how]({ entry }, '', text === '' ? window.location.pathname : `?${text}`);
}

/** Shows what the entry of the history that one has come to stands for. */
function follow() {
  viewer.dismiss();
  const entry = visited.get(window.history.state?.entry) ?? readAddress(window.location);
  if ('browsed' in entry) return showBrowsed(entry.browsed);
  const { query, ...rest } = entry;
  choose(page.top, rest.top);
  choose(page.model, rest.model);
  page.filter.value = rest.filter;
  if (query) void search({ query, ...rest }, { records: false });
  else startOver();
}

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Searches for what was dropped or pasted, or adds it: several files, or anything while the dialog for adding is open. @param {DataTransfer} transfer */
async function take(transfer) {
  const lines = linesOf(textOf(transfer));
  const files = await filesOf(transfer);
  if (viewer.isOpen) return;
  if (adder.isOpen || files.length > 1) adder.add({ files, addresses: files.length > 0 ? [] : lines });
  else if (files[0]) void ask(ofFile(files[0]));
  else if (isAddress(lines[0] ?? '')) void ask(ofUrl(lines[0] ?? ''));
  else showError('That is neither an image nor the address of one. Addresses begin with https://.');
}

page.form.addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  const url = page.url.value.trim();
  if (document.activeElement === page.filter && asked) {
    if (asked.filter !== page.filter.value.trim()) void askAgain(); // else its change was noticed
  } else if (url) void ask(ofUrl(url));
  else page.url.focus();
});
for (const input of [page.file, page.camera]) {
  input.addEventListener('change', () => {
    const [file] = input.files;
    if (file) void ask(ofFile(file));
    input.value = ''; // the same file can be chosen again
  });
}
for (const choice of [page.top, page.model, page.filter]) choice.addEventListener('change', () => askAgain());
page.browse.addEventListener('click', browse);
page.add.addEventListener('click', () => adder.open());
byId('skip').addEventListener('click', (/** @type {Event} */ event) => {
  event.preventDefault(); // a fragment of its own would be an entry of the history
  page['results-title'].focus();
});
for (const dialog of document.querySelectorAll('dialog')) closeFromOutside(dialog);
onTransfer((transfer) => void take(transfer));
window.addEventListener('popstate', follow);
NARROW.addEventListener('change', () => (page.asking.open = !(NARROW.matches && asked)));

follow();
showModels().catch(() => (page.index.textContent = ''));
