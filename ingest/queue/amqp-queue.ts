/**
 * The queue over RabbitMQ, for many machines. How it is laid out and how attempts are counted stands in
 * `amqp-topology.ts`. A message is published once, to the fan-out exchange; for one model alone, straight into its queue,
 * so that a backfill of one model reaches no other.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from 'amqplib';
import { EisError, isEisError } from '../../common/errors.js';
import { isSecondLane, laneQueue, requireQueueOf } from '../../common/lanes.js';
import type { Log } from '../../common/log.js';
import type { ImageMessage } from '../../common/wire.js';
import { AmqpConnection, isNotFound } from './amqp-connection.js';
import { AmqpConsumer } from './amqp-consumer.js';
import { AmqpDeadLetters } from './amqp-dead-letters.js';
import { decodeMessage, encodeMessage } from './amqp-message.js';
import { AmqpPublisher, type Fate } from './amqp-publisher.js';
import { AmqpRejections } from './amqp-rejections.js';
import { declareTopology, topologyNames, type TopologyNames } from './amqp-topology.js';
import { PublishError, queueUnavailable, type ConsumeOptions, type Consumer, type DeadPage, type ImageQueue, type PublishOptions, type QueueDepth, type ReplayOptions } from './queue.js';

const CLOSE_TIMEOUT_MS = 1_000;

/** Once a queue was full it takes messages again when a fifth of it is free. */
const FULL_SHARE = 0.8;

/** A quorum queue that has no leader yet, after a broker's restart, refuses as a full one does. Sent again, it may come twice: outcomes are idempotent. */
const REFUSAL_PATIENCE_MS = 3_000;
const REFUSAL_WAIT_MS = 300;

export interface AmqpQueueOptions {
  readonly url: string;
  /** The models whose queues get every message: one, or all that the system has. */
  readonly models: readonly string[];
  readonly deliveryMax: number;
  /** Messages that wait in one model's queue at the most, give or take those that arrive at once. */
  readonly messagesMax: number;
  /** Time that the broker may take to confirm what is published, losses of the connection included. */
  readonly publishTimeoutMs: number;
  /** Begins the names of everything in the broker. */
  readonly prefix?: string;
  readonly log: Log;
}

export class AmqpQueue implements ImageQueue {
  readonly #options: AmqpQueueOptions;
  readonly #names: TopologyNames;
  readonly #control: AmqpConnection;
  readonly #publishing: AmqpConnection;
  readonly #publisher: AmqpPublisher;
  readonly #rejections: AmqpRejections;
  readonly #consumers = new Set<AmqpConsumer>();

  constructor(options: AmqpQueueOptions) {
    const { url, log, deliveryMax, publishTimeoutMs } = options;
    this.#options = options;
    this.#names = topologyNames(options.prefix ?? 'eis');
    this.#control = new AmqpConnection({ url, use: 'control', log });
    this.#publishing = new AmqpConnection({ url, use: 'publishing', log });
    this.#publisher = new AmqpPublisher({ connection: this.#publishing, declare: () => this.#declare(), timeoutMs: publishTimeoutMs });
    this.#rejections = new AmqpRejections({ publisher: this.#publisher, names: this.#names, deliveryMax });
  }

  /**
   * Waits for the broker and declares what is missing there.
   *
   * @throws EisError EIS_ENVIRONMENT_INVALID when none can be used within `timeoutMs`, or it refuses what is declared
   */
  async ready(timeoutMs: number): Promise<void> {
    await this.#control.ready(timeoutMs);
    await this.#declare().catch(({ cause }: EisError) => {
      throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'AMQP_URL', detail: `the broker does not take the queues that are declared: ${String(cause)}.` }, { cause });
    });
  }

  /** That of a second lane is made by `addLane` alone: one that its worker made again, after it was removed, would fill until nothing more is taken in. */
  #declare(models = this.#options.models.filter((model) => !isSecondLane(model))): Promise<void> {
    const { prefix = 'eis', messagesMax, log } = this.#options;
    return declareTopology({ prefix, models, messagesMax }, (work) => this.#control.withChannel(work), log);
  }

  async publish(messages: readonly ImageMessage[], { model }: PublishOptions = {}): Promise<void> {
    if (model !== undefined) this.#requireModel(model);
    const models = model === undefined ? this.#options.models : [model];
    const address = model === undefined ? { exchange: this.#names.imagesExchange, routingKey: '' } : { exchange: '', routingKey: this.#names.workQueue(model) };
    const confirmed: ImageMessage[] = [];
    let left = messages;
    for (const startedAt = Date.now(); left.length > 0; await sleep(REFUSAL_WAIT_MS)) {
      const fates = await this.#publisher.send(left.map((message) => ({ ...address, content: encodeMessage(message) })));
      confirmed.push(...left.filter((_, i) => fates[i] === 'confirmed'));
      left = left.filter((_, i) => fates[i] !== 'confirmed');
      if (left.length === 0) return;
      const failure = await this.#explain(fates, models);
      const mayPass = fates.includes('refused') && failure.code !== 'EIS_QUEUE_FULL' && Date.now() - startedAt < REFUSAL_PATIENCE_MS;
      if (!mayPass) throw new PublishError(failure, confirmed);
    }
  }

  async #explain(fates: readonly Fate[], models: readonly string[]): Promise<EisError> {
    if (fates.includes('refused')) return this.#explainRefusal(models).catch((error: unknown) => (isEisError(error) ? error : queueUnavailable(error)));
    if (!fates.includes('unroutable')) return queueUnavailable(this.#publisher.difficulty);
    await this.#declare().catch((error: unknown) => this.#options.log.error({ err: error }, 'the queues could not be declared'));
    return queueUnavailable(new Error('The broker had no queue for them'));
  }

  /** The broker does not say which queue it was. */
  async #explainRefusal(models: readonly string[]): Promise<EisError> {
    const { messagesMax } = this.#options;
    const counts = await this.#control.withChannel(async (channel) => {
      const waiting: { model: string; messages: number }[] = [];
      for (const model of models) waiting.push({ model, messages: (await channel.checkQueue(this.#names.workQueue(model))).messageCount });
      return waiting.sort((a, b) => b.messages - a.messages);
    });
    const [fullest] = counts;
    if (fullest && fullest.messages >= messagesMax * FULL_SHARE) return new EisError('EIS_QUEUE_FULL', { queue: fullest.model, messagesMax }, { retryAfterS: 5 });
    const detail = `A queue that is bound to ${this.#names.imagesExchange} refused them, and it is none of ${models.join(', ')}: is it of a model that was removed? Then unbind it`;
    return queueUnavailable(new Error(detail));
  }

  async consume(model: string, options: ConsumeOptions): Promise<Consumer> {
    this.#requireModel(model);
    const consumer = new AmqpConsumer({
      ...options,
      model,
      queue: this.#names.workQueue(model),
      connection: this.#control,
      rejections: this.#rejections,
      declare: () => this.#declare(),
      log: this.#options.log,
      onClose: (closed) => this.#consumers.delete(closed),
    });
    this.#consumers.add(consumer);
    await consumer.start();
    return consumer;
  }

  /** `unacked` are those of this process: the protocol does not tell of others'. So the foremost is this one's, or waits. */
  async depth(model: string): Promise<QueueDepth> {
    this.#requireModel(model);
    const work = this.#names.workQueue(model);
    return this.#control.withChannel(async (channel) => {
      const { messageCount: ready } = await channel.checkQueue(work);
      const { messageCount: dead } = await channel.checkQueue(this.#names.deadQueue(model));
      const held = [...this.#consumers].filter((consumer) => consumer.model === model).flatMap((consumer) => consumer.held);
      const bodies = held.length === 0 && ready > 0 ? await peek(channel, work) : held.map(({ content }) => content);
      const accepted = bodies.flatMap((content) => decodeMessage(content)?.acceptedAt ?? []);
      return { ready, unacked: held.length, dead, oldestAgeMs: accepted.length === 0 ? 0 : Math.max(0, Date.now() - Math.min(...accepted)) };
    });
  }

  async dead(model: string, options: { readonly limit: number; readonly after?: string }): Promise<DeadPage> {
    return this.#deadLetters(model).page(options);
  }

  async replay(model: string, options: ReplayOptions = {}): Promise<number> {
    return this.#deadLetters(model).replay(options);
  }

  async drop(model: string): Promise<number> {
    return this.#deadLetters(model).drop();
  }

  /** What publishes needs not be told: the queue is bound to the exchange. */
  addLane(model: string): Promise<void> {
    this.#requireModel(model);
    return this.#declare([laneQueue(model, 'next')]);
  }

  async removeLane(model: string): Promise<boolean> {
    this.#requireModel(model);
    const lane = laneQueue(model, 'next');
    if (await this.#isConsumed(this.#names.workQueue(lane))) return false;
    for (const queue of [this.#names.workQueue(lane), this.#names.deadQueue(lane)]) await this.#control.withChannel((channel) => channel.deleteQueue(queue));
    return true;
  }

  /** Returns what is held, waits for the confirms under way, and closes the connections; a broker that is gone is not waited for. */
  async close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close()));
    await this.#publisher.close(CLOSE_TIMEOUT_MS);
    await Promise.all([this.#control.close(), this.#publishing.close()]);
  }

  /** Asked for, because a quorum queue cannot be told to be deleted only if it is not. */
  async #isConsumed(queue: string): Promise<boolean> {
    try {
      return (await this.#control.withChannel((channel) => channel.checkQueue(queue))).consumerCount > 0;
    } catch (error) {
      if (isNotFound((error as EisError).cause)) return false;
      throw error;
    }
  }

  #deadLetters(model: string): AmqpDeadLetters {
    this.#requireModel(model);
    return new AmqpDeadLetters({ connection: this.#control, publisher: this.#publisher, deadQueue: this.#names.deadQueue(model), workQueue: this.#names.workQueue(model) });
  }

  #requireModel(model: string): void {
    requireQueueOf(this.#options.models, model);
  }
}

/** The body of the message at the head of a queue, which stays there. */
async function peek(channel: Channel, queue: string): Promise<Buffer[]> {
  const message = await channel.get(queue);
  if (!message) return [];
  channel.nack(message, false, true);
  return [message.content];
}
