/** Lists the objects of any bucket of Cloud Storage, with the credentials of whoever runs this, a page at a time. */
import type { Bucket } from '@google-cloud/storage';
import { EisError } from '../errors.js';
import { createStorageClient, type StorageClientOptions, type StorageTiming } from './gcs-client.js';
import { describeFailure, isObjectMissing, withinTime, withoutSecrets } from './gcs-failure.js';

/** As many as the API answers at most. */
const PAGE_OBJECTS = 1_000;

export class GcsListing {
  readonly #bucket: Bucket;
  readonly #timing: StorageTiming;

  constructor(bucket: string, options: StorageClientOptions = {}) {
    const { storage, timing } = createStorageClient(options);
    this.#bucket = storage.bucket(bucket);
    this.#timing = timing;
  }

  /**
   * Whether there is an object of exactly this name.
   *
   * @throws EisError EIS_SOURCE_UNREADABLE
   */
  async has(object: string): Promise<boolean> {
    try {
      await withinTime(this.#timing.totalTimeoutMs, () => this.#bucket.file(object).getMetadata());
      return true;
    } catch (thrown) {
      if (isObjectMissing(thrown)) return false;
      throw this.#unreadable(thrown, { object, permission: 'storage.objects.get' });
    }
  }

  /**
   * The names of all objects that begin so, in the order of names. The next page is asked for when the last name of one
   * was taken, so one is held, however many there are.
   *
   * @throws EisError EIS_SOURCE_UNREADABLE; what was listed by then was
   */
  async *names(prefix: string): AsyncGenerator<string> {
    let pageToken: string | undefined;
    do {
      const page = await this.#page(prefix, pageToken);
      yield* page.names;
      pageToken = page.next;
    } while (pageToken !== undefined);
  }

  async #page(prefix: string, pageToken: string | undefined): Promise<{ readonly names: readonly string[]; readonly next: string | undefined }> {
    const query = { prefix, maxResults: PAGE_OBJECTS, autoPaginate: false, fields: 'items(name),nextPageToken', ...(pageToken === undefined ? {} : { pageToken }) };
    try {
      const [files, next] = await withinTime(this.#timing.totalTimeoutMs, () => this.#bucket.getFiles(query));
      return { names: files.map(({ name }) => name), next: (next as { pageToken?: string } | null)?.pageToken };
    } catch (thrown) {
      throw this.#unreadable(thrown, { object: prefix, permission: 'storage.objects.list' });
    }
  }

  #unreadable(thrown: unknown, { object, permission }: { readonly object: string; readonly permission: string }): EisError {
    const source = `gs://${this.#bucket.name}/${object}`;
    return new EisError('EIS_SOURCE_UNREADABLE', { source, detail: describeFailure(thrown, { bucket: this.#bucket.name, permission }) }, { cause: withoutSecrets(thrown) });
  }
}
