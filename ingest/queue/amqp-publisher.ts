/**
 * Publishes with confirms over whatever happens to the connection: what was not confirmed when a channel is lost is
 * sent again over the next one, until its time is over. A message may therefore arrive twice, and one that was given up
 * may arrive later; both are harmless, because the first outcome of an image stands.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConfirmChannel } from 'amqplib';
import { backoffMs } from '../../common/backoff.js';
import { AMQP_BACKOFF, type AmqpConnection } from './amqp-connection.js';
import type { Outgoing } from './amqp-message.js';

/**
 * What became of a message: every queue has it durably; a queue is full; no queue is bound where it was sent; or nobody
 * said in time.
 */
export type Fate = 'confirmed' | 'refused' | 'unroutable' | 'unconfirmed';

export interface AmqpPublisherOptions {
  readonly connection: AmqpConnection;
  /** Declares the topology; called before each channel is used. */
  readonly declare: () => Promise<void>;
  /** Time within which every message of a call is confirmed or given up. */
  readonly timeoutMs: number;
}

interface Pending {
  readonly outgoing: Outgoing;
  readonly settle: (fate: Fate) => void;
  isSent: boolean;
  isReturned: boolean;
}

export class AmqpPublisher {
  readonly #options: AmqpPublisherOptions;
  /** By message id, in the order of sending. */
  readonly #pending = new Map<string, Pending>();
  #channel: ConfirmChannel | undefined;
  #isOpening = false;
  #isClosed = false;
  #lastFailure: unknown;

  constructor(options: AmqpPublisherOptions) {
    this.#options = options;
    options.connection.onUnblocked(() => this.#flush());
  }

  /** Why messages were not confirmed in time, as far as is known. */
  get difficulty(): Error {
    const { connection, timeoutMs } = this.#options;
    if (this.#isClosed) return new Error('The queue is closed');
    if (connection.isBlocked) return new Error('The broker takes no messages, being short of disk or memory');
    const failure = connection.lastFailure ?? (this.#channel ? undefined : this.#lastFailure);
    return failure instanceof Error ? failure : new Error(`The broker did not confirm within ${timeoutMs} ms`);
  }

  /** Sends messages in their order, and says what became of each. Never throws. */
  async send(messages: readonly Outgoing[]): Promise<Fate[]> {
    if (this.#isClosed) return messages.map(() => 'unconfirmed');
    const ids = messages.map(() => randomUUID());
    const fates = messages.map((outgoing, i) => new Promise<Fate>((resolve) => {
      this.#pending.set(ids[i] as string, { outgoing, settle: resolve, isSent: false, isReturned: false });
    }));
    const deadline = setTimeout(() => ids.forEach((id) => this.#settle(id, 'unconfirmed')), this.#options.timeoutMs);
    this.#flush();
    return Promise.all(fates).finally(() => clearTimeout(deadline));
  }

  /** Takes no more; waits for the messages under way, but not longer than this, and gives up the rest. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true;
    for (const end = Date.now() + timeoutMs; this.#pending.size > 0 && Date.now() < end; ) await sleep(10);
    for (const id of [...this.#pending.keys()]) this.#settle(id, 'unconfirmed');
  }

  #settle(id: string, fate: Fate): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.settle(fate);
  }

  #flush(): void {
    if (this.#pending.size === 0 || this.#options.connection.isBlocked) return;
    const channel = this.#channel;
    if (!channel) return this.#reopen();
    for (const [id, pending] of this.#pending) {
      if (!pending.isSent && !this.#publish(channel, id, pending)) return;
    }
  }

  #reopen(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    void this.#open().finally(() => {
      this.#isOpening = false;
      this.#flush();
    });
  }

  /** Returns whether the channel took it; one that is about to close does not, and its successor will. */
  #publish(channel: ConfirmChannel, id: string, pending: Pending): boolean {
    const { exchange, routingKey, content, headers } = pending.outgoing;
    const options = { messageId: id, persistent: true, mandatory: true, contentType: 'application/json', headers };
    const confirm = (error: unknown): void => {
      if (!error) this.#settle(id, pending.isReturned ? 'unroutable' : 'confirmed');
      else if (this.#channel === channel) this.#settle(id, 'refused');
    };
    try {
      channel.publish(exchange, routingKey, content, options, confirm);
    } catch (error) {
      this.#lastFailure = error;
      return false;
    }
    pending.isSent = true;
    return true;
  }

  async #open(): Promise<void> {
    for (let failures = 1; this.#pending.size > 0; failures++) {
      try {
        await this.#options.declare();
        const channel = await this.#options.connection.openConfirmChannel();
        // Before amqplib's own listener, which calls back every message that is not confirmed as if it were refused.
        channel.prependOnceListener('close', () => this.#lose(channel));
        channel.on('return', ({ properties }) => this.#markReturned(properties.messageId));
        this.#channel = channel;
        return;
      } catch (error) {
        this.#lastFailure = error;
        await sleep(backoffMs(AMQP_BACKOFF, failures));
      }
    }
  }

  #markReturned(id: unknown): void {
    const pending = this.#pending.get(String(id));
    if (pending) pending.isReturned = true;
  }

  #lose(channel: ConfirmChannel): void {
    if (this.#channel !== channel) return;
    this.#channel = undefined;
    for (const pending of this.#pending.values()) {
      pending.isSent = false;
      pending.isReturned = false;
    }
    this.#flush();
  }
}
