/** Selecting the best k: a bounded heap for the scan, a merge of ranked lists for what the scans found. */

/** Keys with their scores, best first. */
export interface Ranked {
  readonly scores: Float64Array;
  readonly keys: Uint32Array;
}

/**
 * Keeps the best `k` of what it is offered, in a binary heap with the worst at its root (so that most offers cost one
 * comparison). A higher score is better; of equal scores, the key that `precedes` the other.
 */
export class TopK {
  readonly #scores: Float64Array;
  readonly #keys: Uint32Array;
  readonly #precedes: (a: number, b: number) => boolean;
  #size = 0;

  constructor(k: number, precedes: (a: number, b: number) => boolean) {
    this.#scores = new Float64Array(k);
    this.#keys = new Uint32Array(k);
    this.#precedes = precedes;
  }

  /** No lower score is kept: -Infinity while there is room. */
  get worst(): number {
    return this.#size < this.#keys.length ? -Infinity : (this.#scores[0] ?? Infinity);
  }

  offer(score: number, key: number): void {
    if (this.#size < this.#keys.length) {
      this.#scores[this.#size] = score;
      this.#keys[this.#size] = key;
      this.#rise(this.#size++);
    } else if (this.#size > 0 && score >= (this.#scores[0] as number) && (score > (this.#scores[0] as number) || this.#precedes(key, this.#keys[0] as number))) {
      this.#scores[0] = score;
      this.#keys[0] = key;
      this.#sink(this.#size);
    }
  }

  /** What it kept, best first. It is empty then. */
  drain(): Ranked {
    const size = this.#size;
    for (let end = size - 1; end > 0; end--) {
      this.#swap(0, end);
      this.#sink(end);
    }
    this.#size = 0;
    return { scores: this.#scores.slice(0, size), keys: this.#keys.slice(0, size) };
  }

  #isWorse(i: number, j: number): boolean {
    const a = this.#scores[i] as number;
    const b = this.#scores[j] as number;
    return a < b || (a === b && this.#precedes(this.#keys[j] as number, this.#keys[i] as number));
  }

  #swap(i: number, j: number): void {
    const score = this.#scores[i] as number;
    const key = this.#keys[i] as number;
    this.#scores[i] = this.#scores[j] as number;
    this.#keys[i] = this.#keys[j] as number;
    this.#scores[j] = score;
    this.#keys[j] = key;
  }

  #rise(from: number): void {
    for (let i = from; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#isWorse(i, parent)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Restores the heap of the first `end` entries after its root was replaced. */
  #sink(end: number): void {
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= end) return;
      const child = left + 1 < end && this.#isWorse(left + 1, left) ? left + 1 : left;
      if (!this.#isWorse(child, i)) return;
      this.#swap(i, child);
      i = child;
    }
  }
}

/** The first `k` of several lists, each ranked by `compare` already. Meant for few lists: it looks at every head for every entry. */
export function mergeRanked<T>(lists: readonly (readonly T[])[], k: number, compare: (a: T, b: T) => number): T[] {
  const heads = lists.map(() => 0);
  const merged: T[] = [];
  while (merged.length < k) {
    let best = -1;
    for (let i = 0; i < lists.length; i++) {
      const candidate = lists[i]?.[heads[i] as number];
      if (candidate === undefined) continue;
      if (best === -1 || compare(candidate, lists[best]?.[heads[best] as number] as T) < 0) best = i;
    }
    if (best === -1) break;
    merged.push(lists[best]?.[heads[best] as number] as T);
    heads[best] = (heads[best] as number) + 1;
  }
  return merged;
}
