/** Reads objects of one bucket through the API, so that it need not be public; what fails is said as of a URL. */
import type { Bucket } from '@google-cloud/storage';
import { EisError, isEisError } from '../errors.js';
import type { Limits } from '../limits.js';
import { createStorageClient, type StorageClientOptions, type StorageTiming } from './gcs-client.js';
import { describeFailure, isObjectMissing, isTransient, statusOf, withoutSecrets } from './gcs-failure.js';
import { readObject } from './gcs-read.js';
import type { ObjectReader } from './object-reader.js';

export interface GcsObjectReaderOptions extends Pick<StorageClientOptions, 'apiEndpoint'> {
  readonly bucket: string;
  readonly limits: Pick<Limits, 'fetchTimeoutMs' | 'imageBytesMax'>;
}

export class GcsObjectReader implements ObjectReader {
  readonly bucket: string;
  readonly #bucket: Bucket;
  readonly #timing: StorageTiming;
  readonly #limits: GcsObjectReaderOptions['limits'];

  constructor({ bucket, limits, apiEndpoint }: GcsObjectReaderOptions) {
    const { fetchTimeoutMs } = limits;
    // Half the time for a download that stands still leaves the other half to a second one.
    const { storage, timing } = createStorageClient({ apiEndpoint, timing: { requestTimeoutMs: fetchTimeoutMs, stallTimeoutMs: Math.ceil(fetchTimeoutMs / 2), totalTimeoutMs: fetchTimeoutMs, retryDelayMaxMs: 1_000 } });
    this.bucket = bucket;
    this.#bucket = storage.bucket(bucket);
    this.#timing = timing;
    this.#limits = limits;
  }

  async read(object: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Buffer> {
    const deadline = AbortSignal.timeout(this.#limits.fetchTimeoutMs);
    try {
      return await readObject(this.#bucket.file(object), { imageBytesMax: this.#limits.imageBytesMax, timing: this.#timing, signal: signal ? AbortSignal.any([signal, deadline]) : deadline });
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      if (isEisError(thrown)) throw thrown;
      throw deadline.aborted ? new EisError('EIS_URL_TIMEOUT', { timeoutMs: this.#limits.fetchTimeoutMs }) : this.#toError(thrown);
    }
  }

  #toError(thrown: unknown): EisError {
    const status = statusOf(thrown);
    const detail = isObjectMissing(thrown) ? `there is no such object in gs://${this.bucket}.` : describeFailure(thrown, { bucket: this.bucket, permission: 'storage.objects.get' });
    const options = { cause: withoutSecrets(thrown) };
    if (status !== undefined && status < 500 && !isTransient(thrown)) return new EisError('EIS_URL_REJECTED', { status, detail }, options);
    return new EisError('EIS_URL_FAILED', { detail }, options);
  }
}
