/** Adding images: hands them in, a few at a time, and follows the ledger until each has its outcome. Knows no page. */
import * as api from './api.js';
import { isAddress } from './transfer.js';

/** @typedef {{ name: string, state: 'sending' | 'waiting' | 'added' | 'known' | 'refused', message?: string, id?: string, source?: string }} Outcome one image's */

const SENT_AT_ONCE = 3;
const URLS_PER_REQUEST = 100;
const NO_ADDRESS = 'This is not the address of an image. One begins with https:// (or http://, or gs:// and a bucket).';
const [POLL_MIN_MS, POLL_MAX_MS] = [200, 2000];

/** @param {Outcome[]} of @param {string} message */
function refuse(of, message) {
  for (const outcome of of) Object.assign(outcome, { state: 'refused', message });
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An id for a submission, from the page: 64 random bits. */
function newSubmission() {
  return `page-${[...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/**
 * Adds files and the images at addresses. What is no address is refused by itself, and takes nothing along.
 *
 * @param {{ files: File[], addresses: string[] }} images
 * @param {(outcomes: Outcome[]) => void} onChange called with all of them whenever one changed
 * @returns {Promise<Outcome[]>} when each was added, known already, or refused
 */
export async function ingest({ files, addresses }, onChange) {
  const submission = newSubmission();
  /** @type {Outcome[]} */
  const outcomes = [...files.map(({ name }) => name || 'pasted image'), ...addresses].map((name) => ({ name, state: 'sending' }));
  const jobs = files.map((file, i) => () => send(file, outcomes.slice(i, i + 1)));
  const sendable = outcomes.slice(files.length).filter((outcome) => isAddress(outcome.name) || refuse([outcome], NO_ADDRESS));
  for (let i = 0; i < sendable.length; i += URLS_PER_REQUEST) {
    const part = sendable.slice(i, i + URLS_PER_REQUEST);
    jobs.push(() => send(part.map(({ name }) => name), part));
  }

  /** @param {File | string[]} images @param {Outcome[]} of */
  async function send(images, of) {
    try {
      const sources = await api.add(images, submission);
      of.forEach((outcome, i) => Object.assign(outcome, { state: 'waiting', source: sources[i] }));
    } catch (error) {
      const { status, message } = /** @type {api.ApiError} */ (error);
      if (status === 400 && of.length > 1) for (const outcome of of) await send([outcome.name], [outcome]); // one of them is not taken; the others are
      else refuse(of, message);
    }
    onChange(outcomes);
  }

  onChange(outcomes);
  let isSending = true;
  const sending = Promise.all(Array.from({ length: SENT_AT_ONCE }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  })).finally(() => (isSending = false));
  for (let pollMs = POLL_MIN_MS; isSending || outcomes.some(({ state }) => state === 'waiting'); pollMs = Math.min(POLL_MAX_MS, pollMs * 1.2)) {
    await sleep(pollMs);
    if (!outcomes.some(({ state }) => state === 'waiting')) continue;
    const entries = await api.outcomes(submission).catch(() => undefined); // the gateway may be away for a while; what was accepted stays accepted
    if (entries) settle(outcomes, entries);
    onChange(outcomes);
  }
  await sending;
  return outcomes;
}

/** Takes what the ledger says over. An image is in as soon as every model has said its word. @param {Outcome[]} outcomes @param {api.LedgerEntry[]} entries */
function settle(outcomes, entries) {
  /** @type {Map<string, api.LedgerEntry[]>} */
  const bySource = new Map();
  for (const entry of entries) bySource.set(entry.source, [...(bySource.get(entry.source) ?? []), entry]);
  for (const outcome of outcomes) {
    const said = (outcome.source && bySource.get(outcome.source)) || [];
    if (outcome.state !== 'waiting' || said.length === 0 || said.some(({ state }) => state === 'accepted')) continue;
    const refusal = said.find(({ state }) => state === 'rejected' || state === 'dead');
    const id = said.find((entry) => entry.id)?.id;
    if (refusal) refuse([outcome], refusal.message ?? '');
    else Object.assign(outcome, { state: said.some(({ state }) => state === 'stored') ? 'added' : 'known', id });
  }
}
