/**
 * `brute`: exact search by scanning every vector. Its answers equal those of a float64 scan, ties included: scores are
 * `dot()` of common/vector.ts to the last bit, ranked by score and id.
 *
 * A search is bound by memory, so what is scanned are int8 codes, a quarter of the vectors. What is known of their error
 * leaves a handful of rows that could be among the best (quantisation.ts, with the proof); their vectors are read from a
 * local file and scored exactly (`rescore.ts`).
 *
 * Rows lie in shared memory (`row-store.ts`); worker threads scan disjoint parts of a snapshot of them (`scan.ts`), so
 * even a search of very few rows does not hold the event loop. Concurrent searches share a pass (`shared-pass.ts`).
 */
import { quantiseQuery } from './quantisation.js';
import { describeCandidates, type Candidate, type RescoreRows } from './rescore.js';
import { allDone, rescoreQueries, type RescoredHits } from './rescore-queries.js';
import { rowBytes } from './row-chunk.js';
import { maskRows } from './row-mask.js';
import type { SnapshotPart } from './row-chunks.js';
import { RowStore, type Snapshot } from './row-store.js';
import { RowWriter } from './row-writer.js';
import type { Candidates, ScanQuery, ScanRange } from './scan.js';
import type { Scanner } from './scan-pool.js';
import { createSearchPasses, maskQueries, type PassQuery, type SearchMoment, type VectorSearch } from './search-pass.js';
import type { SharedPass } from './shared-pass.js';
import type { SectionReader } from './snapshot-file.js';
import { VectorFile } from './vector-file.js';
import { checkEntries, checkLength, type CloseOptions, type FinishedScan, type FrozenIndex, type Hit, type SearchOptions, type VectorEntry, type VectorIndex } from './vector-index.js';

/** A scan's part for one worker is not made smaller than this: handing it over costs about as long as scanning it. */
const TASK_BYTES_MIN = 1024 * 1024;
/** Tasks of a scan for each thread: more than one, so that a delayed thread holds up less. */
const TASKS_PER_THREAD = 2;

export interface ExactIndexOptions {
  readonly dim: number;
  /** The index's own, for the file of its vectors; made when it is missing. */
  readonly folder: string;
  /** The index's own: closed with it. */
  readonly scanner: Scanner;
  readonly onScan?: ((scan: FinishedScan) => void) | undefined;
  readonly shortcut?: Shortcut;
}

/** Answers queries without a scan; undefined for those that it leaves to one. */
export type Shortcut = (snapshot: Snapshot, queries: readonly PassQuery[]) => Promise<{ readonly hits: readonly (Hit[] | undefined)[]; readonly rescored: number }>;

const NOTHING: RescoredHits = { hits: [], rescored: 0 };

export class ExactIndex implements VectorIndex {
  readonly algorithm = 'brute';
  readonly dim: number;
  readonly #rows: RowStore;
  readonly #writer: RowWriter;
  readonly #scanner: Scanner;
  readonly #onScan: ExactIndexOptions['onScan'];
  readonly #shortcut: Shortcut | undefined;
  readonly #passes: SharedPass<VectorSearch, Hit[][]>;
  #closed: Promise<void> | undefined;

  /** @throws EisError EIS_INDEX_FILE */
  constructor({ dim, folder, scanner, onScan, shortcut }: ExactIndexOptions, rows = new RowStore({ file: new VectorFile({ folder, dim }), scratches: scratchesFor(scanner) })) {
    this.dim = dim;
    this.#rows = rows;
    this.#writer = new RowWriter({ rows, scanner });
    this.#scanner = scanner;
    this.#onScan = onScan;
    this.#shortcut = shortcut;
    this.#passes = createSearchPasses({ begin: () => this.#begin(), has: (id) => this.#rows.has(id) });
  }

  /**
   * The index that was saved in a folder, with all that it had then.
   *
   * @param contents what `FrozenIndex.write` returned
   * @throws EisError EIS_SNAPSHOT_INVALID, EIS_INDEX_FILE
   */
  static async restore(options: ExactIndexOptions, contents: unknown, reader: SectionReader): Promise<ExactIndex> {
    const { dim, folder, scanner } = options;
    return new ExactIndex(options, await RowStore.restore({ dim, folder, scratches: scratchesFor(scanner) }, contents, reader));
  }

  get size(): number {
    return this.#rows.size;
  }

  get memoryBytes(): number {
    return this.#rows.memoryBytes;
  }

  async upsert(entries: readonly VectorEntry[]): Promise<void> {
    checkEntries(entries, this.dim);
    await this.#writer.put(entries);
    await this.#writer.clean();
  }

  async remove(ids: readonly string[]): Promise<void> {
    this.#writer.delete(ids);
    await this.#writer.clean();
  }

  async search(queries: readonly Float32Array[], { top, among, signal }: SearchOptions): Promise<Hit[][]> {
    for (const query of queries) checkLength(query, this.dim);
    return this.#passes.add({ queries: queries.length, vectors: queries.map((query) => new Float64Array(query)), top, among }, signal);
  }

  async vector(id: string): Promise<Float32Array | undefined> {
    return this.#rows.vector(id);
  }

  freeze(): FrozenIndex {
    return this.#rows.freeze();
  }

  close(options?: CloseOptions): Promise<void> {
    this.#closed ??= this.#close(options);
    return this.#closed;
  }

  async #close(options?: CloseOptions): Promise<void> {
    await this.#passes.close();
    await this.#scanner.close();
    await this.#writer.close(options);
  }

  #begin(): SearchMoment {
    const snapshot = this.#rows.snapshot();
    return { find: (queries) => this.#find(snapshot, queries), end: () => this.#rows.release() };
  }

  /** The best rows of each query: a scan answers those that the shortcut leaves. */
  async #find(snapshot: Snapshot, queries: readonly PassQuery[]): Promise<Hit[][]> {
    if (snapshot.rows === 0 || queries.length === 0) return queries.map(() => []);
    const started = performance.now();
    const short = await this.#shortcut?.(snapshot, queries);
    const left = queries.filter((_, q) => !short?.hits[q]);
    const scanned = left.length > 0 ? await this.#findByScan(snapshot, left) : NOTHING;
    this.#onScan?.({ seconds: (performance.now() - started) / 1000, queries: queries.length, rescored: (short?.rescored ?? 0) + scanned.rescored });
    let next = 0;
    return queries.map((_, q) => short?.hits[q] ?? (scanned.hits[next++] as Hit[]));
  }

  async #findByScan(snapshot: Snapshot, queries: readonly PassQuery[]): Promise<RescoredHits> {
    const candidates = await this.#scan(snapshot, queries);
    return rescoreQueries(this.#scanner, this.#rows.fd, queries.map(({ vector, keep }, q) => ({ vector, keep, ...describe(snapshot, candidates[q] as Candidates) })));
  }

  /** What could be among the best of each query, of all rows. */
  async #scan(snapshot: Snapshot, queries: readonly PassQuery[]): Promise<Candidates[]> {
    const masked = await maskQueries(queries, (among) => maskRows(this.#rows, snapshot, among));
    const wanted = masked.map(({ vector, keep, mask }): ScanQuery => ({ quantised: quantiseQuery(vector), keep, mask }));
    const tasks = divide(snapshot, scratchesFor(this.#scanner), this.dim);
    const found = await allDone(tasks.map((ranges, scratch) => this.#scanner.scan({ version: snapshot.version, queries: wanted, ranges, scratch })));
    return queries.map(({ keep }, q) => joinCandidates(found.map((parts) => parts[q] as Candidates), keep));
  }
}

/** How many tasks of a scan there are at most; each needs scratch memory. */
export function scratchesFor({ threads }: Scanner): number {
  return threads * TASKS_PER_THREAD;
}

/** The candidates of all rows from those of their parts: less those that the best of another part leave out. */
function joinCandidates(parts: readonly Candidates[], keep: number): Candidates {
  const lowers = Float64Array.from(parts.flatMap((part) => [...part.lowers])).sort().reverse().slice(0, keep);
  const floor = lowers.length < keep ? -Infinity : (lowers[keep - 1] as number);
  const kept = parts.flatMap(({ rows, uppers }) => Array.from(rows, (row, i) => ({ row, upper: uppers[i] as number })).filter(({ upper }) => !(upper < floor)));
  return { rows: Uint32Array.from(kept, ({ row }) => row), uppers: Float64Array.from(kept, ({ upper }) => upper), lowers };
}

/** Candidates with what it takes to score them. */
function describe({ parts }: Snapshot, { rows, uppers }: Candidates): RescoreRows {
  return describeCandidates(Array.from(rows, (row, i): Candidate => {
    const { views, firstRow } = findPart(parts, row);
    return { views, row: row - firstRow, upper: uppers[i] as number };
  }));
}

/** Splits a snapshot into tasks of about as many rows each. */
function divide({ parts, rows }: Snapshot, tasksMax: number, dim: number): ScanRange[][] {
  const count = Math.max(1, Math.min(tasksMax, Math.floor((rows * rowBytes(dim)) / TASK_BYTES_MIN)));
  return Array.from({ length: count }, (_, i) => cut(parts, Math.floor((rows * i) / count), Math.floor((rows * (i + 1)) / count)));
}

function cut(parts: readonly SnapshotPart[], start: number, end: number): ScanRange[] {
  return parts
    .map(({ memory, rows, firstRow }) => ({ memory, firstRow, from: Math.max(0, start - firstRow), to: Math.min(rows, end - firstRow) }))
    .filter(({ from, to }) => from < to);
}

function findPart(parts: readonly SnapshotPart[], key: number): SnapshotPart {
  let low = 0;
  for (let high = parts.length; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if ((parts[middle] as SnapshotPart).firstRow <= key) low = middle;
    else high = middle;
  }
  return parts[low] as SnapshotPart;
}
