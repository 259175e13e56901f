/** The latest latencies of one replica, and a percentile of them. */

/** So many are remembered: of 100 requests a second, those of some 2.5 s. */
const SIZE = 256;
/** A percentile of fewer says nothing. */
const KNOWN_MIN = 20;
/** A percentile is computed again after so many new ones. */
const STALE_AFTER = 16;

export class LatencyWindow {
  readonly #percentile: number;
  readonly #values = new Float64Array(SIZE);
  #added = 0;
  #computedAt = 0;
  #computed: number | undefined;

  /** @param percentile 0 to 1 */
  constructor(percentile: number) {
    this.#percentile = percentile;
  }

  add(ms: number): void {
    this.#values[this.#added++ % SIZE] = ms;
  }

  /** In ms; undefined while too few are known. */
  get value(): number | undefined {
    if (this.#added < KNOWN_MIN) return undefined;
    if (this.#computed === undefined || this.#added - this.#computedAt >= STALE_AFTER) {
      const known = this.#values.slice(0, Math.min(this.#added, SIZE)).sort();
      this.#computed = known[Math.min(known.length - 1, Math.floor(known.length * this.#percentile))];
      this.#computedAt = this.#added;
    }
    return this.#computed;
  }
}
