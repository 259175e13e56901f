/**
 * Which graph of an approximate index is searched, and the one that takes its place: nothing is ever removed from a
 * graph, so when a fifth of its rows is dead another is made of the living ones beside it, while searches go on.
 *
 * Dead rows keep their slots in the file until a graph without them is searched and nobody looks at the old one: a slot
 * that was written again would stand in the graph as what it was before.
 */
import type { GraphKeeper } from './hnsw-thread.js';
import type { HnswRows } from './hnsw-rows.js';
import { graphBytes } from './neighbour-graph.js';
import type { VectorFile } from './vector-file.js';

/** Rows that are handed to the thread at once: a search that comes waits for that many, some milliseconds. */
const ROWS_PER_TASK = 16;
const DEAD_SHARE_MAX = 1 / 5;
const DEAD_MIN = 1_000;
const SLOTS_PER_PART = 16_384;

interface Graph {
  readonly number: number;
  /** Dead ones included. */
  rows: number;
  /** Slots of rows that stand in it and are dead. */
  dead: number[];
}

/** A graph that stays until it is released. */
export interface HeldGraph {
  readonly number: number;
  readonly rows: number;
}

export interface HnswGraphsOptions {
  readonly keeper: GraphKeeper;
  readonly rows: HnswRows;
  readonly file: VectorFile;
}

export class HnswGraphs {
  readonly #keeper: GraphKeeper;
  readonly #rows: HnswRows;
  readonly #file: VectorFile;
  #current: Graph = { number: 0, rows: 0, dead: [] };
  #next: Graph | undefined;
  /** Who looks at a graph, or at vectors in the file. */
  #readers = 0;
  /** Of graphs that were replaced; readers may still look at them. */
  #left: { readonly graphs: number[]; readonly slots: number[] } = { graphs: [], slots: [] };

  constructor({ keeper, rows, file }: HnswGraphsOptions) {
    this.#keeper = keeper;
    this.#rows = rows;
    this.#file = file;
  }

  get memoryBytes(): number {
    return [this.#current, this.#next].reduce((bytes, graph) => bytes + (graph ? graphBytes(graph.rows, this.#keeper.options) : 0), 0);
  }

  get isHeld(): boolean {
    return this.#readers > 0;
  }

  /** Whether so much is dead that another graph is to be made, and none is being made. */
  get isWorn(): boolean {
    const { rows, dead } = this.#current;
    return !this.#next && dead.length >= Math.max(DEAD_MIN, rows * DEAD_SHARE_MAX);
  }

  /** The graph to be searched; it, and every slot that it knows, stays until `release`. */
  hold(): HeldGraph {
    this.#readers++;
    return { number: this.#current.number, rows: this.#current.rows };
  }

  /** Once for every `hold`. */
  release(): void {
    if (--this.#readers === 0) this.#clear();
  }

  /**
   * Adds staged rows.
   *
   * @throws EisError EIS_INDEX_DAMAGED, EIS_ENGINE_UNAVAILABLE: some may stand in it then, and all have to be buried
   */
  async add(slots: readonly number[]): Promise<void> {
    for (let from = 0; from < slots.length; from += ROWS_PER_TASK) {
      const part = slots.slice(from, from + ROWS_PER_TASK);
      const graphs = this.#next ? [this.#current, this.#next] : [this.#current];
      await Promise.all(graphs.map((graph) => this.#addTo(graph, part)));
    }
  }

  /** Takes note that a row is dead. */
  bury(slot: number): void {
    this.#current.dead.push(slot);
    if (this.#next && this.#rows.graph(slot) === this.#next.number) this.#next.dead.push(slot);
  }

  /** Begins another graph, which `add` adds to as well from now on. No `add` may be under way. */
  begin(): void {
    this.#next = { number: this.#current.number + 1, rows: 0, dead: [] };
  }

  /**
   * Adds what lived when it was begun to the other graph.
   *
   * @param isOver asked between two parts: true ends it early
   * @throws EisError EIS_INDEX_DAMAGED
   */
  async copy(isOver: () => boolean): Promise<void> {
    const next = this.#next as Graph;
    const { version } = this.#rows;
    for (const part of this.#rows.seen(version, SLOTS_PER_PART)) {
      for (let from = 0; from < part.length && !isOver(); from += ROWS_PER_TASK) {
        const living = part.slice(from, from + ROWS_PER_TASK).filter((slot) => this.#rows.isSeen(slot, this.#rows.version) && this.#rows.graph(slot) !== next.number);
        await this.#addTo(next, living);
      }
    }
  }

  /** Puts the other graph, which is whole, in place of the one that is searched. No `add` may be under way. */
  swap(): void {
    const [old, next] = [this.#current, this.#next as Graph];
    this.#current = next;
    this.#next = undefined;
    this.#left.graphs.push(old.number);
    for (const slot of old.dead) if (this.#rows.graph(slot) !== next.number) this.#left.slots.push(slot);
    if (this.#readers === 0) this.#clear();
  }

  async #addTo(graph: Graph, slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    for (const slot of slots) this.#rows.setGraph(slot, graph.number);
    graph.rows += slots.length;
    const rows = { slots: Uint32Array.from(slots), checksums: Uint32Array.from(slots, (slot) => this.#rows.checksum(slot)) };
    await this.#keeper.add({ graph: graph.number, fd: this.#file.fd, rows });
  }

  #clear(): void {
    const { graphs, slots } = this.#left;
    if (graphs.length === 0) return;
    this.#left = { graphs: [], slots: [] };
    for (const graph of graphs) this.#keeper.drop(graph).catch(() => undefined); // a keeper that died holds none
    this.#file.free(slots);
  }
}
