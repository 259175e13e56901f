/**
 * The embedded queue: LMDB in one folder, for the processes of one machine. A confirmed message is on the disk. Several
 * processes open it at once; one that is killed at any moment leaves no half transaction, and what it held is delivered
 * to others as soon as one of them sees that it is gone.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { EisError, cursorInvalid } from '../../common/errors.js';
import { laneQueue, requireQueueOf } from '../../common/lanes.js';
import { inTime } from '../../common/store/lmdb-guard.js';
import type { Log } from '../../common/log.js';
import type { ImageMessage } from '../../common/wire.js';
import { EmbeddedConsumer } from './embedded-consumer.js';
import { ModelTables } from './embedded-tables.js';
import { PublishError, queueUnavailable, type ConsumeOptions, type Consumer, type DeadLetter, type DeadPage, type ImageQueue, type PublishOptions, type QueueDepth, type ReplayOptions } from './queue.js';

/** Named databases of one queue, and those that all share. */
const DATABASES_PER_QUEUE = 4;
const DATABASES_SHARED = 4;
/** With that of its second lane. */
const QUEUES_PER_MODEL = 2;
const REPLAY_BATCH = 256;

export interface EmbeddedQueueOptions {
  readonly folder: string;
  readonly models: readonly string[];
  readonly deliveryMax: number;
  /** Messages that one model's queue holds at the most. */
  readonly messagesMax: number;
  readonly log: Log;
}

export class EmbeddedQueue implements ImageQueue {
  readonly #options: EmbeddedQueueOptions;
  readonly #root: RootDatabase;
  readonly #sequence: Database<number, string>;
  /** Queues of second lanes, which every publisher fills. */
  readonly #lanes: Database<true, string>;
  readonly #tables = new Map<string, ModelTables>();
  readonly #consumers = new Set<EmbeddedConsumer>();

  constructor(options: EmbeddedQueueOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
    this.#root = open({ path: join(options.folder, 'queue.mdb'), maxDbs: options.models.length * QUEUES_PER_MODEL * DATABASES_PER_QUEUE + DATABASES_SHARED });
    this.#sequence = this.#root.openDB({ name: 'sequence' });
    this.#lanes = this.#root.openDB({ name: 'lanes' });
    for (const model of options.models) this.#tablesOf(model);
  }

  /** One transaction for all messages and models: all are confirmed, or none. */
  async publish(messages: readonly ImageMessage[], { model: only }: PublishOptions = {}): Promise<void> {
    if (only !== undefined) this.#tablesOf(only);
    if (messages.length === 0) return;
    try {
      await this.#transact(() => {
        const targets = only === undefined ? [...this.#options.models, ...this.#openLanes()] : [only];
        for (const target of targets) this.#requireRoom(target, this.#tablesOf(target), messages.length);
        for (const target of targets) this.#tablesOf(target).append(messages);
      });
      await inTime(Promise.resolve(this.#root.flushed));
    } catch (error) {
      throw new PublishError(error, []);
    }
    for (const consumer of this.#consumers) consumer.wake();
  }

  /** Those of this system's models that are there: inside a transaction. */
  #openLanes(): string[] {
    return this.#options.models.map((model) => laneQueue(model, 'next')).filter((queue) => this.#lanes.get(queue));
  }

  #requireRoom(model: string, tables: ModelTables, count: number): void {
    const { messagesMax } = this.#options;
    if (tables.size + count > messagesMax) throw new EisError('EIS_QUEUE_FULL', { queue: model, messagesMax }, { retryAfterS: 5 });
  }

  async consume(model: string, options: ConsumeOptions): Promise<Consumer> {
    const consumer = new EmbeddedConsumer({
      ...options,
      tables: this.#tablesOf(model),
      deliveryMax: this.#options.deliveryMax,
      log: this.#options.log,
      transact: (move) => this.#transact(move),
      onClose: (closed) => this.#consumers.delete(closed),
    });
    this.#consumers.add(consumer);
    return consumer;
  }

  async depth(model: string): Promise<QueueDepth> {
    const tables = this.#tablesOf(model);
    const oldest = tables.oldestAcceptedAt();
    return { ...tables.counts(), oldestAgeMs: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest) };
  }

  async dead(model: string, { limit, after }: { readonly limit: number; readonly after?: string }): Promise<DeadPage> {
    const entries = this.#deadAfter(model, parseCursor(after), limit + 1);
    const page = entries.slice(0, limit);
    return { letters: page.map(({ letter }) => letter), next: entries.length > limit ? String(page.at(-1)?.key) : undefined };
  }

  #deadAfter(model: string, after: number, limit: number): { key: number; letter: DeadLetter }[] {
    return Array.from(this.#tablesOf(model).dead.getRange({ start: after + 1, limit }), ({ key, value }) => ({ key, letter: value }));
  }

  async replay(model: string, { prepare }: ReplayOptions = {}): Promise<number> {
    const tables = this.#tablesOf(model);
    let replayed = 0;
    for (let batch = this.#deadAfter(model, 0, REPLAY_BATCH); batch.length > 0; batch = this.#deadAfter(model, batch.at(-1)?.key ?? 0, REPLAY_BATCH)) {
      await prepare?.(batch.map(({ letter }) => letter.message));
      replayed += await this.#transact(() => tables.revive(batch.map(({ key }) => key)));
    }
    for (const consumer of this.#consumers) consumer.wake();
    return replayed;
  }

  async drop(model: string): Promise<number> {
    const { dead } = this.#tablesOf(model);
    return this.#transact(() => {
      const keys = Array.from(dead.getKeys());
      for (const key of keys) void dead.remove(key);
      return keys.length;
    });
  }

  async addLane(model: string): Promise<void> {
    const queue = laneQueue(model, 'next');
    this.#tablesOf(queue);
    await this.#transact(() => void this.#lanes.put(queue, true));
    await inTime(Promise.resolve(this.#root.flushed));
  }

  async removeLane(model: string): Promise<boolean> {
    const queue = laneQueue(model, 'next');
    const tables = this.#tablesOf(queue);
    return this.#transact(() => {
      if (tables.isConsumed) return false;
      void this.#lanes.remove(queue);
      tables.clear();
      return true;
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await this.#root.close();
  }

  /** @param queue a model, or the queue of a second lane of one */
  #tablesOf(queue: string): ModelTables {
    requireQueueOf(this.#options.models, queue);
    const tables = this.#tables.get(queue) ?? new ModelTables(this.#root, queue, this.#sequence);
    this.#tables.set(queue, tables);
    return tables;
  }

  /** Runs moves in one transaction; a failure of LMDB (disk full, folder gone…) is EIS_QUEUE_UNAVAILABLE. */
  async #transact<T>(move: () => T): Promise<T> {
    try {
      return await inTime(this.#root.transaction(move));
    } catch (error) {
      throw error instanceof EisError ? error : queueUnavailable(error);
    }
  }
}

function parseCursor(after: string | undefined): number {
  if (after === undefined) return 0;
  if (!/^\d{1,15}$/.test(after)) throw cursorInvalid();
  return Number(after);
}
