/**
 * The queue between the wrapper and the workers: what it confirmed is delivered until it is acknowledged, whatever is
 * killed meanwhile. One contract for every implementation (LMDB on one machine, RabbitMQ in a cluster), held by
 * `test/ingest/queue/queue-contract.ts`.
 */
import { EisError, isEisError } from '../../common/errors.js';
import type { ImageMessage } from '../../common/wire.js';

/** Why a message could not be worked off; it is kept with a dead letter. */
export interface FailureReason {
  readonly code: string;
  readonly message: string;
}

/**
 * A message in the hands of a consumer, until it is settled by exactly one of `ack`, `reject` and `release`. Where the
 * queue has given the message to somebody else meanwhile (this process was silent for too long), settling does nothing.
 */
export interface Delivery {
  readonly message: ImageMessage;
  /** 1 for the first; counts only deliveries that were rejected, not those whose consumer died or let go. */
  readonly attempt: number;
  /** True when the message may have been in the hands of a consumer before. */
  readonly redelivered: boolean;

  /** The message is worked off and leaves the queue. */
  ack(): Promise<void>;

  /**
   * The message failed for a reason of its own: it is delivered again later, behind what waits now; at the delivery
   * limit it goes to the dead letters, with the reason.
   *
   * @returns whether it is dead now
   */
  reject(reason: FailureReason): Promise<boolean>;

  /** The message goes back to its place, and nothing is counted. */
  release(): Promise<void>;
}

export interface ConsumeOptions {
  /** Messages in hand at once. */
  readonly prefetch: number;
  /** Called for each message, in the order of the queue. Must not throw. */
  readonly onDelivery: (delivery: Delivery) => void;
}

export interface Consumer {
  /** Delivers nothing more until `resume`. What is in hand stays there. */
  pause(): void;
  resume(): void;
  /** Ends the deliveries; what is in hand goes back to its place, uncounted. */
  close(): Promise<void>;
}

/** A glimpse: what was given back an instant ago may not be counted yet. */
export interface QueueDepth {
  /** Messages that wait. */
  readonly ready: number;
  /** Messages in the hands of consumers; over RabbitMQ, which does not tell of others', in the hands of this process. */
  readonly unacked: number;
  /** Dead letters. */
  readonly dead: number;
  /** Time since the foremost message that is not acknowledged was accepted; 0 when there is none. */
  readonly oldestAgeMs: number;
}

export interface DeadLetter {
  readonly message: ImageMessage;
  readonly reason: FailureReason;
  /** ms since the epoch. */
  readonly deadAt: number;
}

export interface DeadPage {
  readonly letters: DeadLetter[];
  /** An opaque cursor; undefined on the last page. */
  readonly next: string | undefined;
}

export interface PublishOptions {
  /** The only model whose queue gets them. */
  readonly model?: string;
}

export interface ReplayOptions {
  /**
   * Called with each batch of messages before they go back, which they do only once it has resolved: the place to
   * reopen their entries in the ledger.
   */
  readonly prepare?: (messages: readonly ImageMessage[]) => Promise<void>;
}

export interface ImageQueue {
  /**
   * Puts messages into the queue of every model, or of one alone. Resolves when every queue holds them durably, so that they survive
   * whatever is killed.
   *
   * A queue is full at its limit, or a few messages above it where many arrive at once. What is refused or unavailable may
   * be in some of the queues all the same: to send it again is right, and harmless.
   *
   * @throws PublishError naming the messages that every queue confirmed all the same
   */
  publish(messages: readonly ImageMessage[], options?: PublishOptions): Promise<void>;

  /** Starts to deliver the messages of a model; several consumers share them. */
  consume(model: string, options: ConsumeOptions): Promise<Consumer>;

  depth(model: string): Promise<QueueDepth>;

  /**
   * The dead letters of a model, the oldest first. RabbitMQ lists the foremost 10,000, and shows none that somebody else
   * lists or replays at the same moment.
   */
  dead(model: string, options: { readonly limit: number; readonly after?: string }): Promise<DeadPage>;

  /** Puts the dead letters of a model back into its queue, as if they had never been delivered. Returns how many. */
  replay(model: string, options?: ReplayOptions): Promise<number>;

  /** Throws the dead letters of a model away. Returns how many. */
  drop(model: string): Promise<number>;

  /**
   * Gives a model's second lane (`laneQueue`) a queue that gets every message from now on, whoever publishes it. All that
   * takes a model's name takes the lane's queue, too. Doing it again changes nothing.
   */
  addLane(model: string): Promise<void>;

  /**
   * Removes that queue with all that is in it, once nobody consumes it. Doing it again changes nothing.
   *
   * @returns false while somebody consumes it: then it stays
   */
  removeLane(model: string): Promise<boolean>;

  close(): Promise<void>;
}

/** Not every message was taken: EIS_QUEUE_FULL or EIS_QUEUE_UNAVAILABLE, and what was confirmed all the same. */
export class PublishError extends Error {
  readonly failure: EisError;
  readonly confirmed: readonly ImageMessage[];

  constructor(cause: unknown, confirmed: readonly ImageMessage[]) {
    const failure = isEisError(cause) ? cause : queueUnavailable(cause);
    super(failure.message, { cause: failure });
    this.name = 'PublishError';
    this.failure = failure;
    this.confirmed = confirmed;
  }
}

/** A failure of the queue itself as an error that says so. */
export function queueUnavailable(cause: unknown): EisError {
  return new EisError('EIS_QUEUE_UNAVAILABLE', { detail: `${cause instanceof Error ? cause.message : String(cause)}.` }, { cause, retryAfterS: 1 });
}
