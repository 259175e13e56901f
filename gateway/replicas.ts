/**
 * The replicas of one index shard: any of them can answer for it. Requests go round robin over those that answered
 * last; one that fails is passed over for a while and then tried again.
 */
import { isEisError, type ErrorCode } from '../common/errors.js';

export interface ReplicasOptions<Pod> {
  /** The shard, as its pods name it: `i/n`. */
  readonly name: string;
  readonly pods: readonly Pod[];
  /** How long a replica that failed is tried only after the others. */
  readonly restMs?: number;
  readonly now?: () => number;
}

const REST_MS = 1_000;

/** Errors that another replica of the shard may not have. All others are the question's own. */
const ANOTHER_MAY_ANSWER: ReadonlySet<ErrorCode> = new Set(['EIS_SHARD_UNAVAILABLE', 'EIS_SHARD_RESPONSE', 'EIS_NOT_READY', 'EIS_OVERLOADED', 'EIS_STORE_UNAVAILABLE', 'EIS_MODEL_VERSION']);

/** Errors that say something of the replica's health (one that holds another model version is well). */
const UNHEALTHY: ReadonlySet<ErrorCode> = new Set(['EIS_SHARD_UNAVAILABLE', 'EIS_SHARD_RESPONSE', 'EIS_SHARD_TIMEOUT', 'EIS_NOT_READY']);

interface Member<Pod> {
  readonly pod: Pod;
  restsUntil: number;
}

export class Replicas<Pod> {
  readonly name: string;
  readonly #members: readonly Member<Pod>[];
  readonly #restMs: number;
  readonly #now: () => number;
  #turn = 0;

  constructor({ name, pods, restMs = REST_MS, now = Date.now }: ReplicasOptions<Pod>) {
    this.name = name;
    this.#members = pods.map((pod) => ({ pod, restsUntil: 0 }));
    this.#restMs = restMs;
    this.#now = now;
  }

  /** All of them, in the order of the configuration. */
  get pods(): readonly Pod[] {
    return this.#members.map(({ pod }) => pod);
  }

  /**
   * Asks one replica, and the next ones in turn as long as the failure is the replica's own and nobody has given up;
   * each replica at most once. Only for questions that may be asked twice.
   *
   * @throws what the last replica failed with
   */
  async ask<Answer>(question: (pod: Pod) => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    let failure: unknown;
    for (const member of this.#inTurn()) {
      try {
        const answer = await question(member.pod);
        member.restsUntil = 0;
        return answer;
      } catch (thrown) {
        failure = thrown;
        const code = isEisError(thrown) ? thrown.code : undefined;
        if (code && UNHEALTHY.has(code)) member.restsUntil = this.#now() + this.#restMs;
        if (signal.aborted || !code || !ANOTHER_MAY_ANSWER.has(code)) break;
      }
    }
    throw failure;
  }

  /** Every replica once: the healthy ones from the next in turn on, then those that rest. */
  #inTurn(): Member<Pod>[] {
    const now = this.#now();
    const healthy = this.#members.filter(({ restsUntil }) => restsUntil <= now);
    const resting = this.#members.filter(({ restsUntil }) => restsUntil > now);
    const first = healthy.length > 0 ? this.#turn++ % healthy.length : 0;
    return [...healthy.slice(first), ...healthy.slice(0, first), ...resting];
  }
}
