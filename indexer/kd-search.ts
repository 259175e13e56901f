/**
 * Branch and bound over a k-d tree (`kd-tree.ts`), run in worker threads: the rows of a node are looked at unless no
 * score in its box can reach the worst that is kept. The better of two nodes goes first, so that the worst rises soon.
 *
 * The answer is exact. A score is what `dot()` of common/vector.ts gives: a chain of float64 additions in the order of
 * the components. The bound of a box, Σ max(qᵢ·lowᵢ, qᵢ·highᵢ), is added up in the same order from the same 0. Its terms
 * are no less than those of any row in the box (products of two float32 are exact in float64), and rounding is monotone:
 * a ≤ a′ and b ≤ b′ give fl(a + b) ≤ fl(a′ + b′). So, addition by addition, the computed bound is no less than the
 * computed score, and needs no slack for rounding. This holds only while a box's bound is summed up anew, as it is here,
 * not adjusted from its parent's. A node whose bound equals the worst is looked at too: a tie goes to the smaller id.
 */
import { KdRows, type RowsMemory } from './kd-rows.js';
import { firstRow, type KdTree } from './kd-tree.js';
import { TopK, type Ranked } from './top-k.js';

export interface KdQuery {
  /** The query in float64, which changes no value. */
  readonly vector: Float64Array;
  readonly keep: number;
  /** By place: 1 for candidates. Undefined: every row is one. */
  readonly mask: Uint8Array | undefined;
}

export interface KdSearchTask {
  readonly version: number;
  readonly rows: RowsMemory;
  readonly queries: readonly KdQuery[];
  readonly trees: readonly KdTree[];
  /** The part of each tree to search: what is below the node at this position of this level. */
  readonly level: number;
  readonly position: number;
  /** Places of rows that are in no tree, to be looked at one by one. */
  readonly loose: Uint32Array;
}

export interface KdFound {
  /** By query; keys are places. */
  readonly ranked: readonly Ranked[];
  /** Rows that were scored, of all queries together. */
  readonly rowsVisited: number;
}

const ROWS_AT_ONCE = 4;

/** The best rows of the task's part for each of its queries. */
export function searchTree({ version, rows: memory, queries, trees, level, position, loose }: KdSearchTask): KdFound {
  const rows = new KdRows(memory);
  const held = trees.reduce((sum, { places }) => sum + places.length, loose.length);
  let rowsVisited = 0;
  const ranked = queries.map((query) => {
    const walk = new Walk(rows, version, query, held);
    walk.look(loose, 0, loose.length);
    for (const tree of trees) walk.descendPart(tree, level, position);
    rowsVisited += walk.rowsVisited;
    return walk.drain();
  });
  return { ranked, rowsVisited };
}

/** One query on its way through the rows. */
class Walk {
  rowsVisited = 0;
  readonly #rows: KdRows;
  readonly #version: number;
  readonly #query: KdQuery;
  readonly #best: TopK;
  /** By component: where in a box the side lies that the query's sign makes the greater product. */
  readonly #sides: Uint32Array;
  readonly #lanes: Lanes;
  readonly #bounds = new Float64Array(2);

  constructor(rows: KdRows, version: number, query: KdQuery, held: number) {
    this.#rows = rows;
    this.#version = version;
    this.#query = query;
    this.#best = new TopK(Math.min(query.keep, held), (a, b) => rows.precedes(a, b));
    this.#sides = Uint32Array.from(query.vector, (x, i) => (x < 0 ? i : rows.dim + i));
    this.#lanes = { chunks: Array.from({ length: ROWS_AT_ONCE }, () => new Float32Array(0)), starts: new Uint32Array(ROWS_AT_ONCE), scores: new Float64Array(ROWS_AT_ONCE) };
  }

  drain(): Ranked {
    return this.#best.drain();
  }

  /** As `descend`; the parts of a tree that has no such level are its leaves. */
  descendPart(tree: KdTree, level: number, position: number): void {
    const deepest = Math.min(level, tree.depth);
    if (position < 2 ** deepest) this.descend(tree, deepest, position);
  }

  /** Looks at whatever below a node may be among the best. */
  descend(tree: KdTree, level: number, position: number): void {
    if (level === tree.depth) {
      this.look(tree.places, firstRow(tree.places.length, level, position), firstRow(tree.places.length, level, position + 1));
      return;
    }
    const left = 2 * position;
    boundPair(tree.boxes, 2 ** (level + 1) - 1 + left, this.#query.vector, { sides: this.#sides, bounds: this.#bounds });
    const leftBound = this.#bounds[0] as number;
    const rightBound = this.#bounds[1] as number;
    const isLeftBetter = leftBound >= rightBound;
    if (Math.max(leftBound, rightBound) < this.#best.floor) return;
    this.descend(tree, level + 1, isLeftBetter ? left : left + 1);
    if (Math.min(leftBound, rightBound) < this.#best.floor) return;
    this.descend(tree, level + 1, isLeftBetter ? left + 1 : left);
  }

  /** Scores the rows at places `[from, to)` of a list. */
  look(places: Uint32Array, from: number, to: number): void {
    const { vectors, chunkBits, rowMask, dim } = this.#rows;
    const { chunks, starts, scores } = this.#lanes;
    const { vector } = this.#query;
    for (let row = from; row < to; row += ROWS_AT_ONCE) {
      const count = Math.min(ROWS_AT_ONCE, to - row);
      for (let lane = 0; lane < ROWS_AT_ONCE; lane++) {
        const place = places[row + Math.min(lane, count - 1)] as number;
        chunks[lane] = vectors[place >>> chunkBits] as Float32Array;
        starts[lane] = (place & rowMask) * dim;
      }
      dotFour(this.#lanes, vector);
      for (let lane = 0; lane < count; lane++) this.#offer(scores[lane] as number, places[row + lane] as number);
    }
    this.rowsVisited += to - from;
  }

  /** The score first: it rules out nearly all rows without another look at memory. */
  #offer(score: number, place: number): void {
    const { mask } = this.#query;
    if (score < this.#best.floor) return;
    if ((mask === undefined || mask[place] === 1) && this.#rows.isAliveAt(place, this.#version)) this.#best.offer(score, place);
  }
}

/** Rows that are scored together: the chunk that each one's vector lies in, where it starts there, and the score. */
interface Lanes {
  readonly chunks: Float32Array[];
  readonly starts: Uint32Array;
  readonly scores: Float64Array;
}

/** The bounds of two sibling nodes, the first of them given. */
function boundPair(boxes: Float32Array, node: number, query: Float64Array, { sides, bounds }: { readonly sides: Uint32Array; readonly bounds: Float64Array }): void {
  const dim = query.length;
  const left = 2 * node * dim;
  const right = left + 2 * dim;
  let a = 0;
  let b = 0;
  for (let i = 0; i < dim; i++) {
    const x = query[i] as number;
    const side = sides[i] as number;
    a += (boxes[left + side] as number) * x;
    b += (boxes[right + side] as number) * x;
  }
  bounds[0] = a;
  bounds[1] = b;
}

/** The scores of four rows: four chains of additions that do not wait for each other. */
function dotFour({ chunks, starts, scores }: Lanes, query: Float64Array): void {
  const [first, second, third, fourth] = chunks as [Float32Array, Float32Array, Float32Array, Float32Array];
  const [i0, i1, i2, i3] = [starts[0] as number, starts[1] as number, starts[2] as number, starts[3] as number];
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < query.length; i++) {
    const x = query[i] as number;
    a += (first[i0 + i] as number) * x;
    b += (second[i1 + i] as number) * x;
    c += (third[i2 + i] as number) * x;
    d += (fourth[i3 + i] as number) * x;
  }
  scores[0] = a;
  scores[1] = b;
  scores[2] = c;
  scores[3] = d;
}
