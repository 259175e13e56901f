/** The dialog in which images are added: takes files, folders and addresses, shows how far it is and what became of each. */
import { ingest } from './ingest.js';
import { addressesIn, imagesOf } from './transfer.js';
import { count } from './words.js';

/** @typedef {import('./ingest.js').Outcome} Outcome */

/** Rows that are shown; refused images come first, so that none is hidden behind the rest. */
const ROWS_MAX = 200;

/** @type {Record<Outcome['state'], string>} */
const STATES = { sending: 'sending…', waiting: 'being embedded…', added: 'added', known: 'known already', refused: 'not added' };

/**
 * @param {object} parts
 * @param {(id: string) => any} parts.byId
 * @param {(id: string, name: string) => void} parts.onFind an image that was added is to be searched for
 * @param {(text: string) => void} parts.onProgress a short text while images are being added, '' when they are done
 * @param {(outcomes: Outcome[]) => void} parts.onDone
 */
export function createAdder({ byId, onFind, onProgress, onDone }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('adder'));
  const [files, folder, urls, failure, run, progress, status, list] = ['files', 'folder', 'urls', 'error', 'run', 'progress', 'status', 'outcomes'].map((part) => byId(`add-${part}`));
  let isRunning = false;

  /** @param {string} message '' for none */
  function fail(message) {
    failure.textContent = message;
    failure.hidden = message === '';
  }

  /** @param {{ files?: File[], addresses?: string[] }} images */
  async function add({ files = [], addresses = [] }) {
    if (!dialog.open) dialog.showModal();
    if (isRunning) return fail('Images are being added already. Wait until they are done, then add more.');
    if (files.length + addresses.length === 0) return fail('There is no image in that. Choose JPEG, PNG, WebP, GIF or AVIF files, or addresses that begin with https://.');
    fail('');
    isRunning = true;
    run.hidden = false;
    try {
      onDone(await ingest({ files, addresses }, show));
    } finally {
      isRunning = false;
      onProgress('');
    }
  }

  /** @param {Outcome[]} outcomes */
  function show(outcomes) {
    const number = (/** @type {Outcome['state']} */ state) => outcomes.filter((outcome) => outcome.state === state).length;
    const [added, known, refused] = [number('added'), number('known'), number('refused')];
    const done = added + known + refused;
    progress.max = outcomes.length;
    progress.value = done;
    const said = [`${added} added`, ...(known > 0 ? [`${known} known already`] : []), ...(refused > 0 ? [`${refused} not added`] : [])].join(', ');
    status.textContent = done < outcomes.length ? `${done} of ${count(outcomes.length, 'image')} done: ${said}` : `Done: ${said}.`;
    onProgress(done < outcomes.length ? `Adding: ${done} of ${outcomes.length}` : '');
    const rows = outcomes.length <= ROWS_MAX ? outcomes : [...outcomes].sort((a, b) => Number(b.state === 'refused') - Number(a.state === 'refused')).slice(0, ROWS_MAX);
    list.replaceChildren(...rows.map(toRow));
  }

  /** @param {Outcome} outcome */
  function toRow({ name, state, message, id }) {
    const row = document.createElement('li');
    const [label, said] = [document.createElement('span'), document.createElement('span')];
    label.className = 'name';
    label.textContent = label.title = name;
    said.className = 'state';
    said.textContent = message ? `${STATES[state]}: ${message}` : STATES[state];
    row.className = state;
    row.append(label, said);
    if (id) {
      const find = document.createElement('button');
      find.type = 'button';
      find.className = 'plain small';
      find.textContent = 'Find similar';
      find.setAttribute('aria-label', `Find similar: ${name}`);
      find.addEventListener('click', () => {
        dialog.close();
        onFind(id, name);
      });
      row.append(find);
    }
    return row;
  }

  /** What was chosen; the input is emptied, so that the same can be chosen again. @param {HTMLInputElement} input */
  function take(input) {
    const chosen = [...(input.files ?? [])];
    input.value = '';
    return chosen;
  }

  files.addEventListener('change', () => add({ files: take(files) }));
  folder.addEventListener('change', () => add({ files: imagesOf(take(folder)) }));
  byId('add-form').addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    void add({ addresses: addressesIn(urls.value) }).then(() => (urls.value = ''));
  });
  return {
    add,
    open: () => dialog.showModal(),
    get isOpen() {
      return dialog.open;
    },
  };
}
