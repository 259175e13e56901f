/** Calls of the same thing that are under way at once are one call. */
import { unlessAborted } from '../common/deadline.js';

interface SharedCall<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

export class SharedCalls<T> {
  readonly #calls = new Map<string, SharedCall<T>>();

  has(key: string): boolean {
    return this.#calls.has(key);
  }

  /**
   * The result of the call under this key that is under way, else of `work`. The call is given up when nobody waits for it
   * any more, by the signal that `work` is given; the first one who leaves takes nothing from the others.
   *
   * @throws what the call failed with; the signal's reason
   */
  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const call = this.#calls.get(key) ?? this.#start(key, work);
    call.waiting++;
    try {
      return await unlessAborted(call.result, signal);
    } finally {
      if (--call.waiting === 0 && this.#calls.get(key) === call) this.#giveUp(key, call, signal.reason);
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): SharedCall<T> {
    const controller = new AbortController();
    const result = work(controller.signal);
    const call: SharedCall<T> = { result, controller, waiting: 0 };
    this.#calls.set(key, call);
    result.then(() => this.#forget(key, call), () => this.#forget(key, call));
    return call;
  }

  #giveUp(key: string, call: SharedCall<T>, reason: unknown): void {
    this.#forget(key, call);
    call.controller.abort(reason);
  }

  #forget(key: string, call: SharedCall<T>): void {
    if (this.#calls.get(key) === call) this.#calls.delete(key);
  }
}
