/**
 * A graph of usearch: hierarchical navigable small worlds (Malkov and Yashunin, arXiv 1603.09320), whose nodes are rows.
 * It answers which rows point in about the direction of a query; how close they are is for others to say.
 *
 * What was measured of usearch 2.25 decides how it is used here:
 *
 * - Vectors are held as float16. As int8 they take half the memory and about half the time, and within tight clusters
 *   (1,000 vectors of 256 numbers each, at cosines of 0.98) they find 4 of the 10 nearest among 64 to 128 candidates where
 *   float16 finds 9.8 to 9.9: int8 cannot tell neighbours apart there, and scoring the candidates again does not help.
 * - **Equal vectors tear the graph apart.** Copies of one vector link to each other only, at a distance of 0, and who
 *   comes in among them does not get out again: with 500 copies among 10,000 rows up to a tenth of the others was not
 *   found any more, with 5,000 copies up to two thirds. So a copy stands a little beside its original: then 97 of 100 at
 *   least were found, most often all.
 * - `remove` leaves the node where it is, and the next `add` puts another vector in its place while its old neighbours go
 *   on to point at it. So nothing is removed from a graph: who owns it knows what is dead, and makes another in time.
 * - A key that is there already is refused. Parts of a larger array are read from where they begin.
 */

export interface GraphOptions {
  readonly dim: number;
  /** Neighbours of a node; twice as many on the lowest level. */
  readonly connectivity: number;
  /** How many candidates are looked at for the neighbours of a new node. */
  readonly expansionAdd: number;
  /** How many candidates a search looks at, at least. */
  readonly expansionSearch: number;
}

export interface GraphQuery {
  readonly vector: Float64Array;
  /** How many rows are wanted. */
  readonly fetch: number;
}

/** What is used of usearch's `Index`. */
interface UsearchIndex {
  add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
  search(vectors: Float32Array, k: number, threads: number): { readonly keys: BigUint64Array };
}

/** usearch's `Index`; 0 threads would be as many as the machine has. */
export type GraphClass = new (options: never) => UsearchIndex;

const THREADS = 1;
/** Length of what is added to a copy of a unit vector: enough to see after rounding to float16, and too little to matter. */
const COPY_OFFSET = 0.02;
/** Checksums that were met, by their last bits: some may be taken for met that were not, which costs nothing. */
const MET_BITS = 2 ** 24;
/** Bytes of a row besides its vector and links: its key, its level, and its place in the tables. */
const NODE_BYTES = 40;

export class NeighbourGraph {
  readonly #index: UsearchIndex;
  readonly #met = new Uint8Array(MET_BITS / 8);

  constructor(graphClass: GraphClass, { dim, connectivity, expansionAdd, expansionSearch }: GraphOptions) {
    const options = { dimensions: dim, metric: 'ip', quantization: 'f16', connectivity, expansion_add: expansionAdd, expansion_search: expansionSearch, multi: false };
    this.#index = new graphClass(options as never);
  }

  /**
   * @param row not there yet
   * @param checksum of the vector: equal for equal ones
   * @throws Error of usearch: no memory, above all
   */
  add(row: number, vector: Float32Array, checksum: number): void {
    const direction = toDirection(vector);
    if (this.#meet(checksum)) addNoise(direction, row);
    this.#index.add(BigUint64Array.of(BigInt(row)), direction, THREADS);
  }

  /** Rows, closest first; fewer than wanted when no more were found. */
  search({ vector, fetch }: GraphQuery): Uint32Array {
    return Uint32Array.from(this.#index.search(toDirection(vector), fetch, THREADS).keys, Number);
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

/** About how many bytes a graph takes, which usearch does not tell: float16, and links of 4 bytes. */
export function graphBytes(rows: number, { dim, connectivity }: Pick<GraphOptions, 'dim' | 'connectivity'>): number {
  const upperLevels = (connectivity * 4) / Math.max(1, connectivity - 1);
  return Math.ceil(rows * (dim * 2 + connectivity * 2 * 4 + upperLevels + NODE_BYTES));
}

/** The vector at length 1, copied, so that nothing overflows as float16; one without a direction as it is. */
function toDirection(vector: Float32Array | Float64Array): Float32Array {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += (vector[i] as number) ** 2;
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  const direction = new Float32Array(vector.length);
  for (let i = 0; i < vector.length; i++) direction[i] = (vector[i] as number) * scale;
  return direction;
}

/** Moves a vector by `COPY_OFFSET` in a direction that is told by the row: xorshift32, evenly distributed components. */
function addNoise(vector: Float32Array, row: number): void {
  let state = Math.imul(row + 1, 0x9e3779b1) | 1;
  const scale = (COPY_OFFSET * Math.sqrt(3 / vector.length)) / 2 ** 31;
  for (let i = 0; i < vector.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    vector[i] = (vector[i] as number) + state * scale;
  }
}
