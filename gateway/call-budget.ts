/**
 * Bounds what may be asked a second time to a share of what is asked: extra calls help against one slow or failing part,
 * and would bring down the rest when all of them are. A token bucket, filled by calls instead of by time.
 */
export class CallBudget {
  readonly #share: number;
  readonly #burst: number;
  #tokens: number;

  /**
   * @param share of the calls, 0 to 1
   * @param burst extra calls that may come one after the other
   */
  constructor({ share, burst }: { readonly share: number; readonly burst: number }) {
    this.#share = share;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** A call that was asked for. */
  earn(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + this.#share);
  }

  /** Whether an extra call may be made; then it is counted. */
  spend(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
