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

/**
 * How long a gateway that has just started waits for another lane where the main one's index has the version that is searched, and its
 * function does not say so: it is being replaced, and the second lane is there; or it is not here yet, or the model was changed without a second lane.
 */
const FUNCTION_PATIENCE_MS = 5_000;

export interface LanesOptions<Lane extends LaneProbe> {
  readonly main: Lane;
  /** Undefined: the model has one lane, and nothing is ever asked. */
  readonly next: Lane | undefined;
  /** How long from now neither is searched while the main lane does not have the version that is searched, nor does the other answer. */
  readonly patienceMs: number;
  readonly onMoved: (version: string) => void;
  /** Told when it has waited long enough: the main lane is searched then, whichever version it holds. */
  readonly onGivenUp: () => void;
}

export class Lanes<Lane extends LaneProbe> {
  readonly #options: LanesOptions<Lane>;
  readonly #began = performance.now();
  #current: Lane;
  /** Whether it is known which lane has the version that is searched, function and all: a gateway begins with one that nobody has chosen. */
  #isDecided: boolean;
  #choosing: Promise<Lane> | undefined;
  #choosingOther: Promise<Lane> | undefined;

  constructor(options: LanesOptions<Lane>) {
    this.#options = options;
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
  async choose(): Promise<void> {
    this.#choosing ??= this.#choose().finally(() => {
      this.#choosing = undefined;
    });
    await this.#choosing;
  }

  /**
   * Does a search in one lane. Where its index was of another version than its function, as it is for a moment when lanes
   * change, and for as long as a lane's function is being replaced, it is done once more in the other, if that is whole.
   *
   * @throws EisError EIS_NOT_READY while it is not known which lane that is; what the search throws
   */
  async search(work: (lane: Lane) => Promise<SearchAnswer>): Promise<SearchAnswer> {
    if (!this.#isDecided) throw new EisError('EIS_NOT_READY', { detail: 'This gateway has just started, and the index pods that hold the searched version of the model do not answer yet. Try again in a moment.' }, { retryAfterS: 1 });
    const lane = this.#current;
    let other = lane;
    try {
      const answer = await work(lane);
      if (answer.shards.failed.some(({ code }) => code === 'EIS_MODEL_VERSION')) other = await this.#insteadOf(lane);
      if (other === lane) return answer;
    } catch (thrown) {
      if (toEisError(thrown).code === 'EIS_MODEL_VERSION') other = await this.#insteadOf(lane);
      if (other === lane) throw thrown;
    }
    return work(other);
  }

  /** The lane for a search that `lane` refused; that one, where there is no better. */
  async #insteadOf(lane: Lane): Promise<Lane> {
    if (this.#current !== lane) return this.#current;
    this.#choosingOther ??= this.#choose(lane).finally(() => {
      this.#choosingOther = undefined;
    });
    return this.#choosingOther;
  }

  /**
   * Sends searches to the first lane that is whole.
   *
   * @param refused what it was is not trusted any more, and it is asked last
   * @returns where they go now
   */
  async #choose(refused?: Lane): Promise<Lane> {
    const { main, next, patienceMs } = this.#options;
    if (!next) return main;
    let waitsMs = patienceMs;
    for (const lane of refused === main ? [next, main] : [main, next]) {
      const index = await lane.index();
      if (!index || index.version !== index.live) continue;
      if (lane === main) waitsMs = Math.min(patienceMs, FUNCTION_PATIENCE_MS);
      const isNew = lane === main && index.live === ''; // nothing is stored yet, in any version
      const isKnown = isNew || (this.#isDecided && lane === this.#current && lane !== refused);
      if (!isKnown && (await lane.functionVersion()) !== index.live) continue;
      this.#isDecided = true;
      if (lane !== this.#current) {
        this.#current = lane;
        this.#options.onMoved(index.live);
      }
      return lane;
    }
    if (!this.#isDecided && performance.now() >= this.#began + waitsMs) {
      this.#isDecided = true;
      this.#options.onGivenUp();
    }
    return this.#current;
  }
}
