/**
 * A connection to the broker that comes back. amqplib dials again after a loss; its channels do not come back, so who
 * uses one opens another. Publishing and consuming have a connection each, because a broker that is short of disk or
 * memory stops reading from connections that publish, acknowledgements included.
 */
import { connect, type Channel, type ConfirmChannel, type RecoveringChannelModel } from 'amqplib';
import { withDeadline } from '../../common/deadline.js';
import { EisError, isEisError } from '../../common/errors.js';
import type { Log } from '../../common/log.js';
import { backoffMs, type Backoff } from '../../common/backoff.js';
import { queueUnavailable } from './queue.js';

/** Between attempts to connect, or to open a channel. */
export const AMQP_BACKOFF: Backoff = { baseMs: 200, capMs: 5_000 };

const CONNECT_TIMEOUT_MS = 10_000;
/** Time that one exchange with the broker may take, waiting for the connection included. */
const EXCHANGE_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 500;
/** A broker that says nothing for twice this long is taken for gone. */
const HEARTBEAT_S = 10;

export interface AmqpConnectionOptions {
  readonly url: string;
  /** What it is for, in log lines. */
  readonly use: 'control' | 'publishing';
  readonly log: Log;
}

export class AmqpConnection {
  readonly #options: AmqpConnectionOptions;
  #model: Promise<RecoveringChannelModel> | undefined;
  #onUnblocked: () => void = () => undefined;
  #isBlocked = false;
  #isClosed = false;
  #lastFailure: Error | undefined;

  constructor(options: AmqpConnectionOptions) {
    this.#options = options;
  }

  /** Whether the broker takes no messages now, being short of disk or memory. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Why the broker could not be reached last; undefined while it is reached. */
  get lastFailure(): Error | undefined {
    return this.#lastFailure;
  }

  /** Calls `listener` whenever messages are taken again. */
  onUnblocked(listener: () => void): void {
    this.#onUnblocked = listener;
  }

  /** @throws EisError EIS_ENVIRONMENT_INVALID when no broker is reached in this time */
  async ready(timeoutMs: number): Promise<void> {
    const model = await this.#open();
    try {
      await inTime(model.waitForConnect(), timeoutMs);
    } catch (error) {
      const reason = this.#lastFailure ?? (error as Error);
      throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'AMQP_URL', detail: `no broker could be used at ${withoutPassword(this.#options.url)} within ${timeoutMs / 1000} s: ${describe(reason)}.` }, { cause: reason });
    }
  }

  /**
   * Opens a channel, once there is a connection.
   *
   * @throws EisError EIS_QUEUE_UNAVAILABLE when there is none in time
   */
  async openChannel(): Promise<Channel> {
    const model = await this.#open();
    return this.#guard(model.createChannel());
  }

  /** Opens a channel on which published messages are confirmed; otherwise as `openChannel`. */
  async openConfirmChannel(): Promise<ConfirmChannel> {
    const model = await this.#open();
    return this.#guard(model.createConfirmChannel());
  }

  /** Opens a channel, runs `work` on it, and closes it: what it still holds of a queue goes back there. */
  async withChannel<T>(work: (channel: Channel) => Promise<T>, timeoutMs = EXCHANGE_TIMEOUT_MS): Promise<T> {
    const channel = await this.openChannel();
    try {
      return await inTime(work(channel), timeoutMs);
    } catch (error) {
      throw isEisError(error) ? error : queueUnavailable(error);
    } finally {
      await closeQuietly(channel);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const model = await this.#model;
    if (model) await inTime(model.close(), CLOSE_TIMEOUT_MS).catch(() => undefined);
  }

  async #open(): Promise<RecoveringChannelModel> {
    if (this.#isClosed) throw queueUnavailable(new Error('The queue is closed'));
    this.#model ??= this.#dial();
    return this.#model;
  }

  async #dial(): Promise<RecoveringChannelModel> {
    const { url, use, log } = this.#options;
    const model = await connect(withHeartbeat(url), {
      noDelay: true,
      timeout: CONNECT_TIMEOUT_MS,
      clientProperties: { connection_name: `eis ${use}` },
      recovery: { waitForConnect: false, calculateDelay: (attempt) => backoffMs(AMQP_BACKOFF, attempt) },
    });
    model.on('connect', () => {
      this.#lastFailure = undefined;
      log.info({ use }, 'connected to the broker');
    });
    model.on('connect-failed', (error) => this.#lose(error, 'the broker cannot be reached; trying again'));
    model.on('disconnect', (error) => this.#lose(error, 'the connection to the broker was lost'));
    model.on('error', (error) => log.debug({ use, err: error }, 'the connection to the broker failed'));
    model.on('blocked', (reason) => {
      this.#isBlocked = true;
      log.warn({ use, reason }, 'the broker takes no messages');
    });
    model.on('unblocked', () => this.#unblock());
    return model;
  }

  #lose(error: Error, sentence: string): void {
    const { use, log } = this.#options;
    this.#lastFailure = error;
    log.warn({ use, detail: describe(error) }, sentence);
    if (this.#isBlocked) this.#unblock();
  }

  #unblock(): void {
    this.#isBlocked = false;
    this.#onUnblocked();
  }

  /** A channel that comes too late is closed again. */
  async #guard<C extends Channel>(opening: Promise<C>): Promise<C> {
    try {
      const channel = await inTime(opening, EXCHANGE_TIMEOUT_MS);
      channel.on('error', (error) => this.#options.log[isNotFound(error) ? 'debug' : 'warn']({ use: this.#options.use, detail: describe(error) }, 'the broker closed a channel'));
      return channel;
    } catch (error) {
      opening.then(closeQuietly, () => undefined);
      throw queueUnavailable(this.#lastFailure ?? error);
    }
  }
}

/** Closes a channel, or lets it be where that cannot be done. */
export async function closeQuietly(channel: Channel): Promise<void> {
  channel.on('error', () => undefined);
  try {
    await inTime(channel.close(), CLOSE_TIMEOUT_MS);
  } catch {
    // Closed already, or its connection is gone: the broker takes back what it held.
  }
}

/** The result of `work`, or a rejection when it takes too long; it may then still come to pass. */
function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  return withDeadline({ timeoutMs, timeoutError: () => new Error(`The broker did not answer within ${timeoutMs} ms`) }, () => work);
}

/** That there is no such queue, as the broker says it to who asked: the queue of a second lane is there for a time alone. */
export function isNotFound(error: unknown): boolean {
  return String(error).includes('NOT_FOUND');
}

/** An error of a socket that tried several addresses says nothing itself. */
function describe(error: Error): string {
  const { errors } = error as AggregateError;
  return error.message || (Array.isArray(errors) ? errors.map((one: Error) => one.message).join(', ') : error.name);
}

function withHeartbeat(url: string): string {
  const parsed = new URL(url);
  if (!parsed.searchParams.has('heartbeat')) parsed.searchParams.set('heartbeat', String(HEARTBEAT_S));
  return parsed.href;
}

function withoutPassword(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
