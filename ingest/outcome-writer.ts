/**
 * What a worker writes: images to the store, in batches, and outcomes to the ledger, each image before its outcome.
 * Where the store cannot serve, it tries until it can.
 */
import type { EisError } from '../common/errors.js';
import { laneLedgerKey, laneQueue, type Lane } from '../common/lanes.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { LedgerEntry, LedgerKey, LedgerOutcome, LiveVersion, Store } from '../common/store/store.js';
import type { ImageMessage } from '../common/wire.js';
import { type Backoff } from '../common/backoff.js';
import { persist } from './persist.js';
import { Collections } from './collections.js';
import type { PlacedWrite, StoredImage } from './extract.js';
import type { WorkerMetrics } from './worker-metrics.js';
import { WriteBatch } from './write-batch.js';

export type Outcome = Pick<LedgerOutcome, 'state' | 'code' | 'message'>;

export interface OutcomeWriterOptions {
  readonly model: string;
  readonly lane: Lane;
  readonly store: Store;
  readonly limits: Pick<Limits, 'writeBatchMax' | 'writeBatchWaitMs'>;
  readonly metrics: Pick<WorkerMetrics, 'countRetry' | 'observeWrite'>;
  readonly log: Log;
  readonly backoff: Backoff;
  /** Aborted: nothing is tried again. */
  readonly abort: AbortSignal;
  /** Called when the store goes away and when it is back. */
  readonly onChange: (isOpen: boolean, error?: EisError) => void;
}

export class OutcomeWriter {
  readonly #options: OutcomeWriterOptions;
  readonly #collections: Collections;
  /** Operations that wait for the store. */
  #waiting = 0;
  readonly #batches = new Map<string, WriteBatch<PlacedWrite, LedgerEntry>>();

  constructor(options: OutcomeWriterOptions) {
    this.#options = options;
    this.#collections = new Collections(options);
  }

  /** Writes an image, then its outcome. Returns what stands in the ledger. */
  write(write: PlacedWrite): Promise<LedgerEntry> {
    return this.#batchOf(write.live).add(write);
  }

  /** Writes an outcome that has no image. Returns what stands in the ledger: the first outcome wins. */
  async settle(message: ImageMessage, outcome: Outcome): Promise<LedgerEntry> {
    const [standing] = await this.#persist(() => this.#options.store.ledger.settle([{ ...this.#keyOf(message), ...outcome }]));
    return standing as LedgerEntry;
  }

  /** What stands in the ledger for a message. */
  async standing(message: ImageMessage): Promise<LedgerEntry | undefined> {
    const [standing] = await this.#persist(() => this.#options.store.ledger.getMany([this.#keyOf(message)]));
    return standing;
  }

  /** A living image of a version, if it is stored. */
  async findStored(live: LiveVersion, id: string): Promise<StoredImage | undefined> {
    const { store, model } = this.#options;
    const [image] = await this.#persist(() => store.collection(model, live).getMany([id]));
    return image && image.deletedAt === undefined ? { live, image } : undefined;
  }

  /** Writes what waits for its batch to fill, now. */
  flush(): void {
    for (const batch of this.#batches.values()) batch.flush();
  }

  #batchOf(live: LiveVersion): WriteBatch<PlacedWrite, LedgerEntry> {
    const { limits, abort } = this.#options;
    const batch =
      this.#batches.get(live.version) ??
      new WriteBatch<PlacedWrite, LedgerEntry>({
        itemsMax: limits.writeBatchMax,
        waitMs: limits.writeBatchWaitMs,
        run: (writes) => this.#writeAll(live, writes),
        isolates: () => !abort.aborted,
      });
    this.#batches.set(live.version, batch);
    return batch;
  }

  async #writeAll(live: LiveVersion, writes: readonly PlacedWrite[]): Promise<LedgerEntry[]> {
    const { store, metrics } = this.#options;
    const started = performance.now();
    const collection = await this.#persist(() => this.#collections.of(live));
    const outcomes = await this.#persist(() => collection.write(writes.map(({ image }) => image)));
    const entries = await this.#persist(() =>
      store.ledger.settle(writes.map(({ message, image }, i) => ({ ...this.#keyOf(message), state: outcomes[i] as 'stored' | 'duplicate', id: image.id }))),
    );
    metrics.observeWrite((performance.now() - started) / 1000);
    return entries;
  }

  async #persist<T>(operation: () => Promise<T>): Promise<T> {
    const { abort, backoff, metrics, onChange } = this.#options;
    let isWaiting = false;
    const onRetry = (error: EisError): void => {
      metrics.countRetry('store');
      if (isWaiting) return;
      isWaiting = true;
      if (++this.#waiting === 1) onChange(false, error);
    };
    try {
      return await persist(operation, { signal: abort, backoff, onRetry });
    } finally {
      if (isWaiting && --this.#waiting === 0) onChange(true);
    }
  }

  #keyOf(message: ImageMessage): LedgerKey {
    return laneLedgerKey(laneQueue(this.#options.model, this.#options.lane), message);
  }
}
