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
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { quantiseQuery, type QuantisedQuery } from './quantisation.js';
import type { RescoreQuery } from './rescore.js';
import { readId, rowBytes } from './row-chunk.js';
import { RowStore, type Snapshot, type SnapshotPart } from './row-store.js';
import type { Candidates, ScanQuery, ScanRange } from './scan.js';
import type { Scanner } from './scan-pool.js';
import { SharedPass, type Passenger } from './shared-pass.js';
import { VectorFile } from './vector-file.js';
import { checkEntries, checkLength, type FinishedScan, type Hit, type SearchOptions, type VectorEntry, type VectorIndex } from './vector-index.js';

const QUERIES_PER_PASS_MAX = 64;
const QUERIES_WAITING_MAX = 1_024;
/** A scan's part for one worker is not made smaller than this: handing it over costs about as long as scanning it. */
const TASK_BYTES_MIN = 1024 * 1024;
/** Ids that a predicate is asked about in one turn of the event loop. */
const ACCEPT_SLICE = 2_048;
/** Tasks of a scan for each thread: more than one, so that a delayed thread holds up less. */
const TASKS_PER_THREAD = 2;
const ID_BYTES = 32;

interface Query {
  readonly vector: Float32Array;
  readonly quantised: QuantisedQuery;
}

interface Search {
  readonly queries: number;
  readonly vectors: readonly Query[];
  readonly top: number;
  readonly accept: ((id: string) => boolean) | undefined;
}

/** A search in a pass, with how many rows of each query the next scan keeps: more than `top` when some may be gone after it. */
interface OpenSearch {
  readonly passenger: Passenger<Search, Hit[][]>;
  keep: number;
}

interface OpenQuery extends ScanQuery {
  readonly vector: Float32Array;
}

export interface ExactIndexOptions {
  readonly dim: number;
  /** The index's own, for the file of its vectors; made when it is missing. */
  readonly folder: string;
  /** The index's own: closed with it. */
  readonly scanner: Scanner;
  readonly onScan?: (scan: FinishedScan) => void;
}

export class ExactIndex implements VectorIndex {
  readonly algorithm = 'brute';
  readonly dim: number;
  readonly #rows: RowStore;
  readonly #scanner: Scanner;
  readonly #onScan: ExactIndexOptions['onScan'];
  readonly #passes: SharedPass<Search, Hit[][]>;
  readonly #file: VectorFile;
  #closed: Promise<void> | undefined;

  /** @throws EisError EIS_INDEX_FILE */
  constructor({ dim, folder, scanner, onScan }: ExactIndexOptions) {
    this.dim = dim;
    this.#file = new VectorFile({ folder, dim });
    this.#rows = new RowStore({ file: this.#file, scratches: scanner.threads * TASKS_PER_THREAD });
    this.#scanner = scanner;
    this.#onScan = onScan;
    this.#passes = new SharedPass({ queriesPerPassMax: QUERIES_PER_PASS_MAX, queriesWaitingMax: QUERIES_WAITING_MAX, run: (batch) => this.#runPass(batch) });
  }

  get size(): number {
    return this.#rows.size;
  }

  get memoryBytes(): number {
    return this.#rows.memoryBytes;
  }

  async upsert(entries: readonly VectorEntry[]): Promise<void> {
    checkEntries(entries, this.dim);
    await this.#rows.put(entries);
    await this.#rows.clean();
  }

  async remove(ids: readonly string[]): Promise<void> {
    this.#rows.delete(ids);
    await this.#rows.clean();
  }

  async search(queries: readonly Float32Array[], { top, accept, signal }: SearchOptions): Promise<Hit[][]> {
    for (const query of queries) checkLength(query, this.dim);
    return this.#passes.add({ queries: queries.length, vectors: queries.map((query) => ({ vector: query.slice(), quantised: quantiseQuery(query) })), top, accept }, signal);
  }

  async vector(id: string): Promise<Float32Array | undefined> {
    return this.#rows.vector(id);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#passes.close();
    await this.#scanner.close();
    await this.#rows.close();
  }

  /**
   * Scans until every search of the batch is answered: again for those of which found ids were removed meanwhile, so
   * that fewer than `top` are left of what may be more. Each time more is kept in reserve, so it ends.
   */
  async #runPass(batch: readonly Passenger<Search, Hit[][]>[]): Promise<void> {
    let open = batch.map((passenger): OpenSearch => ({ passenger, keep: passenger.request.top }));
    while (open.length > 0) {
      const snapshot = this.#rows.snapshot();
      try {
        const masked = await this.#maskAll(snapshot, open);
        const found = await this.#find(snapshot, masked.flatMap(({ queries }) => queries));
        let next = 0;
        open = masked.flatMap(({ search, queries }) => {
          const hits = found.slice(next, (next += queries.length));
          return this.#answer(search, hits) ? [] : [search];
        });
      } finally {
        this.#rows.release();
      }
    }
  }

  /** Answers a search with what its scan found, less what was removed since. False: the scan has to be repeated. */
  #answer(search: OpenSearch, found: readonly (readonly Hit[])[]): boolean {
    const { top } = search.passenger.request;
    const held = found.map((hits) => hits.filter(({ id }) => this.#rows.has(id)));
    if (held.some((hits, q) => hits.length < top && (found[q] as Hit[]).length === search.keep)) {
      search.keep *= 2;
      return false;
    }
    search.passenger.resolve(held.map((hits) => hits.slice(0, top)));
    return true;
  }

  /** The queries of each search; one whose predicate throws is rejected and left out. */
  async #maskAll(snapshot: Snapshot, open: readonly OpenSearch[]): Promise<{ search: OpenSearch; queries: OpenQuery[] }[]> {
    const masked: { search: OpenSearch; queries: OpenQuery[] }[] = [];
    for (const search of open) {
      const { vectors, accept } = search.passenger.request;
      try {
        const mask = accept && (await maskRows(snapshot, accept));
        masked.push({ search, queries: vectors.map((query) => ({ ...query, keep: search.keep, mask })) });
      } catch (error) {
        search.passenger.reject(error);
      }
    }
    return masked;
  }

  /** The best rows of each query. */
  async #find(snapshot: Snapshot, queries: readonly OpenQuery[]): Promise<Hit[][]> {
    if (snapshot.rows === 0 || queries.length === 0) return queries.map(() => []);
    const started = performance.now();
    const candidates = await this.#scan(snapshot, queries);
    const { hits, rescored } = await this.#rescore(queries.map(({ vector, keep }, q) => ({ vector, keep, ...describe(snapshot, candidates[q] as Candidates) })));
    this.#onScan?.({ seconds: (performance.now() - started) / 1000, queries: queries.length, rescored });
    return hits;
  }

  /** What could be among the best of each query, of all rows. */
  async #scan(snapshot: Snapshot, queries: readonly OpenQuery[]): Promise<Candidates[]> {
    const wanted = queries.map(({ quantised, keep, mask }): ScanQuery => ({ quantised, keep, mask }));
    const tasks = divide(snapshot, this.#scanner.threads * TASKS_PER_THREAD, this.dim);
    const found = await allDone(tasks.map((ranges, scratch) => this.#scanner.scan({ version: snapshot.version, queries: wanted, ranges, scratch })));
    return queries.map(({ keep }, q) => joinCandidates(found.map((parts) => parts[q] as Candidates), keep));
  }

  async #rescore(queries: readonly RescoreQuery[]): Promise<{ readonly hits: Hit[][]; readonly rescored: number }> {
    const perTask = Math.ceil(queries.length / this.#scanner.threads);
    const tasks = Array.from({ length: Math.ceil(queries.length / perTask) }, (_, i) => queries.slice(i * perTask, (i + 1) * perTask));
    const done = await allDone(tasks.map((part) => this.#scanner.rescore({ fd: this.#file.fd, queries: part })));
    const ranked = done.flatMap((part) => part.ranked);
    const hits = queries.map(({ ids }, q) => Array.from(ranked[q]?.keys ?? [], (key, i): Hit => ({ id: readId(ids, key), score: ranked[q]?.scores[i] as number })));
    return { hits, rescored: done.reduce((sum, { read }) => sum + read, 0) };
  }
}

/** What all came to, once none is under way any more: what they work on may be used again then, also when one failed. */
async function allDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  return settled.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}

/** The candidates of all rows from those of their parts: less those that the best of another part leave out. */
function joinCandidates(parts: readonly Candidates[], keep: number): Candidates {
  const lowers = Float64Array.from(parts.flatMap((part) => [...part.lowers])).sort().reverse().slice(0, keep);
  const floor = lowers.length < keep ? -Infinity : (lowers[keep - 1] as number);
  const kept = parts.flatMap(({ rows, uppers }) => Array.from(rows, (row, i) => ({ row, upper: uppers[i] as number })).filter(({ upper }) => !(upper < floor)));
  return { rows: Uint32Array.from(kept, ({ row }) => row), uppers: Float64Array.from(kept, ({ upper }) => upper), lowers };
}

/** Candidates with what it takes to score them. */
function describe({ parts }: Snapshot, { rows, uppers }: Candidates): Omit<RescoreQuery, 'vector' | 'keep'> {
  const slots = new Uint32Array(rows.length);
  const checksums = new Uint32Array(rows.length);
  const ids = new Uint8Array(rows.length * ID_BYTES);
  rows.forEach((row, i) => {
    const { views, firstRow } = findPart(parts, row);
    const at = row - firstRow;
    slots[i] = views.slots[at] as number;
    checksums[i] = views.checksums[at] as number;
    ids.set(views.ids.subarray(at * ID_BYTES, (at + 1) * ID_BYTES), i * ID_BYTES);
  });
  return { uppers, slots, checksums, ids };
}

/** Which living rows of a snapshot a predicate accepts, in shared memory; asked in slices, so that the event loop is not held. */
async function maskRows(snapshot: Snapshot, accept: (id: string) => boolean): Promise<Uint8Array> {
  const mask = new Uint8Array(new SharedArrayBuffer(snapshot.rows));
  for (const { views: { ids, diedAt }, rows, firstRow } of snapshot.parts) {
    for (let row = 0; row < rows; row++) {
      if (row % ACCEPT_SLICE === ACCEPT_SLICE - 1) await yieldToLoop();
      const died = diedAt[row] as number;
      if ((died === 0 || died > snapshot.version) && accept(readId(ids, row))) mask[firstRow + row] = 1;
    }
  }
  return mask;
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
