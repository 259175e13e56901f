/**
 * The graph over an index's rows, which grows behind what is written: rows before an address stand in it, those after do
 * not yet, so nothing waits for the graph. There is none at the start, and when its thread failed, until another stands.
 *
 * Nothing is removed from a graph. When much of it is dead, another is made of the living rows beside it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isEisError } from '../common/errors.js';
import type { GraphKeeper } from './graph-thread.js';
import type { Near } from './graph-worker.js';
import { graphBytes } from './neighbour-graph.js';
import { addressOf } from './row-chunk.js';
import type { ChunkRows } from './row-chunks.js';
import type { RowStore } from './row-store.js';

/** Fewer rows are scanned in about the time that a graph takes. */
const ROWS_MIN = 1_000;
const DEAD_SHARE_MAX = 1 / 3;
const DEAD_MIN = 1_000;
/** Between two attempts after a failure. */
const RETRY_MS = 5_000;

interface Graph {
  readonly number: number;
  /** Living rows before this address stand in it. */
  covered: number;
  /** Dead ones included. */
  nodes: number;
}

/** A graph as far as it has grown. */
export type StandingGraph = Readonly<Graph>;

/** A keeper with its graphs: they end together. */
interface Kept {
  readonly keeper: GraphKeeper;
  /** By serial: chunks whose memory the keeper knows. */
  readonly known: Set<number>;
  current: Graph;
  /** Takes its place once it has all rows. */
  next: Graph | undefined;
}

export interface RowGraphOptions {
  readonly rows: RowStore;
  readonly openKeeper: () => GraphKeeper;
  /** Told of a graph that failed: searches scan until another stands. Default: a process warning. */
  readonly onFailed?: ((error: unknown) => void) | undefined;
  readonly retryMs?: number | undefined;
  /** Fewer rows have no graph. */
  readonly rowsMin?: number | undefined;
}

export class RowGraph {
  readonly #options: RowGraphOptions;
  readonly #closing = new AbortController();
  #kept: Kept | undefined;
  #growing: Promise<void> | undefined;
  #holders = 0;

  constructor(options: RowGraphOptions) {
    this.#options = options;
  }

  get memoryBytes(): number {
    if (!this.#kept) return 0;
    const { keeper, current, next } = this.#kept;
    return graphBytes(current.nodes, keeper.options) + (next ? graphBytes(next.nodes, keeper.options) : 0);
  }

  /** The graph to be searched, as it is in this turn of the event loop; undefined while there is none. */
  get current(): StandingGraph | undefined {
    return this.#kept?.current;
  }

  /** Sees to it that what was written comes into the graph, in time. */
  grow(): void {
    if (this.#growing || this.#closing.signal.aborted || this.#options.rows.size < (this.#options.rowsMin ?? ROWS_MIN)) return;
    this.#growing = this.#grow().finally(() => {
      this.#growing = undefined;
      if (this.#options.rows.rowsFrom(this.#kept?.current.covered ?? 0)) this.grow(); // written in this very moment
    });
  }

  /** Resolves when every row stands in the graph, and no other graph is being made. */
  async whenGrown(): Promise<void> {
    await this.#growing;
  }

  /**
   * Asks the graph that is the current one in this turn of the event loop.
   *
   * @returns undefined when the graph failed, or ended
   * @throws EisError EIS_INDEX_DAMAGED of the vector file
   */
  async search(task: Parameters<GraphKeeper['search']>[0]): Promise<Near | undefined> {
    const kept = this.#kept;
    if (!kept) return undefined;
    for (const { memory: { serial } } of task.search.rest) kept.known.add(serial);
    return this.#trust(kept, ({ keeper }) => keeper.search(task), isEisError);
  }

  /** Until it is released, rows of chunks that are cleaned meanwhile are found too: for a search that asks more than once. */
  hold(): void {
    this.#holders++;
  }

  /** Once for every `hold`. */
  release(): void {
    this.#holders--;
  }

  /** Stops growing, and ends the graph's thread. Searches have to have ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#kept?.keeper.close();
    await this.#growing;
  }

  async #grow(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const kept = (this.#kept ??= this.#open());
      this.#dropChunks(kept);
      if (!kept.next && this.#isWorn(kept.current)) kept.next = newGraph(kept.current.number + 1);
      const { current, next } = kept;
      const step = this.#extend(kept, current) ?? (next && (this.#extend(kept, next) ?? this.#replace(kept, next)));
      if (!step) return;
      await step;
      if (!this.#kept) await sleep(this.#options.retryMs ?? RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #open(): Kept {
    return { keeper: this.#options.openKeeper(), known: new Set(), current: newGraph(0), next: undefined };
  }

  /** Adds some rows that a graph does not have; undefined when it has all. */
  #extend(kept: Kept, graph: Graph): Promise<void> | undefined {
    const rows = this.#options.rows.rowsFrom(graph.covered);
    return rows && this.#add(kept, graph, rows);
  }

  async #add(kept: Kept, graph: Graph, rows: ChunkRows): Promise<void> {
    kept.known.add(rows.memory.serial);
    const done = await this.#trust(kept, ({ keeper }) => keeper.add({ graph: graph.number, ...rows }));
    if (!done) return;
    graph.covered = addressOf(rows.memory.serial, done.next);
    graph.nodes += done.added;
  }

  /** Searches another graph from now on. */
  async #replace(kept: Kept, next: Graph): Promise<void> {
    const { number } = kept.current;
    kept.current = next;
    kept.next = undefined;
    await this.#trust(kept, ({ keeper }) => keeper.drop({ graph: number }));
  }

  #isWorn({ nodes }: Graph): boolean {
    const dead = nodes - this.#options.rows.size;
    return dead >= Math.max(DEAD_MIN, nodes * DEAD_SHARE_MAX);
  }

  /** Lets go of the memory of chunks that are gone. */
  #dropChunks({ keeper, known }: Kept): void {
    if (this.#holders > 0) return;
    for (const serial of known) {
      if (this.#options.rows.hasChunk(serial)) continue;
      known.delete(serial);
      keeper.drop({ serial }).catch(() => undefined); // a keeper that died holds none
    }
  }

  /** What the keeper answers; undefined when it failed, or ended. @param isOwn says of what is thrown that it is the task's, not the keeper's */
  async #trust<T>(kept: Kept, ask: (kept: Kept) => Promise<T>, isOwn: (thrown: unknown) => boolean = () => false): Promise<T | undefined> {
    try {
      return await ask(kept);
    } catch (error) {
      if (isOwn(error)) throw error;
      if (this.#kept === kept && !this.#closing.signal.aborted) this.#fail(kept, error);
      return undefined;
    }
  }

  #fail({ keeper }: Kept, error: unknown): void {
    this.#kept = undefined;
    (this.#options.onFailed ?? warn)(error);
    keeper.close().catch(() => undefined);
    this.grow();
  }
}

function newGraph(number: number): Graph {
  return { number, covered: 0, nodes: 0 };
}

function warn(error: unknown): void {
  process.emitWarning(new Error('The graph of an approximate index failed; its searches are exact and slower until another stands.', { cause: error }));
}
