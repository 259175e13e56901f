/** Seeded random numbers, so that what is drawn by them is the same on every machine. */
export interface Random {
  /** A number of [from, to). */
  between(from: number, to: number): number;
  /** A whole number of [from, to]. */
  whole(from: number, to: number): number;
  pick<T>(values: readonly [T, ...T[]]): T;
}

/** Mulberry32 by Tommy Ettinger (public domain): 32 bits of state, good enough to place trees and to draw samples. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    between: (from, to) => from + next() * (to - from),
    whole: (from, to) => from + Math.floor(next() * (to - from + 1)),
    pick: (values) => values[Math.floor(next() * values.length)] as (typeof values)[number],
  };
}
