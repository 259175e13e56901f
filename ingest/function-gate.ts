/**
 * The worker's way to the function. While the function is away or at its capacity, every caller waits here together,
 * and nothing is held against any image. But an image may be what breaks the function: one whose call broke is tried
 * again alone, so that it takes no other with it, and only after the function has said that it is ready; breaking it
 * so again and again is a failure of the image.
 */
import type { EmbedClient, EmbedInput } from '../common/embed-client.js';
import { toEisError, type EisError } from '../common/errors.js';
import type { Embedding } from '../common/wire.js';
import { backoffMs, wait, type Backoff } from '../common/backoff.js';
import { failureKind } from './failure-policy.js';
import { Permits } from './permits.js';

/** Calls that one image may break alone on its first delivery; on a later one, the first break counts. */
const BREAKS_MAX = 5;

export interface FunctionGateOptions {
  readonly client: Pick<EmbedClient, 'embed'>;
  /** Whether the function says that it is ready. Never throws. */
  readonly isReady: () => Promise<boolean>;
  /** Calls under way at once. */
  readonly callsMax: number;
  readonly backoff: Backoff;
  /** Aborted: no call is begun any more. */
  readonly stopping: AbortSignal;
  /** Aborted: calls under way are given up. */
  readonly abort: AbortSignal;
  /** Called when an image could not be read from where it lies, before it is tried again. */
  readonly onUnread: (error: EisError) => void;
  /** Called when the function goes away and when it is back. */
  readonly onChange: (isOpen: boolean, error?: EisError) => void;
}

export class FunctionGate {
  readonly #options: FunctionGateOptions;
  readonly #permits: Permits;
  #failures = 0;
  #reopening: Promise<void> | undefined;

  constructor(options: FunctionGateOptions) {
    this.#options = options;
    this.#permits = new Permits(options.callsMax);
  }

  /**
   * Embeds an image, for as long as it takes.
   *
   * @param load the image; called when its turn has come, so that bytes do not wait in memory
   * @param options.attempt of its delivery, from 1
   * @param options.signal aborted: the caller does not want it any more, unless its call is under way
   * @throws EisError what is the image's own fault; the signals' reason when they are aborted
   */
  async embed(load: () => Promise<EmbedInput>, { attempt, signal }: { readonly attempt: number; readonly signal: AbortSignal }): Promise<Embedding> {
    const breaksMax = attempt > 1 ? 0 : BREAKS_MAX;
    let isSuspect = attempt > 1;
    let breaks = 0;
    for (let unread = 0; ; ) {
      const permits = isSuspect ? this.#permits.total : 1;
      const answer = await this.#permits.with(permits, () => this.#call(load, signal));
      if ('embedding' in answer) return answer.embedding;
      const kind = failureKind(answer.error);
      if (answer.isUnread && kind === 'world') {
        this.#options.onUnread(answer.error);
        await wait(backoffMs(this.#options.backoff, ++unread, answer.error.retryAfterS), AbortSignal.any([this.#options.stopping, signal]));
        continue;
      }
      if (kind !== 'world' && kind !== 'function') throw answer.error;
      if (kind === 'function' && isSuspect && ++breaks > breaksMax) throw answer.error;
      isSuspect ||= kind === 'function';
    }
  }

  /**
   * One call, once the function is there; a failure of the world closes the gate before the next caller has its turn. But
   * not one of where the image lies: that may be of this image alone, and says nothing of the function.
   */
  async #call(load: () => Promise<EmbedInput>, signal: AbortSignal): Promise<{ embedding: Embedding } | { error: EisError; isUnread: boolean }> {
    const { client, stopping, abort } = this.#options;
    while (this.#reopening) await this.#reopening;
    stopping.throwIfAborted();
    signal.throwIfAborted();
    let isUnread = true;
    try {
      const input = await load();
      isUnread = false;
      const embedding = await client.embed(input, { signal: abort });
      this.#failures = 0;
      return { embedding };
    } catch (thrown) {
      abort.throwIfAborted();
      const error = toEisError(thrown);
      if (!isUnread && ['world', 'function'].includes(failureKind(error))) this.#close(error);
      return { error, isUnread };
    }
  }

  #close(error: EisError): void {
    if (this.#reopening) return;
    this.#options.onChange(false, error);
    this.#reopening = this.#untilReady(error).finally(() => {
      this.#reopening = undefined;
      this.#options.onChange(true);
    });
  }

  async #untilReady(error: EisError): Promise<void> {
    const { backoff, stopping, isReady } = this.#options;
    let { retryAfterS } = error;
    while (!stopping.aborted) {
      this.#failures++;
      await wait(backoffMs(backoff, this.#failures, retryAfterS), stopping).catch(() => undefined);
      if (stopping.aborted || (await isReady())) return;
      retryAfterS = undefined;
    }
  }
}
