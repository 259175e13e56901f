/** Vectors and ids for the tests of indexes, and the reference that exact ones equal. */
import { createHash } from 'node:crypto';
import { compareHits, normalise } from '../../common/vector.js';
import type { Among, Hit, VectorEntry } from '../../indexer/vector-index.js';

export const idOf = (text: string | number): string => createHash('sha256').update(String(text)).digest('hex');

/** A generator of numbers in [0, 1) by a seed: mulberry32. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function randomUnit(dim: number, next: () => number): Float32Array {
  return normalise(Array.from({ length: dim }, () => next() - 0.5));
}

export function randomEntries(count: number, dim: number, seed = 1): VectorEntry[] {
  const next = random(seed);
  return Array.from({ length: count }, (_, i) => ({ id: idOf(`${seed}/${i}`), vector: randomUnit(dim, next) }));
}

/** Unit vectors around as many centres, at cosines of about 0.8 to theirs. */
export function clusteredEntries(count: number, dim: number, { seed, centres }: { readonly seed: number; readonly centres: number }): VectorEntry[] {
  const next = random(seed);
  const middles = Array.from({ length: centres }, () => randomUnit(dim, next));
  return Array.from({ length: count }, (_, i) => {
    const middle = middles[Math.floor(next() * centres)] as Float32Array;
    const aside = randomUnit(dim, next);
    return { id: idOf(`${seed}/${i}`), vector: normalise(middle.map((x, j) => x + 0.75 * (aside[j] as number))) };
  });
}

/** The top of a plain float64 scan. */
export function reference(entries: Iterable<VectorEntry>, query: Float32Array, top: number): Hit[] {
  const hits = Array.from(entries, ({ id, vector }) => {
    let score = 0;
    for (const [i, x] of vector.entries()) score += x * (query[i] as number);
    return { id, score };
  });
  return hits.sort(compareHits).slice(0, top);
}

/** What a search is among, of some ids; two in a piece. */
export function amongIds(ids: Iterable<string>): Among {
  const held = new Set(ids);
  return {
    has: (id) => held.has(id),
    *pieces() {
      const all = [...held];
      for (let i = 0; i < all.length; i += 2) yield Buffer.from(all.slice(i, i + 2).join(''), 'hex');
    },
  };
}
