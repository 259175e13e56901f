/** Numbers that a seed repeats. */
import { createRandom, type Random } from '../../common/random.js';

export class SeededRandom {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = createRandom(seed);
  }

  /** From 0 up to, but not, 1. */
  next(): number {
    return this.#random.between(0, 1);
  }

  /** A whole number from `min` to `max`. */
  between(min: number, max: number): number {
    return this.#random.whole(min, max);
  }

  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.between(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
    }
    return shuffled;
  }
}
