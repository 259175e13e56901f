/** What becomes of rejected messages: behind the others again, or to the dead letters (the policy: `amqp-topology.ts`). */
import type { Message } from 'amqplib';
import { deadHeaders, failuresOf, retryHeaders, type Outgoing } from './amqp-message.js';
import type { AmqpPublisher } from './amqp-publisher.js';
import type { TopologyNames } from './amqp-topology.js';
import { queueUnavailable, type FailureReason } from './queue.js';

/** Messages whose failures are remembered here because the broker could not take them. */
const REMEMBERED_MAX = 10_000;

export interface AmqpRejectionsOptions {
  readonly publisher: AmqpPublisher;
  readonly names: TopologyNames;
  readonly deliveryMax: number;
}

export interface Rejection {
  readonly raw: Message;
  readonly model: string;
  readonly reason: FailureReason;
}

export class AmqpRejections {
  readonly #options: AmqpRejectionsOptions;
  /** By message id. */
  readonly #remembered = new Map<string, number>();

  constructor(options: AmqpRejectionsOptions) {
    this.#options = options;
  }

  /** How often a message was rejected before this delivery. */
  failuresOf(raw: Message): number {
    return this.#remembered.get(idOf(raw)) ?? failuresOf(raw);
  }

  /** Forgets a message that is done with. */
  forget(raw: Message): void {
    this.#remembered.delete(idOf(raw));
  }

  /**
   * Publishes a message anew, behind the others with one failure more or, at the limit, as a dead letter. The caller
   * acknowledges the old copy. A queue that is full refuses it: then the caller gives the old copy back, and the failure
   * is remembered here, so that messages which fail cannot hold up a full queue for ever.
   *
   * @throws EisError EIS_QUEUE_UNAVAILABLE when the broker did not confirm it; nothing is counted then
   */
  async reject(rejection: Rejection): Promise<'again' | 'dead' | 'refused'> {
    const { deliveryMax, names } = this.#options;
    const { raw, model } = rejection;
    const failures = this.failuresOf(raw) + 1;
    if (failures >= deliveryMax) {
      await this.bury(rejection);
      return 'dead';
    }
    const isTaken = await this.#publish({ exchange: '', routingKey: names.workQueue(model), content: raw.content, headers: retryHeaders(failures) });
    if (isTaken) this.forget(raw);
    else this.#remember(raw, failures);
    return isTaken ? 'again' : 'refused';
  }

  /** Publishes a message as a dead letter, at whatever attempt; otherwise as `reject`. */
  async bury({ raw, model, reason }: Rejection): Promise<void> {
    const { names } = this.#options;
    const isTaken = await this.#publish({ exchange: names.deadExchange, routingKey: model, content: raw.content, headers: deadHeaders(reason) });
    if (!isTaken) throw queueUnavailable(new Error(`The queue ${names.deadQueue(model)} refused a dead letter`));
    this.forget(raw);
  }

  async #publish(outgoing: Outgoing): Promise<boolean> {
    const { publisher } = this.#options;
    const [fate] = await publisher.send([outgoing]);
    if (fate === 'confirmed' || fate === 'refused') return fate === 'confirmed';
    throw queueUnavailable(fate === 'unroutable' ? new Error(`No queue takes ${outgoing.routingKey}`) : publisher.difficulty);
  }

  #remember(raw: Message, failures: number): void {
    if (idOf(raw) === '') return;
    const [eldest] = this.#remembered.keys();
    if (this.#remembered.size >= REMEMBERED_MAX && eldest !== undefined) this.#remembered.delete(eldest);
    this.#remembered.set(idOf(raw), failures);
  }
}

/** '' for a message that something else published without an id. */
function idOf({ properties }: Message): string {
  return String(properties.messageId ?? '');
}
