/** The page: one query at a time (an image, an address, or a result that is clicked) and the images most like it. */

const byId = (id) => document.getElementById(id);
const page = Object.fromEntries(['form', 'file', 'url', 'model', 'model-choice', 'top', 'preview', 'invitation', 'index', 'status', 'warning', 'error', 'results', 'hit'].map((id) => [id, byId(id)]));

/** The search that is under way: a new one takes its place. */
let running = new window.AbortController();
let lastQuery;

// ── Searching ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A query: what is sent, and how it is shown. */
const ofFile = (file) => ({ body: file, type: file.type.startsWith('image/') ? file.type : 'application/octet-stream', image: URL.createObjectURL(file), name: file.name });
const ofUrl = (url) => ({ body: JSON.stringify({ url }), type: 'application/json', image: url, name: 'the image at this address' });
const ofHit = ({ id, url, urls }) => ({ body: JSON.stringify({ id }), type: 'application/json', image: url, name: nameOf(urls[0] ?? url, id) });

async function search(query) {
  running.abort();
  running = new window.AbortController();
  const { signal } = running;
  showQuery(query);
  try {
    const parameters = new URLSearchParams({ top: page.top.value, ...(page.model.value && { model: page.model.value }) });
    const response = await fetch(`search?${parameters}`, { method: 'POST', body: query.body, headers: { 'content-type': query.type }, signal });
    const answer = await response.json().catch(() => undefined);
    if (!response.ok) throw new Error(answer?.message ?? `The gateway answered ${response.status}. Try again in a moment.`);
    showAnswer(answer);
  } catch (error) {
    if (!signal.aborted) showError(error instanceof TypeError ? 'The gateway cannot be reached. Is it running?' : error.message);
  }
}

// ── Showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function showQuery(query) {
  if (lastQuery && lastQuery.image !== query.image) URL.revokeObjectURL(lastQuery.image);
  lastQuery = query;
  page.preview.src = query.image;
  page.preview.hidden = false;
  page.invitation.textContent = 'Choose another image';
  page.error.hidden = page.warning.hidden = true;
  page.status.textContent = 'Searching…';
  page.results.setAttribute('aria-busy', 'true');
}

function showError(message) {
  page.results.replaceChildren();
  page.results.removeAttribute('aria-busy');
  page.status.textContent = '';
  page.error.textContent = message;
  page.error.hidden = false;
}

function showAnswer({ model, results, shards, partial, index, timings_ms: timings }) {
  const missing = shards.failed.map(({ shard, code }) => `${shard} (${code})`).join(', ');
  page.warning.hidden = !partial;
  page.warning.textContent = partial ? `This is not everything: ${shards.failed.length} of ${shards.total} parts of the index did not answer: ${missing}. Closer images may be missing.` : '';
  page.status.textContent = results.length === 0
    ? 'Nothing found: the index holds no other image yet.'
    : `${count(results.length, 'image')} most like ${lastQuery.name}, of ${count(index.vectors, 'image')} searched in ${Math.round(timings.total)} ms (${model}).`;
  page.results.replaceChildren(...results.map(toItem));
  page.results.removeAttribute('aria-busy');
  if (!partial) showSize(index.vectors);
}

function toItem(hit) {
  const item = page.hit.content.firstElementChild.cloneNode(true);
  const [button, image, score, link] = ['button', 'img', '.score', 'a'].map((selector) => item.querySelector(selector));
  const name = nameOf(hit.urls[0] ?? hit.url, hit.id);
  image.addEventListener('error', () => {
    item.classList.add('missing');
    link.textContent = `${name} cannot be shown`;
  });
  image.src = hit.url;
  score.textContent = hit.score.toFixed(3);
  link.textContent = name;
  link.href = hit.url;
  link.title = `Open ${name} (${hit.width} × ${hit.height})`;
  button.setAttribute('aria-label', `More like ${name}, score ${hit.score.toFixed(3)}`);
  button.addEventListener('click', () => {
    window.scrollTo({ top: 0 });
    page.file.focus({ preventScroll: true });
    search(ofHit(hit));
  });
  return item;
}

/** The name that a file was ingested under, or the last part of an address. */
function nameOf(source, id) {
  const [address, fragment] = source.split('#');
  const name = source.startsWith('eis://') ? fragment : address.split('?')[0].split('/').filter(Boolean).at(-1);
  try {
    return decodeURIComponent(name ?? '') || id.slice(0, 8);
  } catch {
    return name;
  }
}

function showSize(vectors) {
  page.index.textContent = `${count(vectors, 'image')} in the index`;
}

function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

async function showModels() {
  const { models } = await (await fetch('models')).json();
  showSize(Math.max(...models.map(({ vectors }) => vectors)));
  page['model-choice'].hidden = models.length < 2;
  const chosen = page.model.value;
  page.model.replaceChildren(page.model.options[0], ...models.map(({ name }) => new window.Option(name)));
  page.model.value = chosen;
}

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Searches for what was dropped or pasted: a file first, else the address of an image. */
function searchFor(transfer) {
  const file = [...transfer.files].find(({ type }) => type.startsWith('image/')) ?? transfer.files[0];
  if (file) return search(ofFile(file));
  const address = (transfer.getData('text/uri-list') || transfer.getData('text/plain')).trim().split('\n')[0];
  return /^(https?|gs):\/\//.test(address) ? search(ofUrl(address)) : undefined;
}

page.form.addEventListener('submit', (event) => {
  event.preventDefault();
  const url = page.url.value.trim();
  if (url) search(ofUrl(url));
  else page.url.focus();
});
page.file.addEventListener('change', () => {
  const [file] = page.file.files;
  if (file) search(ofFile(file));
  page.file.value = ''; // the same file can be chosen again
});
for (const choice of [page.top, page.model]) choice.addEventListener('change', () => lastQuery && search(lastQuery));
page.preview.addEventListener('error', () => {
  page.preview.hidden = true;
});
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
  searchFor(event.dataTransfer);
});
document.addEventListener('paste', (event) => {
  if (event.target !== page.url || event.clipboardData.files.length > 0) searchFor(event.clipboardData);
});

showModels().catch(() => {
  page.index.textContent = '';
});
