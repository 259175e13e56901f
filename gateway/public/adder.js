/** The dialog in which images are added: takes files, folders and addresses, shows how far it is and what became of each. */
import { ingest } from './ingest.js';
import { imagesOf, linesOf } from './transfer.js';
import { count } from './words.js';

/** @typedef {import('./ingest.js').Outcome} Outcome */

/** Rows that are shown; in the end refused images come first, so that none is hidden behind the rest. */
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
  const [files, folder, urls, failure, section, progress, status, list] = ['files', 'folder', 'urls', 'error', 'run', 'progress', 'status', 'outcomes'].map((part) => byId(`add-${part}`));
  let isRunning = false;
  /** @type {Map<Outcome, ReturnType<typeof createRow>>} */
  const rows = new Map();

  /** @param {string} message '' for none */
  function fail(message) {
    failure.textContent = message;
    failure.hidden = message === '';
  }

  /** @param {{ files?: File[], addresses?: string[] }} images @returns {boolean} whether they are being added now */
  function add({ files = [], addresses = [] }) {
    if (!dialog.open) dialog.showModal();
    if (isRunning) fail('Images are being added already. Wait until they are done, then add more.');
    else if (files.length + addresses.length === 0) fail('There is no image in that. Choose JPEG, PNG, WebP, GIF or AVIF files, or addresses that begin with https://.');
    else {
      void run({ files, addresses });
      return true;
    }
    return false;
  }

  /** @param {{ files: File[], addresses: string[] }} images */
  async function run(images) {
    fail('');
    isRunning = true;
    section.hidden = false;
    rows.clear();
    try {
      const outcomes = await ingest(images, show);
      show(outcomes);
      onDone(outcomes);
    } finally {
      fail('');
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
    place(done < outcomes.length ? outcomes : [...outcomes].sort((a, b) => Number(b.state === 'refused') - Number(a.state === 'refused')));
  }

  /** Shows rows in this order; those that stand there already stay as they are, and keep the focus. @param {Outcome[]} outcomes */
  function place(outcomes) {
    const wanted = outcomes.slice(0, ROWS_MAX).map((outcome) => {
      const row = rows.get(outcome) ?? createRow();
      rows.set(outcome, row);
      row.update(outcome);
      return row.item;
    });
    if (wanted.length === list.children.length && wanted.every((item, i) => item === list.children[i])) return;
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    list.replaceChildren(...wanted);
    if (list.contains(focused)) focused.focus();
  }

  function createRow() {
    const [item, label, said, find] = [document.createElement('li'), document.createElement('span'), document.createElement('span'), document.createElement('button')];
    label.className = 'name';
    said.className = 'state';
    Object.assign(find, { type: 'button', className: 'plain small', textContent: 'Find similar', hidden: true });
    item.append(label, said, find);
    /** @type {string | undefined} */
    let shown;
    return {
      item,
      /** @param {Outcome} outcome */
      update({ name, state, message, id }) {
        if (shown === state) return;
        shown = item.className = state;
        label.textContent = label.title = name;
        said.textContent = message ? `${STATES[state]}: ${message}` : STATES[state];
        find.hidden = !id;
        find.setAttribute('aria-label', `Find similar: ${name}`);
        find.onclick = () => {
          dialog.close();
          onFind(id ?? '', name);
        };
      },
    };
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
    if (add({ addresses: linesOf(urls.value) })) urls.value = '';
  });
  return {
    add,
    open: () => dialog.showModal(),
    get isOpen() {
      return dialog.open;
    },
  };
}
