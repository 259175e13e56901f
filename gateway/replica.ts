/** What is known of one replica of an index shard: how fast it answers, what it has in hand, whether it is well. */
import { LatencyWindow } from './latency-window.js';

/** Half of what an average knows is of the last … ms. */
const HALF_LIFE_MS = 1_000;
/** What a replica takes that is not asked is forgotten in this time: then it is tried again. */
const FORGET_MS = 10_000;
const HEDGE_PERCENTILE = 0.95;
/** Stands for what nobody has measured yet. */
const UNKNOWN_MS = 1;

/** One call of a replica. Exactly one of its ends is told. */
export interface ReplicaCall {
  answered(): void;
  /** It failed, for a reason of the replica's own. */
  failed(): void;
  /** Nobody waits any more, or the failure says nothing of the replica. */
  dropped(): void;
}

export class Replica<Pod> {
  readonly address: string;
  readonly pod: Pod;
  readonly #now: () => number;
  readonly #latencies = new LatencyWindow(HEDGE_PERCENTILE);
  /** When each call in hand began, in that order. */
  readonly #calls = new Map<ReplicaCall, number>();
  #averageMs: number | undefined;
  #averagedAt = 0;
  #askedAt = 0;
  #failures = 0;

  /** @param now ms of a clock that is never set */
  constructor({ address, pod, now }: { readonly address: string; readonly pod: Pod; readonly now: () => number }) {
    this.address = address;
    this.pod = pod;
    this.#now = now;
  }

  /** Failures since it last answered. */
  get failures(): number {
    return this.#failures;
  }

  /** Undefined before its first answer. */
  get averageMs(): number | undefined {
    return this.#averageMs;
  }

  /** 19 of 20 of its latest answers took no longer; undefined while too few are known. */
  get p95Ms(): number | undefined {
    return this.#latencies.value;
  }

  /**
   * What asking it costs, by which replicas are compared: the time that it takes, times what it has in hand then. One
   * that does not answer takes as long as its oldest call waits already.
   *
   * @param typicalMs of its siblings: what it is taken for when it was not asked for long
   */
  cost(typicalMs = UNKNOWN_MS): number {
    const now = this.#now();
    const remembered = Math.max(0, 1 - (now - this.#askedAt) / FORGET_MS);
    const knownMs = typicalMs + ((this.#averageMs ?? typicalMs) - typicalMs) * remembered;
    const [oldest = now] = this.#calls.values();
    return Math.max(knownMs, now - oldest) * (this.#calls.size + 1);
  }

  begin(): ReplicaCall {
    const startedAt = this.#now();
    this.#askedAt = startedAt;
    const end = (): number => {
      this.#calls.delete(call);
      return this.#now() - startedAt;
    };
    const call: ReplicaCall = {
      answered: () => {
        const ms = end();
        this.#latencies.add(ms);
        this.#average(ms);
        this.#failures = 0;
      },
      failed: () => {
        end();
        this.#failures++;
      },
      dropped: () => {
        const ms = end();
        if (ms > (this.#averageMs ?? 0)) this.#average(ms); // it would have taken longer still
      },
    };
    this.#calls.set(call, startedAt);
    return call;
  }

  /** It was seen to be well again. */
  recover(): void {
    this.#failures = 0;
  }

  #average(ms: number): void {
    const now = this.#now();
    const weight = this.#averageMs === undefined ? 1 : 1 - 0.5 ** (Math.max(ms, now - this.#averagedAt) / HALF_LIFE_MS);
    this.#averageMs = (this.#averageMs ?? 0) * (1 - weight) + ms * weight;
    this.#averagedAt = now;
  }
}
