/**
 * Images by their 64-bit perceptual hash: which of them differ from a hash in few bits, without comparing all.
 *
 * Multi-index hashing (M. Norouzi, A. Punjani, D. Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing",
 * 2014; first at CVPR 2012): a hash is four parts of 16 bits, each part a table of its own. With radius = 4a + b, two hashes
 * within it agree up to a bits in one of the first b + 1 parts, or up to a − 1 bits in one of the others; so it is enough to
 * look those few variants up, and to compare what stands there.
 */
const PARTS = 4;
const PART_BITS = 16;

/** Images whose hashes differ in no more bits look alike: saved anew, shrunk, recoloured. */
export const LOOKS_ALIKE_BITS = 4;

/** 64 bits: a larger radius finds what only looks alike by chance, and takes thousands of look-ups. */
export const RADIUS_MAX = 11;

export interface HashMatch {
  readonly id: string;
  /** Bits that differ. */
  readonly distance: number;
}

export class HashIndex {
  readonly #flips: readonly (readonly number[])[];
  readonly #radius: number;
  readonly #ids: string[] = [];
  readonly #hashes: Uint32Array[] = [];
  readonly #tables: readonly Map<number, number[]>[] = Array.from({ length: PARTS }, () => new Map<number, number[]>());

  /** @param radius bits, 0 to RADIUS_MAX */
  constructor(radius: number) {
    if (!Number.isInteger(radius) || radius < 0 || radius > RADIUS_MAX) throw new RangeError(`The radius is ${radius}; it has to be a whole number from 0 to ${RADIUS_MAX}.`);
    this.#radius = radius;
    const [within, rest] = [Math.floor(radius / PARTS), radius % PARTS];
    this.#flips = Array.from({ length: PARTS }, (_, part) => flipsUpTo(part <= rest ? within : within - 1));
  }

  get size(): number {
    return this.#ids.length;
  }

  /** @param hash 16 hex digits */
  add(id: string, hash: string): void {
    const words = toWords(hash);
    const row = this.#ids.push(id) - 1;
    this.#hashes.push(words);
    this.#tables.forEach((table, part) => {
      const key = partOf(words, part);
      const rows = table.get(key);
      if (rows) rows.push(row);
      else table.set(key, [row]);
    });
  }

  /**
   * What is within the radius of a hash, the nearest first, of equally near ones what was added first.
   *
   * @param limit how many at most. Pictures without structure, such as blank ones, may all have one hash
   */
  within(hash: string, limit = Infinity): HashMatch[] {
    const words = toWords(hash);
    const found = new Map<number, number>();
    this.#tables.forEach((table, part) => {
      const key = partOf(words, part);
      for (const flip of this.#flips[part] as readonly number[]) this.#look(table.get(key ^ flip), words, { found, limit });
    });
    return [...found].sort(([rowA, a], [rowB, b]) => a - b || rowA - rowB).slice(0, limit).map(([row, distance]) => ({ id: this.#ids[row] as string, distance }));
  }

  /** Of each place that is looked at, the first `limit` that are within the radius. */
  #look(rows: readonly number[] | undefined, words: Uint32Array, { found, limit }: { readonly found: Map<number, number>; readonly limit: number }): void {
    let left = limit;
    for (let i = 0; rows && i < rows.length && left > 0; i++) {
      const row = rows[i] as number;
      const distance = bitsBetween(words, this.#hashes[row] as Uint32Array);
      if (distance > this.#radius) continue;
      found.set(row, distance);
      left--;
    }
  }
}

/** How many bits two hashes of 16 hex digits differ in. */
export function hammingDistance(a: string, b: string): number {
  return bitsBetween(toWords(a), toWords(b));
}

/** All numbers of 16 bits with at most `bits` of them set, the fewest first; none for a negative number. */
function flipsUpTo(bits: number): number[] {
  if (bits < 0) return [];
  const levels: number[][] = [[0]];
  for (let level = 1; level <= bits; level++) {
    const below = levels[level - 1] as number[];
    levels.push(below.flatMap((flip) => Array.from({ length: PART_BITS - lengthOf(flip) }, (_, i) => flip | (1 << (lengthOf(flip) + i)))));
  }
  return levels.flat();
}

/** Bits up to the highest one that is set. */
function lengthOf(value: number): number {
  return 32 - Math.clz32(value);
}

function toWords(hash: string): Uint32Array {
  return Uint32Array.of(Number.parseInt(hash.slice(0, 8), 16), Number.parseInt(hash.slice(8, 16), 16));
}

function partOf(words: Uint32Array, part: number): number {
  return ((words[part >> 1] as number) >>> (part % 2 === 0 ? PART_BITS : 0)) & 0xffff;
}

function bitsBetween(a: Uint32Array, b: Uint32Array): number {
  return countBits((a[0] as number) ^ (b[0] as number)) + countBits((a[1] as number) ^ (b[1] as number));
}

/** Bits that are set in 32 (H. Warren, "Hacker's Delight", 5-1). */
function countBits(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
