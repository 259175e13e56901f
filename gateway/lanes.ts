/**
 * Which lane of a model answers its searches. While a model is embedded again by other weights it has two: each a function
 * and a set of index pods that hold one version. A search goes to one of them as a whole, the one whose version is live by
 * the pointer, which the index pods tell: so no answer mixes versions, whenever the pointer moves.
 */
import { EisError, toEisError } from '../common/errors.js';
import type { SearchAnswer } from '../common/wire.js';

/** What is known of a lane's index: every shard holds `version` and says that `live` is searched. */
export interface LaneIndex {
  readonly version: string;
  readonly live: string;
}

/** What a lane is asked for, in order to choose. */
export interface LaneProbe {
  /** Undefined unless every shard answered, all alike. Never rejects. */
  index(): Promise<LaneIndex | undefined>;
  /** The version that its function embeds with; undefined while it does not say. Never rejects. */
  functionVersion(): Promise<string | undefined>;
}

export interface LanesOptions<Lane extends LaneProbe> {
  readonly main: Lane;
  /** Undefined: the model has one lane, and nothing is ever asked. */
  readonly next: Lane | undefined;
  /** How long from now neither is searched while it is not known which of them has the version that is searched. */
  readonly patienceMs: number;
  readonly onMoved: (version: string) => void;
  /** Told when that time is over: the main lane is searched then, whichever version it holds. */
  readonly onGivenUp: () => void;
}

export class Lanes<Lane extends LaneProbe> {
  readonly #options: LanesOptions<Lane>;
  readonly #until: number;
  #current: Lane;
  #isDecided: boolean;
  #choosing: Promise<void> | undefined;

  constructor(options: LanesOptions<Lane>) {
    this.#options = options;
    this.#until = performance.now() + options.patienceMs;
    this.#current = options.main;
    this.#isDecided = options.next === undefined;
  }

  /** Whether it is known where searches go. Once it is, it stays so. */
  get isDecided(): boolean {
    return this.#isDecided;
  }

  /** The one that searches go to. */
  get current(): Lane {
    return this.#current;
  }

  /**
   * Asks where the live version is, and sends searches there from now on. The main lane comes first; the other is asked only
   * where that does not have it. A lane is left only for one that is whole. Calls share one that is under way.
   */
  choose(): Promise<void> {
    this.#choosing ??= this.#choose().finally(() => {
      this.#choosing = undefined;
    });
    return this.#choosing;
  }

  /**
   * Does a search in one lane. Where its index was of another version than its function, as it is for a moment when lanes
   * change, it is done once more in the lane that has the live version by then.
   *
   * @throws EisError EIS_NOT_READY while it is not known which lane that is; what the search throws
   */
  async search(work: (lane: Lane) => Promise<SearchAnswer>): Promise<SearchAnswer> {
    if (!this.#isDecided) throw new EisError('EIS_NOT_READY', { detail: 'This gateway has just started, and the index pods that hold the searched version of the model do not answer yet. Try again in a moment.' }, { retryAfterS: 1 });
    const lane = this.#current;
    try {
      const answer = await work(lane);
      if (!answer.shards.failed.some(({ code }) => code === 'EIS_MODEL_VERSION') || !(await this.#hasMovedFrom(lane))) return answer;
    } catch (thrown) {
      if (toEisError(thrown).code !== 'EIS_MODEL_VERSION' || !(await this.#hasMovedFrom(lane))) throw thrown;
    }
    return work(this.#current);
  }

  async #hasMovedFrom(lane: Lane): Promise<boolean> {
    if (this.#current === lane) await this.choose();
    return this.#current !== lane;
  }

  async #choose(): Promise<void> {
    const { main, next } = this.#options;
    for (const lane of next ? [main, next] : []) {
      const index = await lane.index();
      if (!index || index.version !== index.live) continue;
      if (lane !== this.#current) {
        if ((await lane.functionVersion()) !== index.live) continue;
        this.#current = lane;
        this.#options.onMoved(index.live);
      }
      this.#isDecided = true;
      return;
    }
    if (this.#isDecided || performance.now() < this.#until) return;
    this.#isDecided = true;
    this.#options.onGivenUp();
  }
}
