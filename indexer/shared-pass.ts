/**
 * Lets concurrent searches share a pass over memory: what arrives while a pass runs waits, and is answered together by
 * the next one. Both the pass and the queue before it are bounded.
 */
import { EisError } from '../common/errors.js';

export interface PassRequest {
  /** How many queries it has: its share of a pass's bound. */
  readonly queries: number;
}

/** A request in a pass, to be answered or refused by it. */
export interface Passenger<Request extends PassRequest, Answer> {
  readonly request: Request;
  resolve(answer: Answer): void;
  reject(reason: unknown): void;
}

export interface SharedPassOptions<Request extends PassRequest, Answer> {
  /** Queries of one pass, unless a single request has more. */
  readonly queriesPerPassMax: number;
  /** Queries that may wait; one more is refused. */
  readonly queriesWaitingMax: number;
  /** Runs one pass and settles each of its requests; those it leaves open, or all when it throws, are rejected for it. */
  readonly run: (batch: readonly Passenger<Request, Answer>[]) => Promise<void>;
}

export class SharedPass<Request extends PassRequest, Answer> {
  readonly #options: SharedPassOptions<Request, Answer>;
  readonly #waiting = new Set<Passenger<Request, Answer>>();
  #queriesWaiting = 0;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: SharedPassOptions<Request, Answer>) {
    this.#options = options;
  }

  /**
   * The answer of the pass that the request travels with.
   *
   * @param signal aborted while the request waits: it leaves the queue, rejected with the signal's reason
   * @throws EisError EIS_OVERLOADED, EIS_NOT_READY when closed
   */
  async add(request: Request, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted();
    if (this.#closed) throw new EisError('EIS_NOT_READY', { detail: 'This index is closed.' });
    if (this.#waiting.size > 0 && this.#queriesWaiting + request.queries > this.#options.queriesWaitingMax) {
      throw new EisError('EIS_OVERLOADED', { detail: `${this.#queriesWaiting} queries wait for this index; at most ${this.#options.queriesWaitingMax} may.` }, { retryAfterS: 1 });
    }
    let leave = (): void => undefined;
    const answer = new Promise<Answer>((resolve, reject) => {
      const passenger: Passenger<Request, Answer> = { request, resolve, reject };
      leave = () => this.#leave(passenger, signal?.reason);
      this.#waiting.add(passenger);
      this.#queriesWaiting += request.queries;
      this.#running ??= this.#runAll();
    });
    signal?.addEventListener('abort', leave, { once: true });
    return answer.finally(() => signal?.removeEventListener('abort', leave));
  }

  /** Takes no more; resolves when everything that was taken is answered. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  #leave(passenger: Passenger<Request, Answer>, reason: unknown): void {
    if (!this.#waiting.delete(passenger)) return;
    this.#queriesWaiting -= passenger.request.queries;
    passenger.reject(reason);
  }

  async #runAll(): Promise<void> {
    await Promise.resolve(); // what is added in the same turn travels together
    while (this.#waiting.size > 0) {
      const batch = this.#takeBatch();
      const rejectOpen = (reason: unknown): void => batch.forEach((passenger) => passenger.reject(reason));
      await this.#options.run(batch).then(() => rejectOpen(new Error('The pass left a request unanswered.')), rejectOpen);
    }
    this.#running = undefined;
  }

  #takeBatch(): Passenger<Request, Answer>[] {
    const batch: Passenger<Request, Answer>[] = [];
    let queries = 0;
    for (const passenger of this.#waiting) {
      queries += passenger.request.queries;
      if (batch.length > 0 && queries > this.#options.queriesPerPassMax) break;
      batch.push(passenger);
      this.#waiting.delete(passenger);
      this.#queriesWaiting -= passenger.request.queries;
    }
    return batch;
  }
}
