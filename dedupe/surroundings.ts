/**
 * How near to an image those stand that are no copies of it. A cosine alone says little: two drawings of one kind may have
 * 0.98 where a photo and its cut-out have 0.6. So a pair is judged by its margin: by how much more alike it is than each of
 * the two is to its surroundings. (Cross-domain similarity local scaling, A. Conneau et al., "Word Translation without
 * Parallel Data", 2018, subtracts the mean of both surroundings; the larger of the two asks that each of the images agrees.)
 *
 * Where images are dense, such margins are small: among 2,000 drawings those of non-copies fall off seven times as fast as among
 * photos. Divided by the square root of what is left above the surroundings, they fall off alike within a factor of two,
 * so that one calibration holds for both.
 */
import { hammingDistance, LOOKS_ALIKE_BITS } from './hash-index.js';

/** The looks, from the nearest on, that are no copies any more, but near: which ranks count. */
const [FIRST, END] = [8, 16];

/** What is taken to be left above surroundings that are as good as the image itself. */
const LEFT_MIN = 1e-6;

/** What no margin is above: that of two equal pictures which have nothing in common with all others. */
export const MARGIN_MAX = 1;

/** How many neighbours it takes at least to know the surroundings. */
export const NEIGHBOURS_MIN = END;

export interface Neighbour {
  readonly id: string;
  /** Cosine similarity. */
  readonly score: number;
}

/**
 * The mean similarity of an image to its 9th to 16th nearest looks. What looks alike to the perceptual hash is one look, so that
 * a hundred copies are one neighbour; more copies of one image than eight that all look different
 * to the perceptual hash raise it, and then hide each other.
 *
 * @param phash of the image itself
 * @param neighbours of the image, without itself, best first
 * @returns undefined when the neighbours have fewer than 16 looks
 */
export function surroundingScore(phash: string, neighbours: readonly Neighbour[], phashOf: (id: string) => string): number | undefined {
  const looks: string[] = [phash];
  let sum = 0;
  for (const { id, score } of neighbours) {
    const hash = phashOf(id);
    if (looks.some((look) => hammingDistance(look, hash) <= LOOKS_ALIKE_BITS)) continue;
    looks.push(hash);
    const rank = looks.length - 2;
    if (rank >= FIRST) sum += score;
    if (rank === END - 1) return sum / (END - FIRST);
  }
  return undefined;
}

/**
 * By how much more alike a pair is than each of the two is to its surroundings, measured by how dense these are.
 *
 * @param score cosine similarity, as the surroundings
 * @returns at most MARGIN_MAX, where surroundings are not below zero; above zero: nearer than the surroundings of both
 */
export function marginOf(score: number, surroundingA: number, surroundingB: number): number {
  const surrounding = Math.max(surroundingA, surroundingB);
  return (score - surrounding) / Math.sqrt(Math.max(LEFT_MIN, 1 - surrounding));
}
