/**
 * A graph of usearch: hierarchical navigable small worlds (Malkov and Yashunin, arXiv 1603.09320), whose nodes are rows.
 * It answers which rows point in about the direction of a query; how close they are is for others to say.
 *
 * What was measured of usearch 2.25 decides how it is used here:
 *
 * - Rows are compared by the cosine of their int8 codes: half the time and half the memory of float16. Where codes cannot
 *   tell neighbours apart (1,000 vectors of 256 numbers to a cluster, at cosines of 0.98) the ten nearest are among 80
 *   candidates as often as with float16 (96 to 98 of 100), among 10 they are not (55 against 95): ask for more than wanted.
 * - **Equal vectors tear the graph apart.** Copies of one vector link to each other only, at a distance of 0, and who
 *   comes in among them does not get out again: with 500 copies among 10,000 rows up to a tenth of the others was not
 *   found any more, with 5,000 copies up to two thirds. So a copy stands a little beside its original.
 * - `remove` leaves the node where it is, and the next `add` puts another vector in its place while its old neighbours go
 *   on to point at it. So nothing is removed from a graph: who owns it knows what is dead, and makes another in time.
 * - A key that is there already is refused, and so is shared memory. A thread that is terminated within a call takes the
 *   process with it.
 */
import { crc32 } from 'node:zlib';
import { EisError } from '../common/errors.js';
import { CODE_MAX } from './quantisation.js';

export interface GraphOptions {
  readonly dim: number;
  /** Neighbours of a node; twice as many on the lowest level. */
  readonly connectivity: number;
  /** How many candidates are looked at for the neighbours of a new node. */
  readonly expansionAdd: number;
  /** How many candidates a search looks at, at least. */
  readonly expansionSearch: number;
}

interface Matches {
  readonly keys: BigUint64Array;
}

/** What is used of usearch's `Index`. */
interface UsearchIndex {
  add(keys: BigUint64Array, vectors: Int8Array, threads: number): void;
  search(vectors: Int8Array, k: number, threads: number): Matches | { get(i: number): Matches };
}

/** usearch's `Index`; 0 threads would be as many as the machine has. */
export type GraphClass = new (options: never) => UsearchIndex;

/**
 * Loads usearch, which not every machine has a binary of.
 *
 * @throws EisError EIS_ENGINE_UNAVAILABLE
 */
export async function loadGraphClass(): Promise<GraphClass> {
  try {
    return (await import('usearch')).Index;
  } catch (cause) {
    const [reason] = String((cause as Error).message).split('\n');
    throw new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'usearch', detail: `its binary for ${process.platform}-${process.arch} cannot be loaded (${reason}). Choose the index_algorithm "brute".` }, { cause });
  }
}

/** How far a copy stands from its original: enough for the graph, and too little to matter. */
const COPY_DISTANCE = 0.02;
/** The least number of codes of a copy that differ by one. */
const COPY_STEPS_MIN = 4;
/** Checksums that were met, by their last bits: some may be taken for met that were not, which costs nothing. */
const MET_BITS = 2 ** 24;
/** Bytes of a row besides its codes and links: its key, its level, and its place in the tables. */
const NODE_BYTES = 40;

export class NeighbourGraph {
  readonly #index: UsearchIndex;
  readonly #dim: number;
  readonly #met = new Uint8Array(MET_BITS / 8);
  #size = 0;

  constructor(graphClass: GraphClass, { dim, connectivity, expansionAdd, expansionSearch }: GraphOptions) {
    const options = { dimensions: dim, metric: 'cos', quantization: 'i8', connectivity, expansion_add: expansionAdd, expansion_search: expansionSearch, multi: false };
    this.#index = new graphClass(options as never);
    this.#dim = dim;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * @param keys of rows that are not there yet: whole numbers
   * @param codes of the rows, one after the other; some may be changed
   * @throws Error of usearch: no memory, above all
   */
  add(keys: readonly number[], codes: Int8Array, threads: number): void {
    keys.forEach((key, i) => {
      const row = codes.subarray(i * this.#dim, (i + 1) * this.#dim);
      if (this.#meet(crc32(row))) stepAside(row, key);
    });
    this.#index.add(BigUint64Array.from(keys, BigInt), codes, threads);
    this.#size += keys.length;
  }

  /**
   * The keys of rows, closest first; fewer than wanted when no more were found.
   *
   * @param codes of the queries, one after the other
   */
  search(codes: Int8Array, fetch: number, threads: number): number[][] {
    const queries = codes.length / this.#dim;
    const found = this.#index.search(codes, Math.max(1, Math.min(fetch, this.#size)), Math.min(threads, queries));
    return Array.from({ length: queries }, (_, i) => Array.from('get' in found ? found.get(i).keys : found.keys, Number));
  }

  /** Whether a checksum was met before. */
  #meet(checksum: number): boolean {
    const bit = checksum % MET_BITS;
    const [byte, mask] = [bit >>> 3, 1 << (bit & 7)];
    const isMet = ((this.#met[byte] as number) & mask) !== 0;
    this.#met[byte] = (this.#met[byte] as number) | mask;
    return isMet;
  }
}

/** About how many bytes a graph takes, which usearch does not tell: codes, and links of 4 bytes. */
export function graphBytes(rows: number, { dim, connectivity }: Pick<GraphOptions, 'dim' | 'connectivity'>): number {
  const upperLevels = (connectivity * 4) / Math.max(1, connectivity - 1);
  return Math.ceil(rows * (dim + connectivity * 2 * 4 + upperLevels + NODE_BYTES));
}

/** Moves codes by about `COPY_DISTANCE` of their length, one up or down at each of some places that the key tells (xorshift32). */
function stepAside(codes: Int8Array, key: number): void {
  let squares = 0;
  for (const code of codes) squares += code * code;
  const steps = Math.max(COPY_STEPS_MIN, Math.min(codes.length, Math.round(squares * COPY_DISTANCE ** 2)));
  let state = Math.imul(key + 1, 0x9e3779b1) | 1;
  for (let step = 0; step < steps; step++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const place = (state >>> 1) % codes.length;
    const moved = (codes[place] as number) + (state & 1 ? 1 : -1);
    codes[place] = Math.max(-CODE_MAX, Math.min(CODE_MAX, moved));
  }
}
