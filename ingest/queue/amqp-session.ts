/**
 * A consumer's time on one channel: what it holds, and what arrived that it may not deliver yet. A broker gives a
 * consumer that begins again on its channel a whole prefetch anew, whatever it still holds, and goes on sending until
 * it has heard of a pause: such messages are kept aside, and given back in their order when the pause begins.
 */
import type { Channel, ConsumeMessage } from 'amqplib';

export interface SessionOptions {
  readonly channel: Channel;
  readonly queue: string;
  readonly prefetch: number;
  readonly onMessage: (message: ConsumeMessage, session: AmqpSession) => void;
  /** Called when the channel is gone, and when the broker has ended the consumption. */
  readonly onChange: () => void;
}

export class AmqpSession {
  readonly #options: SessionOptions;
  readonly #inHand = new Set<ConsumeMessage>();
  #aside: ConsumeMessage[] = [];
  #tag: string | undefined;
  #isOpen = true;
  #isPaused = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    options.channel.once('close', () => {
      this.#isOpen = false;
      options.onChange();
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Messages that the broker takes for delivered. */
  get held(): readonly ConsumeMessage[] {
    return this.#isOpen ? [...this.#inHand, ...this.#aside] : [];
  }

  async subscribe(): Promise<void> {
    const { channel, queue, prefetch } = this.#options;
    if (this.#tag === undefined) {
      await channel.prefetch(prefetch);
      const { consumerTag } = await channel.consume(queue, (message) => this.#receive(message));
      this.#tag = consumerTag;
    }
    this.#deliver();
  }

  async unsubscribe(): Promise<void> {
    const { channel } = this.#options;
    if (this.#tag !== undefined) await channel.cancel(this.#tag);
    this.#tag = undefined;
    for (const message of this.#aside.splice(0)) channel.nack(message, false, true);
  }

  /** From now on nothing is delivered, whatever arrives; `subscribe` and `unsubscribe` follow. */
  set isPaused(isPaused: boolean) {
    this.#isPaused = isPaused;
  }

  /** Gives back everything, in its order. */
  giveBack(): void {
    for (const message of this.held) this.#options.channel.nack(message, false, true);
    this.#inHand.clear();
    this.#aside = [];
  }

  /** Ends a message's stay in hand by `move`; does nothing when it is in hand no more, or the channel is gone. */
  settle(message: ConsumeMessage, move: (channel: Channel) => void): void {
    if (!this.#inHand.delete(message) || !this.#isOpen) return;
    try {
      move(this.#options.channel);
    } catch {
      return; // The channel is closing: the broker takes back what it held.
    }
    this.#deliver();
  }

  holds(message: ConsumeMessage): boolean {
    return this.#isOpen && this.#inHand.has(message);
  }

  #receive(message: ConsumeMessage | null): void {
    if (message) {
      this.#aside.push(message);
      this.#deliver();
    } else {
      this.#tag = undefined;
      this.#options.onChange();
    }
  }

  #deliver(): void {
    while (this.#isOpen && !this.#isPaused && this.#inHand.size < this.#options.prefetch) {
      const message = this.#aside.shift();
      if (!message) return;
      this.#inHand.add(message);
      this.#options.onMessage(message, this);
    }
  }
}
