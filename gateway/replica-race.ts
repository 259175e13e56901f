/**
 * One question to the replicas of a shard, until one of them answers: the next is asked when one fails, and a second one
 * beside the first when that takes longer than it should (a hedged request: Dean and Barroso, "The Tail at Scale", 2013).
 * The first answer counts; whoever still works on another is told to stop.
 */
import { isEisError, type ErrorCode } from '../common/errors.js';
import { withSpan, type SpanStart } from '../common/tracing.js';
import type { Replica, ReplicaCall } from './replica.js';

/** Errors that another replica of the shard may not have. All others are the question's own. */
const ANOTHER_MAY_ANSWER: ReadonlySet<ErrorCode> = new Set(['EIS_SHARD_UNAVAILABLE', 'EIS_SHARD_RESPONSE', 'EIS_NOT_READY', 'EIS_OVERLOADED', 'EIS_STORE_UNAVAILABLE', 'EIS_MODEL_VERSION']);

/** Errors that say something of the replica's health (one that holds another model version is well). */
const UNHEALTHY: ReadonlySet<ErrorCode> = new Set(['EIS_SHARD_UNAVAILABLE', 'EIS_SHARD_RESPONSE', 'EIS_SHARD_TIMEOUT', 'EIS_NOT_READY']);

/** Why a call is given up. */
const NOT_WANTED = new DOMException('Another replica answered, or nobody waits for the answer any more.', 'AbortError');

/** Asks one replica; to give up when the signal is aborted. */
export type Question<Pod, Answer> = (pod: Pod, signal: AbortSignal) => Promise<Answer>;

export interface ReplicaRaceOptions<Pod, Answer> {
  /** The name of the shard. */
  readonly shard: string;
  readonly question: Question<Pod, Answer>;
  /** Ends the race: nobody waits any more, or the time is over. */
  readonly signal: AbortSignal;
  /** The best replica that was not asked yet; undefined: none is left. */
  readonly next: (asked: ReadonlySet<Replica<Pod>>) => Replica<Pod> | undefined;
  /** A second replica is asked beside the first after so long; undefined: never. */
  readonly hedgeAfterMs: number | undefined;
  /** Whether a second one may be asked now, and which. */
  readonly hedge: (asked: ReadonlySet<Replica<Pod>>) => Replica<Pod> | undefined;
  /** Told of a replica that failed for a reason of its own. */
  readonly onFailed: (replica: Replica<Pod>) => void;
  /** Told who answered; `isHedge`: the second of two that were asked side by side. */
  readonly onAnswered: (replica: Replica<Pod>, isHedge: boolean) => void;
}

interface Runner<Pod> {
  readonly replica: Replica<Pod>;
  readonly call: ReplicaCall;
  readonly controller: AbortController;
  readonly isHedge: boolean;
}

export class ReplicaRace<Pod, Answer> {
  readonly #options: ReplicaRaceOptions<Pod, Answer>;
  readonly #asked = new Set<Replica<Pod>>();
  readonly #running = new Set<Runner<Pod>>();
  #timer: NodeJS.Timeout | undefined;
  #resolve!: (answer: Answer) => void;
  #reject!: (reason: unknown) => void;
  #isOver = false;

  constructor(options: ReplicaRaceOptions<Pod, Answer>) {
    this.#options = options;
  }

  /**
   * To be called once.
   *
   * @param first who is asked first
   * @throws what the last replica failed with, or the first error that is the question's own; the signal's reason
   */
  run(first: Replica<Pod>): Promise<Answer> {
    const { signal, hedgeAfterMs } = this.#options;
    return new Promise<Answer>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (signal.aborted) return reject(signal.reason as Error);
      signal.addEventListener('abort', this.#stop, { once: true });
      if (hedgeAfterMs !== undefined) this.#timer = setTimeout(() => this.#hedge(), hedgeAfterMs);
      this.#ask(first, { isHedge: false });
    });
  }

  #ask(replica: Replica<Pod>, { isHedge }: { readonly isHedge: boolean }): void {
    const runner: Runner<Pod> = { replica, call: replica.begin(), controller: new AbortController(), isHedge };
    this.#asked.add(replica);
    this.#running.add(runner);
    withSpan(this.#describe(runner), () => this.#options.question(replica.pod, runner.controller.signal)).then(
      (answer) => this.#answered(runner, answer),
      (thrown: unknown) => this.#failed(runner, thrown),
    );
  }

  #describe({ replica, isHedge }: Runner<Pod>): SpanStart {
    return { name: 'ask replica', kind: 'client', attributes: { 'eis.shard': this.#options.shard, 'eis.attempt': this.#asked.size, 'eis.hedge': isHedge }, peer: replica.address };
  }

  #answered(runner: Runner<Pod>, answer: Answer): void {
    if (this.#isOver) return;
    this.#running.delete(runner);
    runner.call.answered();
    this.#options.onAnswered(runner.replica, runner.isHedge);
    this.#end();
    this.#resolve(answer);
  }

  #failed(runner: Runner<Pod>, thrown: unknown): void {
    if (this.#isOver) return;
    this.#running.delete(runner);
    const code = isEisError(thrown) ? thrown.code : undefined;
    if (code && UNHEALTHY.has(code)) this.#blame(runner);
    else runner.call.dropped();
    if (code && ANOTHER_MAY_ANSWER.has(code)) {
      const next = this.#options.next(this.#asked);
      if (next) return this.#ask(next, runner);
      if (this.#running.size > 0) return;
    }
    this.#end();
    this.#reject(thrown);
  }

  #hedge(): void {
    const replica = this.#options.hedge(this.#asked);
    if (replica) this.#ask(replica, { isHedge: true });
  }

  readonly #stop = (): void => {
    const reason: unknown = this.#options.signal.reason;
    const isLate = isEisError(reason) && reason.code === 'EIS_SHARD_TIMEOUT';
    this.#end((runner) => (isLate ? this.#blame(runner) : runner.call.dropped()));
    this.#reject(reason);
  };

  #blame({ call, replica }: Runner<Pod>): void {
    call.failed();
    this.#options.onFailed(replica);
  }

  /** @param settle says what came of those that still run; by default nothing that says anything of them */
  #end(settle: (runner: Runner<Pod>) => void = ({ call }) => call.dropped()): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener('abort', this.#stop);
    for (const runner of this.#running) {
      settle(runner);
      runner.controller.abort(NOT_WANTED);
    }
    this.#running.clear();
  }
}
