/** How the page says things. Values in, sentences out. */

/** @typedef {import('./api.js').Answer} Answer */

/** @param {number} number @param {string} noun */
export function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

/**
 * The hash of an image that was sent as bytes, and the name that its file had, encoded: `eis://<sha256>#<name>`, or
 * `gs://…/ab/<sha256>#<name>`. Undefined for other sources.
 * @param {string} source
 */
function contentOf(source) {
  const [, , sha256, name = ''] = /^(?:eis:\/\/|gs:\/\/[^/]+\/(?:.*\/)?([0-9a-f]{2})\/(?=\1))([0-9a-f]{64})(?:#(.*))?$/.exec(source) ?? [];
  return sha256 === undefined ? undefined : { sha256, name };
}

/** The name that a file was ingested under, or the last part of an address. @param {string} source @param {string} id */
export function nameOf(source, id) {
  const [address = ''] = source.split('#');
  const content = contentOf(source);
  const name = content ? content.name : address.split('?')[0]?.split('/').filter(Boolean).at(-1);
  try {
    return decodeURIComponent(name ?? '').split('/').at(-1) || id.slice(0, 8);
  } catch {
    return name || id.slice(0, 8);
  }
}

/** A source as a person reads it: the address, or the file's name with the folders it was sent with. @param {string} source @param {string} id */
export function describeSource(source, id) {
  const content = contentOf(source);
  if (!content) return source;
  try {
    return decodeURIComponent(content.name) || `a file without a name (${id.slice(0, 8)}…)`;
  } catch {
    return content.name;
  }
}

/** Where a browser can open a source; undefined: nowhere. @param {string} source */
export function addressOf(source) {
  if (/^https?:\/\//i.test(source)) return source;
  const content = contentOf(source);
  return content && `images/${content.sha256}`;
}

/** Whether an address is of an image that the gateway itself keeps. @param {string} address @param {string} root of the gateway */
export function isOwnImage(address, root) {
  if (!URL.canParse(address, root)) return false;
  const { origin, pathname } = new URL(address, root);
  return origin === new URL(root).origin && /^\/images\/[0-9a-f]{64}$/.test(pathname);
}

/** @param {number} score */
export function describeScore(score) {
  return score.toFixed(3);
}

/** What opens the near-duplicates of a result, and closes them. @param {number} duplicates */
export function describeDuplicates(duplicates) {
  return `+${duplicates.toLocaleString('en')} alike`;
}

/** @param {number | undefined} width @param {number | undefined} height */
export function describeSize(width, height) {
  return width && height ? `${width} × ${height} pixels` : 'not known';
}

/** @param {Answer} answer @param {string} name of what was searched for @param {boolean} [isFiltered] */
export function describeAnswer({ results, index }, name, isFiltered = false) {
  if (results.length > 0) return `${count(results.length, 'image')} most like ${name}`;
  if (isFiltered && index.vectors > 0) return 'Nothing found: no other image has metadata that match the filter.';
  return index.vectors === 0 ? 'Nothing found: the index is empty. Add images to begin.' : 'Nothing found: the index holds no other image.';
}

/** What took how long, and who answered. @param {Answer} answer @param {'image' | 'id'} kind by what was searched */
export function describeTimings({ model, shards, index, timings_ms: { embed, fan_out: fanOut, merge, total } }, kind) {
  const steps = `${kind === 'id' ? 'looking it up' : 'embedding'} ${toMs(embed)}, asking the shards ${toMs(fanOut)}, merging ${toMs(merge)}`;
  return `${toMs(total)} ms (${steps}) · ${shards.ok} of ${count(shards.total, 'shard')} answered · ${count(index.vectors, 'image')} searched · model ${model}`;
}

/** @param {number} ms */
function toMs(ms) {
  return ms < 10 ? ms.toFixed(1) : String(Math.round(ms));
}

/** @param {Answer['shards']} shards */
export function describeMissing({ failed, total }) {
  const missing = failed.map(({ shard, code }) => `${shard} (${code})`).join(', ');
  return `This is not everything: ${failed.length} of ${total} parts of the index did not answer: ${missing}. Closer images may be missing.`;
}

/** @param {{ x: number, y: number, width: number, height: number }} region */
export function describeRegion({ x, y, width, height }) {
  const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;
  return `Region of ${percent(width)} of the width and ${percent(height)} of the height, ${percent(x)} from the left and ${percent(y)} from the top`;
}
