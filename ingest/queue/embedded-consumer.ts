/**
 * A consumer of the embedded queue. LMDB tells no process of another's writes, so it looks for new messages by itself:
 * every 50 ms, and after a while of silence every 250 ms. It says every 10 s that it lives, and takes back what dead
 * consumers held.
 */
import { randomUUID } from 'node:crypto';
import type { Log } from '../../common/log.js';
import { LEASE_MS, type Lease, type ModelTables } from './embedded-tables.js';
import type { ConsumeOptions, Consumer, Delivery } from './queue.js';

const POLL_MIN_MS = 50;
const POLL_MAX_MS = 250;
const POLL_GROWTH = 1.25;
const RECOVERY_INTERVAL_MS = 1_000;
const KEEP_ALIVE_INTERVAL_MS = LEASE_MS / 3;

export interface EmbeddedConsumerOptions extends ConsumeOptions {
  readonly tables: ModelTables;
  readonly deliveryMax: number;
  readonly log: Log;
  /** Runs a move in a transaction. */
  readonly transact: <T>(move: () => T) => Promise<T>;
  readonly onClose: (consumer: EmbeddedConsumer) => void;
}

export class EmbeddedConsumer implements Consumer {
  readonly #options: EmbeddedConsumerOptions;
  readonly #holder = randomUUID();
  readonly #keepAlive: NodeJS.Timeout;
  readonly #running: Promise<void>;
  #inHand = 0;
  #isPaused = false;
  #isClosed = false;
  #recoverAt = 0;
  /** A call for attention that came while nobody slept. */
  #isCalled = false;
  #endSleep: (() => void) | undefined;

  constructor(options: EmbeddedConsumerOptions) {
    this.#options = options;
    this.#keepAlive = setInterval(() => void this.#sayAlive(), KEEP_ALIVE_INTERVAL_MS);
    this.#running = this.#run();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.wake();
  }

  /** Looks for messages at once. */
  wake(): void {
    this.#isCalled = true;
    this.#endSleep?.();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return this.#running;
    this.#isClosed = true;
    this.wake();
    clearInterval(this.#keepAlive);
    await this.#running;
    this.#options.onClose(this);
    await this.#options.transact(() => this.#options.tables.dismiss(this.#holder));
  }

  async #run(): Promise<void> {
    let idleMs = POLL_MIN_MS;
    while (!this.#isClosed) {
      try {
        await this.#recoverWhenDue();
        const leases = await this.#lease();
        for (const lease of leases) this.#options.onDelivery(this.#deliver(lease));
        idleMs = leases.length > 0 ? POLL_MIN_MS : Math.min(POLL_MAX_MS, idleMs * POLL_GROWTH);
        if (leases.length === 0) await this.#idle(idleMs);
      } catch (error) {
        this.#options.log.error({ err: error }, 'the queue cannot be read');
        await this.#idle(RECOVERY_INTERVAL_MS);
      }
    }
  }

  /** Looks before it takes: taking is a write, and writes wait for each other over all processes. */
  async #lease(): Promise<Lease[]> {
    const { prefetch, tables, transact } = this.#options;
    const room = prefetch - this.#inHand;
    if (this.#isClosed || this.#isPaused || room <= 0 || tables.isEmpty) return [];
    const leases = await transact(() => tables.lease(this.#holder, room));
    this.#inHand += leases.length;
    return leases;
  }

  async #recoverWhenDue(): Promise<void> {
    if (Date.now() < this.#recoverAt) return;
    this.#recoverAt = Date.now() + RECOVERY_INTERVAL_MS;
    const { tables, transact, log } = this.#options;
    const lost = tables.lostHolders();
    if (lost.length === 0) return;
    await transact(() => lost.forEach((holder) => tables.dismiss(holder)));
    log.warn({ consumers: lost.length }, 'took back the messages of consumers that are gone');
  }

  async #idle(ms: number): Promise<void> {
    if (!this.#isCalled && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#endSleep = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#isCalled = false;
    this.#endSleep = undefined;
  }

  async #sayAlive(): Promise<void> {
    const { tables, transact, log } = this.#options;
    await transact(() => (this.#isClosed ? undefined : tables.keepAlive(this.#holder))).catch((error: unknown) => log.error({ err: error }, 'the lease could not be renewed'));
  }

  #deliver(lease: Lease): Delivery {
    const { tables, transact, deliveryMax } = this.#options;
    const settle = async <T>(move: () => T): Promise<T> => {
      const result = await transact(move);
      if (!isSettled) {
        isSettled = true;
        this.#inHand--;
        this.wake();
      }
      return result;
    };
    let isSettled = false;
    return {
      message: lease.message,
      attempt: lease.failures + 1,
      redelivered: lease.deliveries > 1,
      ack: () => settle(() => tables.ack(lease)),
      reject: (reason) => settle(() => tables.reject(lease, reason, deliveryMax)),
      release: () => settle(() => tables.release(lease)),
    };
  }
}
