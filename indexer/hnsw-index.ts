/**
 * `hnsw`: approximate search by a graph of neighbours (`neighbour-graph.ts`), which looks at some thousand rows where
 * `brute` looks at all. It holds what `brute` holds and does with it what `brute` does, but that searches ask the graph
 * first (`graph-shortcut.ts`): a hit that is answered has its exact score, and only which hits are answered is approximate.
 * Few rows, a large top, a search among some ids, and rows that the graph does not stand for yet, are scanned.
 *
 * The graph goes by directions. For unit vectors that is the order of the scores; a vector of another length is found by
 * its angle first.
 */
import { ExactIndex, scratchesFor } from './exact-index.js';
import { GraphShortcut } from './graph-shortcut.js';
import type { GraphKeeper } from './graph-thread.js';
import { RowGraph } from './row-graph.js';
import { RowStore } from './row-store.js';
import type { Scanner } from './scan-pool.js';
import type { SectionReader } from './snapshot-file.js';
import { VectorFile } from './vector-file.js';
import type { CloseOptions, FinishedScan, FrozenIndex, Hit, SearchOptions, VectorEntry, VectorIndex } from './vector-index.js';

export interface HnswIndexOptions {
  readonly dim: number;
  /** The index's own, for the file of its vectors; made when it is missing. */
  readonly folder: string;
  /** The index's own: closed with it. */
  readonly scanner: Scanner;
  /** Makes what keeps its graphs; another when one failed. */
  readonly openKeeper: () => GraphKeeper;
  readonly onScan?: (scan: FinishedScan) => void;
  /** Of `RowGraph`. */
  readonly onGraphFailed?: (error: unknown) => void;
  readonly retryMs?: number;
  readonly rowsMin?: number;
}

export class HnswIndex implements VectorIndex {
  readonly algorithm = 'hnsw';
  readonly #exact: ExactIndex;
  readonly #graph: RowGraph;

  /** @throws EisError EIS_INDEX_FILE */
  constructor({ dim, folder, scanner, openKeeper, onScan, onGraphFailed, retryMs, rowsMin }: HnswIndexOptions, rows = new RowStore({ file: new VectorFile({ folder, dim }), scratches: scratchesFor(scanner) })) {
    this.#graph = new RowGraph({ rows, openKeeper, onFailed: onGraphFailed, retryMs, rowsMin });
    const shortcut = new GraphShortcut({ graph: this.#graph, rows, scanner });
    this.#exact = new ExactIndex({ dim, folder, scanner, onScan, shortcut: (snapshot, queries) => shortcut.find(snapshot, queries) }, rows);
    this.#graph.grow();
  }

  /**
   * The index that was saved in a folder, with all that it had then but the graph, which grows anew.
   *
   * @param contents what `FrozenIndex.write` returned
   * @throws EisError EIS_SNAPSHOT_INVALID, EIS_INDEX_FILE
   */
  static async restore(options: HnswIndexOptions, contents: unknown, reader: SectionReader): Promise<HnswIndex> {
    const { dim, folder, scanner } = options;
    return new HnswIndex(options, await RowStore.restore({ dim, folder, scratches: scratchesFor(scanner) }, contents, reader));
  }

  get dim(): number {
    return this.#exact.dim;
  }

  get size(): number {
    return this.#exact.size;
  }

  get memoryBytes(): number {
    return this.#exact.memoryBytes + this.#graph.memoryBytes;
  }

  async upsert(entries: readonly VectorEntry[]): Promise<void> {
    await this.#exact.upsert(entries);
    this.#graph.grow();
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#exact.remove(ids);
    this.#graph.grow();
  }

  async search(queries: readonly Float32Array[], options: SearchOptions): Promise<Hit[][]> {
    return this.#exact.search(queries, options);
  }

  async vector(id: string): Promise<Float32Array | undefined> {
    return this.#exact.vector(id);
  }

  freeze(): FrozenIndex {
    return this.#exact.freeze();
  }

  async close(options?: CloseOptions): Promise<void> {
    await this.#exact.close(options);
    await this.#graph.close();
  }

  /** The graph stands for every row. */
  async settled(): Promise<void> {
    await this.#graph.whenGrown();
  }
}
