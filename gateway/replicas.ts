/**
 * The replicas of one index shard: any of them can answer for it. The cheaper of two drawn at random is asked (power of
 * two choices: Mitzenmacher, 2001; cost: `replica.ts`). One that fails is ejected, asked only when no other is left, and
 * taken back when a probe finds it well.
 */
import { EisError } from '../common/errors.js';
import { CallBudget } from './call-budget.js';
import { Replica } from './replica.js';
import { ReplicaRace, type Question } from './replica-race.js';

/** What happens to the replicas of a shard, for whoever counts it. */
export interface ReplicasObserver {
  hedged(): void;
  /** The second of two that were asked side by side answered first. */
  hedgeWon(): void;
  /** Another was asked because one failed. */
  retried(): void;
  ejected(address: string, restMs: number): void;
  recovered(address: string): void;
}

export interface ReplicasOptions<Pod> {
  /** The shard, as its pods name it: `i/n`. */
  readonly name: string;
  readonly connect: (address: string) => Pod;
  /** Lets go of a pod that is no replica any more. */
  readonly disconnect: (pod: Pod) => void;
  /** Resolves when a pod can answer. */
  readonly probe: (pod: Pod) => Promise<unknown>;
  readonly observer?: ReplicasObserver;
  /** ms of a clock that is never set. */
  readonly now?: () => number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/** Before the first probe; twice as long before each further one. */
const REST_MS = 500;
const REST_MS_MAX = 10_000;

/** Timers know whole milliseconds: an answer that takes as long as most is not to be overtaken by one. */
const HEDGE_SLACK_MS = 1;
const HEDGE_BUDGET = { share: 0.05, burst: 5 };

export class Replicas<Pod> {
  readonly name: string;
  readonly #options: Required<Omit<ReplicasOptions<Pod>, 'observer'>> & Pick<ReplicasOptions<Pod>, 'observer'>;
  readonly #hedges = new CallBudget(HEDGE_BUDGET);
  /** By address, in the order in which they were named. */
  #members = new Map<string, Replica<Pod>>();
  readonly #ejected = new Map<Replica<Pod>, NodeJS.Timeout>();

  constructor(options: ReplicasOptions<Pod>) {
    this.name = options.name;
    this.#options = { now: () => performance.now(), random: Math.random, ...options };
  }

  /** All of them, in the order in which they were named. */
  get pods(): readonly Pod[] {
    return [...this.#members.values()].map(({ pod }) => pod);
  }

  get addresses(): readonly string[] {
    return [...this.#members.keys()];
  }

  get ejectedCount(): number {
    return this.#ejected.size;
  }

  /** Names the replicas anew. What is known of those that stay, stays; calls of those that go are not broken off. */
  set(addresses: readonly string[]): void {
    const { connect, disconnect, now } = this.#options;
    const before = this.#members;
    this.#members = new Map([...new Set(addresses)].map((address) => [address, before.get(address) ?? new Replica({ address, pod: connect(address), now })]));
    for (const [address, replica] of before) {
      if (this.#members.has(address)) continue;
      this.#takeBack(replica);
      disconnect(replica.pod);
    }
  }

  /**
   * Asks one replica, and another as long as the failure is the replica's own and nobody has given up; each at most once.
   * One that takes longer than the fastest of them mostly does is joined by a second one. Only for questions that may be
   * asked twice.
   *
   * @throws EisError what the last replica failed with, EIS_SHARD_UNAVAILABLE where there is none; the signal's reason
   */
  async ask<Answer>(question: Question<Pod, Answer>, signal: AbortSignal): Promise<Answer> {
    const first = this.#choose(new Set());
    if (!first) throw new EisError('EIS_SHARD_UNAVAILABLE', { shard: this.name }, { cause: new Error('It has no address: its name resolves to none.'), retryAfterS: 1 });
    this.#hedges.earn();
    const race = new ReplicaRace<Pod, Answer>({
      shard: this.name,
      question,
      signal,
      next: (asked) => this.#retry(asked),
      hedgeAfterMs: this.#members.size > 1 ? this.#hedgeAfterMs() : undefined,
      hedge: (asked) => this.#hedge(asked),
      onFailed: (replica) => this.#eject(replica),
      onAnswered: (replica, isHedge) => {
        this.#takeBack(replica);
        if (isHedge) this.#options.observer?.hedgeWon();
      },
    });
    return race.run(first);
  }

  /** Stops probing and lets go of all. */
  close(): void {
    this.set([]);
  }

  /** The best of those that were not asked: one that is well, else any. */
  #choose(asked: ReadonlySet<Replica<Pod>>): Replica<Pod> | undefined {
    const open = [...this.#members.values()].filter((replica) => !asked.has(replica));
    const well = open.filter((replica) => !this.#ejected.has(replica));
    return this.#cheapest(this.#draw(well.length > 0 ? well : open));
  }

  /** Two of them at random, in random order. */
  #draw(replicas: readonly Replica<Pod>[]): readonly Replica<Pod>[] {
    if (replicas.length < 2) return replicas;
    const { random } = this.#options;
    const first = Math.floor(random() * replicas.length);
    const second = (first + 1 + Math.floor(random() * (replicas.length - 1))) % replicas.length;
    return [replicas[first] as Replica<Pod>, replicas[second] as Replica<Pod>];
  }

  #cheapest([first, second]: readonly Replica<Pod>[]): Replica<Pod> | undefined {
    if (!first || !second) return first;
    const typicalMs = this.#fastest(({ averageMs }) => averageMs);
    return second.cost(typicalMs) < first.cost(typicalMs) ? second : first;
  }

  #fastest(of: (replica: Replica<Pod>) => number | undefined): number | undefined {
    const known = [...this.#members.values()].filter((replica) => !this.#ejected.has(replica)).flatMap((replica) => of(replica) ?? []);
    return known.length > 0 ? Math.min(...known) : undefined;
  }

  #hedgeAfterMs(): number | undefined {
    const p95Ms = this.#fastest((replica) => replica.p95Ms);
    return p95Ms === undefined ? undefined : Math.ceil(p95Ms) + HEDGE_SLACK_MS;
  }

  #hedge(asked: ReadonlySet<Replica<Pod>>): Replica<Pod> | undefined {
    const second = this.#choose(asked);
    if (!second || this.#ejected.has(second) || !this.#hedges.spend()) return undefined;
    this.#options.observer?.hedged();
    return second;
  }

  #retry(asked: ReadonlySet<Replica<Pod>>): Replica<Pod> | undefined {
    const next = this.#choose(asked);
    if (next) this.#options.observer?.retried();
    return next;
  }

  #eject(replica: Replica<Pod>): void {
    if (this.#members.get(replica.address) !== replica || this.#ejected.has(replica)) return;
    const restMs = Math.min(REST_MS_MAX, REST_MS * 2 ** Math.min(replica.failures - 1, 10));
    this.#ejected.set(replica, setTimeout(() => void this.#probe(replica), restMs).unref());
    this.#options.observer?.ejected(replica.address, restMs);
  }

  async #probe(replica: Replica<Pod>): Promise<void> {
    const call = replica.begin();
    try {
      await this.#options.probe(replica.pod);
      call.dropped();
      replica.recover();
      this.#takeBack(replica);
    } catch {
      call.failed();
      if (this.#ejected.delete(replica)) this.#eject(replica);
    }
  }

  #takeBack(replica: Replica<Pod>): void {
    const timer = this.#ejected.get(replica);
    if (!timer) return;
    clearTimeout(timer);
    this.#ejected.delete(replica);
    this.#options.observer?.recovered(replica.address);
  }
}
