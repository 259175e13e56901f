/** A client that sends images and gives up none: a request that was not answered 202 is sent again, under the same submission. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FormData, fetch } from 'undici';
import type { IngestAnswer } from '../../common/wire.js';

const BATCH = 10;
const RETRY_MS = 100;
const REQUEST_TIMEOUT_MS = 30_000;

export interface Picture {
  readonly name: string;
  readonly bytes: Buffer;
}

export class Submitter {
  /** What was answered 202, as the ledger names it. */
  readonly accepted = new Set<string>();
  /** Requests that were not answered 202. */
  failures = 0;
  readonly #url: string;

  /** @param url of the wrapper, with the submission in its query */
  constructor(url: string) {
    this.#url = url;
  }

  async send(pictures: readonly Picture[]): Promise<void> {
    for (let i = 0; i < pictures.length; i += BATCH) await this.#persist(pictures.slice(i, i + BATCH));
  }

  async #persist(batch: readonly Picture[]): Promise<void> {
    for (;;) {
      const form = new FormData();
      for (const { name, bytes } of batch) form.append('images', new Blob([bytes]), name);
      const response = await fetch(this.#url, { method: 'POST', body: form, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }).catch(() => undefined);
      const answer = (await response?.json().catch(() => undefined)) as IngestAnswer | undefined;
      if (response?.status === 202 && answer) {
        for (const source of answer.sources) this.accepted.add(source);
        return;
      }
      this.failures++;
      await sleep(RETRY_MS);
    }
  }
}
