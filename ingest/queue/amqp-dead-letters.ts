/**
 * The dead letters of one model in RabbitMQ, which knows no browsing: a list takes the letters on a channel of its own
 * and lets them go back, so that for a moment nobody else sees them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, Message } from 'amqplib';
import { cursorInvalid } from '../../common/errors.js';
import { closeQuietly, type AmqpConnection } from './amqp-connection.js';
import { decodeMessage, readDeadLetter } from './amqp-message.js';
import type { AmqpPublisher } from './amqp-publisher.js';
import { queueUnavailable, type DeadLetter, type DeadPage, type ReplayOptions } from './queue.js';

/**
 * Letters that a list looks at, to show them in the order of their death: the broker does not keep their order when
 * some of them go back. Of more than these, the list shows the foremost.
 */
const LISTED_MAX = 10_000;
const LIST_TIMEOUT_MS = 15_000;
const REPLAY_BATCH = 256;
/** When no letter came for so long, others hold the rest. */
const QUIET_MS = 500;
/** For as long as this it is looked whether letters are back; somebody else may have them by then. */
const LOOKS_MAX = 20;
const LOOK_INTERVAL_MS = 10;

export interface AmqpDeadLettersOptions {
  readonly connection: AmqpConnection;
  readonly publisher: AmqpPublisher;
  readonly deadQueue: string;
  readonly workQueue: string;
}

interface Listed {
  readonly letter: DeadLetter;
  /** Sorts as the letters died. */
  readonly key: string;
}

export class AmqpDeadLetters {
  readonly #options: AmqpDeadLettersOptions;

  constructor(options: AmqpDeadLettersOptions) {
    this.#options = options;
  }

  async page({ limit, after }: { readonly limit: number; readonly after?: string }): Promise<DeadPage> {
    if (after !== undefined && !/^\d{15}-/.test(after)) throw cursorInvalid();
    const letters = await this.#list();
    const rest = letters.filter(({ key }) => after === undefined || key > after);
    const page = rest.slice(0, limit);
    return { letters: page.map(({ letter }) => letter), next: rest.length > limit ? page.at(-1)?.key : undefined };
  }

  async #list(): Promise<Listed[]> {
    const { connection, deadQueue } = this.#options;
    return connection.withChannel(async (channel) => {
      const { messageCount } = await channel.checkQueue(deadQueue);
      const taken = await take(channel, deadQueue, Math.min(messageCount, LISTED_MAX));
      await giveBack(channel, deadQueue, taken);
      return taken.map(describeLetter).sort((a, b) => (a.key < b.key ? -1 : 1));
    }, LIST_TIMEOUT_MS);
  }

  /** Puts back those that are there now; what dies meanwhile stays. A letter leaves once the queue confirmed its copy. */
  async replay({ prepare }: ReplayOptions): Promise<number> {
    const { connection, deadQueue } = this.#options;
    let replayed = 0;
    let left = await connection.withChannel(async (channel) => (await channel.checkQueue(deadQueue)).messageCount);
    while (left > 0) {
      const count = await this.#replayBatch(Math.min(left, REPLAY_BATCH), prepare);
      if (count === 0) break;
      replayed += count;
      left -= count;
    }
    return replayed;
  }

  async #replayBatch(count: number, prepare: ReplayOptions['prepare']): Promise<number> {
    const { connection, deadQueue } = this.#options;
    const channel = await connection.openChannel();
    const kept = new Set<Message>();
    try {
      const taken = await guard(() => take(channel, deadQueue, count));
      for (const message of taken) kept.add(message);
      if (taken.length > 0) await prepare?.(taken.flatMap(({ content }) => decodeMessage(content) ?? []));
      await this.#putBack(taken, (message) => {
        channel.ack(message);
        kept.delete(message);
      });
      return taken.length;
    } finally {
      await giveBack(channel, deadQueue, [...kept]);
      await closeQuietly(channel);
    }
  }

  async #putBack(taken: readonly Message[], onConfirmed: (message: Message) => void): Promise<void> {
    const { publisher, workQueue } = this.#options;
    const fates = await publisher.send(taken.map(({ content }) => ({ exchange: '', routingKey: workQueue, content })));
    await guard(() => taken.forEach((message, i) => fates[i] === 'confirmed' && onConfirmed(message)));
    if (fates.includes('refused')) throw queueUnavailable(new Error(`The queue ${workQueue} is full, so not every dead letter went back. Try again later`));
    if (fates.some((fate) => fate !== 'confirmed')) throw queueUnavailable(publisher.difficulty);
  }

  /** Letters that somebody lists or replays at this moment stay. */
  async drop(): Promise<number> {
    const { connection, deadQueue } = this.#options;
    return connection.withChannel(async (channel) => (await channel.purgeQueue(deadQueue)).messageCount);
  }
}

/** Takes up to `count` messages from the head of a queue; they are the channel's until it acknowledges them or is closed. */
async function take(channel: Channel, queue: string, count: number): Promise<Message[]> {
  const taken: Message[] = [];
  if (count === 0) return taken;
  await channel.prefetch(count);
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const quiet = setTimeout(end, QUIET_MS);
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message) taken.push(message);
    if (message && taken.length < count) quiet.refresh();
    else end();
  });
  await ended;
  clearTimeout(quiet);
  await channel.cancel(consumerTag);
  return taken;
}

/** Gives messages back, and waits until they are: the broker answers nothing to that, and who looks next must see them. */
async function giveBack(channel: Channel, queue: string, messages: readonly Message[]): Promise<void> {
  try {
    for (const message of messages) channel.nack(message, false, true);
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      if ((await channel.checkQueue(queue)).messageCount >= messages.length) return;
      await sleep(LOOK_INTERVAL_MS);
    }
  } catch {
    // The channel is gone: the broker has them back already.
  }
}

async function guard<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw queueUnavailable(error);
  }
}

function describeLetter(raw: Message): Listed {
  const letter = readDeadLetter(raw);
  return { letter, key: `${String(letter.deadAt).padStart(15, '0')}-${String(raw.properties.messageId)}` };
}
