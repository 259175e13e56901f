/**
 * A consumer of RabbitMQ. It wants to run, to pause or to be closed; whatever happens to its channel, it works towards
 * that. What it held when a channel was lost is the broker's again, and settling it does nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { Log } from '../../common/log.js';
import type { ImageMessage } from '../../common/wire.js';
import { backoffMs, wait } from '../../common/backoff.js';
import { AMQP_BACKOFF, closeQuietly, type AmqpConnection } from './amqp-connection.js';
import { decodeMessage, failuresOf } from './amqp-message.js';
import type { AmqpRejections } from './amqp-rejections.js';
import { AmqpSession } from './amqp-session.js';
import type { ConsumeOptions, Consumer, Delivery, FailureReason } from './queue.js';

const CLOSE_TIMEOUT_MS = 1_000;

const NO_MESSAGE: FailureReason = { code: 'EIS_BAD_REQUEST', message: 'The body of the message is none that the wrapper publishes.' };

export interface AmqpConsumerOptions extends ConsumeOptions {
  readonly model: string;
  readonly queue: string;
  readonly connection: AmqpConnection;
  readonly rejections: AmqpRejections;
  /** Declares the topology; called before each channel is used. */
  readonly declare: () => Promise<void>;
  readonly log: Log;
  readonly onClose: (consumer: AmqpConsumer) => void;
}

export class AmqpConsumer implements Consumer {
  readonly #options: AmqpConsumerOptions;
  readonly #closing = new AbortController();
  #wanted: 'running' | 'paused' | 'closed' = 'running';
  #session: AmqpSession | undefined;
  #channel: Channel | undefined;
  #isCalled = false;
  #working: Promise<void> | undefined;
  #onAttempt: () => void = () => undefined;

  constructor(options: AmqpConsumerOptions) {
    this.#options = options;
  }

  /** Resolves after the first attempt to subscribe; where that failed, it goes on by itself. */
  start(): Promise<void> {
    this.#attend();
    return new Promise((resolve) => (this.#onAttempt = resolve));
  }

  get model(): string {
    return this.#options.model;
  }

  /** The messages in hand, those included that wait to be delivered. */
  get held(): readonly ConsumeMessage[] {
    return this.#session?.held ?? [];
  }

  pause(): void {
    this.#want('paused');
  }

  resume(): void {
    this.#want('running');
  }

  async close(): Promise<void> {
    if (this.#wanted === 'closed') return;
    this.#want('closed');
    this.#closing.abort();
    await Promise.race([this.#working, sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    this.#options.onClose(this);
  }

  #want(wanted: 'running' | 'paused' | 'closed'): void {
    if (this.#wanted === 'closed') return;
    this.#wanted = wanted;
    if (this.#session) this.#session.isPaused = wanted !== 'running';
    this.#attend();
  }

  // ── Towards what is wanted ────────────────────────────────────────────────────────────────────────────────────────

  #attend(): void {
    this.#isCalled = true;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      if (this.#isCalled) this.#attend(); // it was called after the last look
    });
  }

  async #work(): Promise<void> {
    for (let failures = 0; this.#isCalled; ) {
      this.#isCalled = false;
      try {
        await this.#step().finally(() => this.#onAttempt());
        failures = 0;
      } catch (error) {
        if (this.#wanted === 'closed') break;
        this.#complain(error);
        this.#isCalled = true;
        await wait(backoffMs(AMQP_BACKOFF, ++failures), this.#closing.signal).catch(() => undefined);
      }
    }
    if (this.#wanted === 'closed') this.#isCalled = false;
  }

  async #step(): Promise<void> {
    if (this.#wanted === 'closed') return this.#end();
    if (!this.#session?.isOpen) this.#session = await this.#open();
    this.#session.isPaused = this.#wanted !== 'running';
    if (this.#wanted === 'running') await this.#session.subscribe();
    else await this.#session.unsubscribe();
  }

  async #open(): Promise<AmqpSession> {
    const { connection, queue, prefetch, declare } = this.#options;
    await declare();
    this.#channel = await connection.openChannel();
    return new AmqpSession({
      channel: this.#channel,
      queue,
      prefetch,
      onMessage: (message, session) => this.#deliver(message, session),
      onChange: () => this.#attend(),
    });
  }

  async #end(): Promise<void> {
    if (!this.#channel || !this.#session?.isOpen) return;
    await this.#session.unsubscribe();
    this.#session.giveBack();
    await closeQuietly(this.#channel);
  }

  #complain(error: unknown): void {
    const { log, queue } = this.#options;
    log.warn({ queue, detail: error instanceof Error ? error.message : String(error) }, 'the queue cannot be consumed; trying again');
  }

  // ── One message ───────────────────────────────────────────────────────────────────────────────────────────────────

  #deliver(raw: ConsumeMessage, session: AmqpSession): void {
    const message = decodeMessage(raw.content);
    if (message) this.#options.onDelivery(this.#delivery(raw, message, session));
    else void this.#bury(raw, session);
  }

  #delivery(raw: ConsumeMessage, message: ImageMessage, session: AmqpSession): Delivery {
    const { rejections, model } = this.#options;
    let isRejecting = false;
    return {
      message,
      attempt: rejections.failuresOf(raw) + 1,
      redelivered: raw.fields.redelivered || failuresOf(raw) > 0,
      ack: async () => {
        if (!isRejecting) session.settle(raw, (channel) => this.#acknowledge(raw, channel));
      },
      reject: async (reason) => {
        if (isRejecting || !session.holds(raw)) return false;
        isRejecting = true;
        try {
          const fate = await rejections.reject({ raw, model, reason });
          session.settle(raw, (channel) => (fate === 'refused' ? channel.nack(raw, false, true) : channel.ack(raw)));
          return fate === 'dead';
        } finally {
          isRejecting = false;
        }
      },
      release: async () => {
        if (!isRejecting) session.settle(raw, (channel) => channel.nack(raw, false, true));
      },
    };
  }

  #acknowledge(raw: ConsumeMessage, channel: Channel): void {
    channel.ack(raw);
    this.#options.rejections.forget(raw);
  }

  /** What is no message of ours fails at once; where it cannot be moved now, it is tried again with its next delivery. */
  async #bury(raw: ConsumeMessage, session: AmqpSession): Promise<void> {
    const { rejections, model, queue, log } = this.#options;
    log.error({ queue, body: raw.content.toString().slice(0, 200) }, 'something else than an image is in the queue');
    try {
      await rejections.bury({ raw, model, reason: NO_MESSAGE });
      session.settle(raw, (channel) => channel.ack(raw));
    } catch (error) {
      this.#complain(error);
      await wait(AMQP_BACKOFF.capMs, this.#closing.signal).catch(() => undefined);
      session.settle(raw, (channel) => channel.nack(raw, false, true));
    }
  }
}
