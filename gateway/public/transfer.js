/** What was dropped or pasted, or chosen as a folder: files, the files of folders, addresses. */

const IMAGE_NAME = /\.(jpe?g|png|webp|gif|avif)$/i;

/** Takes what is dropped anywhere on the page, or pasted; text that is pasted into a field for text stays there. @param {(transfer: DataTransfer) => void} take */
export function onTransfer(take) {
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
    if (event.dataTransfer) take(event.dataTransfer);
  });
  document.addEventListener('paste', (event) => {
    const isText = /** @type {Element} */ (event.target).matches('input[type=text], input[type=url], input[type=password], textarea');
    if (event.clipboardData && (!isText || event.clipboardData.files.length > 0)) take(event.clipboardData);
  });
}

/** Of the files of a folder, those that look like images. @param {Iterable<File>} files */
export function imagesOf(files) {
  return [...files].filter(({ type, name }) => type.startsWith('image/') || IMAGE_NAME.test(name));
}

/**
 * The files in a transfer, those in its folders included; of these only images. Reads the transfer before it waits:
 * browsers empty it when the event is over.
 *
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
export async function filesOf(transfer) {
  const entries = [...transfer.items].filter(({ kind }) => kind === 'file').map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const found = await Promise.all(entries.map(async ({ entry, file }) => (entry?.isDirectory ? imagesOf(await walk(/** @type {FileSystemDirectoryEntry} */ (entry))) : file ? [file] : [])));
  return found.flat();
}

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<File[]>} */
async function walk(folder) {
  const reader = folder.createReader();
  /** @type {File[]} */
  const files = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // comes in batches; an empty one is the end
    if (entries.length === 0) return files;
    for (const entry of entries) files.push(...(entry.isDirectory ? await walk(/** @type {FileSystemDirectoryEntry} */ (entry)) : [await toFile(/** @type {FileSystemFileEntry} */ (entry))]));
  }
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
function toFile(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** The text in a transfer: addresses, where it was a link or an image that was dragged. @param {DataTransfer} transfer */
export function textOf(transfer) {
  return transfer.getData('text/uri-list') || transfer.getData('text/plain');
}

/** The lines of a text that say something: lists of addresses may hold comments. @param {string} text */
export function linesOf(text) {
  return text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

/** Whether a line is an address that images can be fetched from. @param {string} line */
export function isAddress(line) {
  return /^(https?|gs):\/\/[^/]/i.test(line) && URL.canParse(line);
}
