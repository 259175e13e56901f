/** Sends what was found, in batches, two at a time, so that memory stays flat however much there is. */
import { readFile } from 'node:fs/promises';
import { FormData } from 'undici';
import { EisError, isEisError } from '../common/errors.js';
import type { IngestAnswer } from '../common/wire.js';
import type { GatewayClient } from './gateway-client.js';
import type { UploadJournal } from './upload-journal.js';
import { imageIdentity, unreadable, type Found, type FoundFile } from './upload-walk.js';

const FILES_PER_REQUEST = 16;
const BYTES_PER_REQUEST = 32 * 1024 * 1024;
const URLS_PER_REQUEST = 500;
const REQUESTS_MAX = 2;

/** A model that stands for all: what was refused before any model saw it. */
export const EVERY_MODEL = '*';

export interface RejectedSource {
  /** As the user gave it. */
  readonly source: string;
  readonly model: string;
  readonly code: string;
  readonly message: string;
}

type File = { readonly kind: 'file'; readonly given: string; readonly identity: string; readonly name: string; readonly bytes: Buffer; readonly metadata: object | undefined };
type Url = { readonly kind: 'url'; readonly given: string; readonly identity: string; readonly url: string; readonly metadata: object | undefined };
type Item = File | Url;

export interface SenderOptions {
  readonly client: GatewayClient;
  /** Told what was confirmed. */
  readonly journal: Pick<UploadJournal, 'confirm'>;
  readonly imageBytesMax: number;
  readonly onProgress: () => void;
}

export class Sender {
  readonly rejected: RejectedSource[] = [];
  skipped = 0;
  readonly #options: SenderOptions;
  readonly #sending = new Set<Promise<void>>();
  #files: File[] = [];
  #urls: Url[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** @throws EisError when the gateway is not there, or will not take anything; what was sent by then stays accepted */
  async sendAll(found: AsyncIterable<Found>): Promise<void> {
    try {
      for await (const one of found) await this.#take(one);
      await this.#dispatch(this.#files);
      await this.#dispatch(this.#urls);
    } finally {
      await Promise.all(this.#sending);
    }
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }

  async #take(found: Found): Promise<void> {
    if (found.kind === 'skipped') this.skipped++;
    else if (found.kind === 'unreadable') this.#reject(found.path, found.error);
    else if (found.kind === 'url') await this.#addUrl({ kind: 'url', url: found.url, given: found.given ?? found.url, identity: imageIdentity(found), metadata: found.metadata });
    else await this.#addFile(found);
  }

  async #addUrl(url: Url): Promise<void> {
    if (this.#urls.some((other) => other.url === url.url)) return; // once in a request, as with names
    this.#urls.push(url);
    if (this.#urls.length < URLS_PER_REQUEST) return;
    const full = this.#urls;
    this.#urls = [];
    await this.#dispatch(full);
  }

  /** A name stands once in a request, so that the answer's sources can be told apart. */
  async #addFile(file: FoundFile): Promise<void> {
    const { path, name, bytes: size } = file;
    const { imageBytesMax } = this.#options;
    if (size > imageBytesMax) return this.#reject(path, new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax }));
    const bytes = await readFile(path).catch((cause: unknown) => unreadable(path, cause));
    if (isEisError(bytes)) return this.#reject(path, bytes);
    if (bytes.length === 0) return this.#reject(path, new EisError('EIS_IMAGE_MISSING', {}));
    const held = this.#files.reduce((sum, other) => sum + other.bytes.length, 0);
    if (this.#files.length === FILES_PER_REQUEST || (held > 0 && held + bytes.length > BYTES_PER_REQUEST) || this.#files.some((other) => other.name === name)) {
      const full = this.#files;
      this.#files = [];
      await this.#dispatch(full);
    }
    this.#files.push({ kind: 'file', given: path, identity: imageIdentity(file), name, bytes, metadata: file.metadata });
  }

  /** Begins to send a batch once there is room for another request. */
  async #dispatch(batch: readonly Item[]): Promise<void> {
    while (this.#sending.size >= REQUESTS_MAX) await Promise.race(this.#sending);
    this.#throwFailure();
    if (batch.length === 0) return;
    const sending = this.#send(batch)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#sending.delete(sending);
        this.#options.onProgress();
      });
    this.#sending.add(sending);
  }

  /** A batch that is refused for one image in it is sent again one by one, so that only that one is rejected. */
  async #send(batch: readonly Item[]): Promise<void> {
    try {
      const { sources } = await this.#post(batch);
      await this.#options.journal.confirm(batch.map(({ identity, given }, i) => ({ identity, given, source: sources[i] ?? given })));
    } catch (error) {
      if (!isEisError(error) || !isFaultOfImage(error)) throw error;
      const [only] = batch;
      if (batch.length === 1 && only) this.#reject(only.given, error);
      else for (const item of batch) await this.#send([item]);
    }
  }

  #post(batch: readonly Item[]): Promise<IngestAnswer> {
    const files = batch.filter((item) => item.kind === 'file');
    if (files.length === 0) return this.#options.client.send({ urls: batch.flatMap((item) => (item.kind === 'url' ? [item.metadata ? { url: item.url, metadata: item.metadata } : item.url] : [])) });
    return this.#options.client.send({
      form: () => {
        const form = new FormData();
        for (const { bytes, name, metadata } of files) {
          if (metadata) form.append('metadata', JSON.stringify(metadata));
          form.append('images', new Blob([bytes]), name);
        }
        return form;
      },
    });
  }

  #reject(source: string, { code, message }: EisError): void {
    this.rejected.push({ source, model: EVERY_MODEL, code, message });
  }
}

function isFaultOfImage({ code }: EisError): boolean {
  return /^EIS_(IMAGE|URL|METADATA)_/.test(code) || code === 'EIS_BODY_TOO_LARGE';
}
