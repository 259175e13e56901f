/** The client of Google Cloud Storage as it is used here: how long it waits, what it repeats, when it gives up. */
import { IdempotencyStrategy, Storage, type StorageOptions } from '@google-cloud/storage';
import { isTransient } from './gcs-failure.js';

export interface StorageTiming {
  /** For one HTTP request; of a download, until its headers. */
  readonly requestTimeoutMs: number;
  /** For a download without a byte. */
  readonly stallTimeoutMs: number;
  /** For a whole operation, repetitions included. */
  readonly totalTimeoutMs: number;
  /** Attempts after the first. */
  readonly retriesMax: number;
  /** The longest wait between two attempts; the client takes no less than a second. */
  readonly retryDelayMaxMs: number;
}

type RequestOptions = ReturnType<NonNullable<NonNullable<StorageOptions['interceptors_']>[number]['request']>>;

/** A chunk of 8 MiB goes through within a minute at 140 kB/s. */
export const STORAGE_TIMING: StorageTiming = { requestTimeoutMs: 60_000, stallTimeoutMs: 10_000, totalTimeoutMs: 120_000, retriesMax: 3, retryDelayMaxMs: 8_000 };

export interface StorageClientOptions {
  readonly timing?: Partial<StorageTiming> | undefined;
  /** Default: Google's, or that of STORAGE_EMULATOR_HOST, which the client reads itself. Another one gets no credentials. */
  readonly apiEndpoint?: string | undefined;
}

export interface StorageClient {
  readonly storage: Storage;
  readonly timing: StorageTiming;
}

/**
 * A client with Application Default Credentials, which are looked for at the first request. Every operation made here
 * may be repeated without harm, so all are (`RetryAlways`); under the default strategy the client would switch its
 * retries off for all requests while one is under way that it does not take for repeatable.
 */
export function createStorageClient({ timing: given, apiEndpoint }: StorageClientOptions = {}): StorageClient {
  const timing = { ...STORAGE_TIMING, ...given };
  const storage = new Storage({
    ...(apiEndpoint === undefined ? {} : { apiEndpoint }),
    userAgent: 'elastic-image-search',
    timeout: timing.requestTimeoutMs,
    // Resumable uploads go another way through the client, which knows no timeout but this.
    interceptors_: [{ request: (request) => Object.assign(request as RequestOptions, { timeout: timing.requestTimeoutMs }) }],
    retryOptions: {
      autoRetry: true,
      maxRetries: timing.retriesMax,
      maxRetryDelay: timing.retryDelayMaxMs / 1_000,
      // Where its own time is up the client answers nothing at all; `withinTime` is what ends an operation.
      totalTimeout: (timing.totalTimeoutMs * 2) / 1_000,
      idempotencyStrategy: IdempotencyStrategy.RetryAlways,
      retryableErrorFn: isTransient,
    },
  });
  return { storage, timing };
}
