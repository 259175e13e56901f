/**
 * `brute`: exact search by scanning every vector, plain float32. Its answers equal those of a float64 scan, ties
 * included: scores are `dot()` of common/vector.ts to the last bit, ranked by score and id.
 *
 * Rows lie in shared memory (`row-store.ts`); worker threads scan disjoint parts of a snapshot of them (`scan.ts`), so
 * even a search of very few rows does not hold the event loop. Concurrent searches share a pass (`shared-pass.ts`).
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { EisError } from '../common/errors.js';
import { compareHits } from '../common/vector.js';
import { IMAGE_ID } from '../common/wire.js';
import { rowBytes } from './row-chunk.js';
import { RowStore, type Snapshot, type SnapshotPart } from './row-store.js';
import type { ScanQuery, ScanRange } from './scan.js';
import type { Scanner } from './scan-pool.js';
import { SharedPass, type Passenger } from './shared-pass.js';
import { mergeRanked, type Ranked } from './top-k.js';
import { isFiniteVector, type Hit, type SearchOptions, type VectorEntry, type VectorIndex } from './vector-index.js';

const QUERIES_PER_PASS_MAX = 64;
const QUERIES_WAITING_MAX = 1_024;
/** A scan's part for one worker is not made smaller than this: handing it over costs about as long as scanning it. */
const TASK_BYTES_MIN = 1024 * 1024;
/** Ids that a predicate is asked about in one turn of the event loop. */
const ACCEPT_SLICE = 2_048;

interface Search {
  readonly queries: number;
  readonly vectors: readonly Float64Array[];
  readonly top: number;
  readonly accept: ((id: string) => boolean) | undefined;
}

/** A search in a pass, with how many rows of each query the next scan keeps: more than `top` when some may be gone after it. */
interface OpenSearch {
  readonly passenger: Passenger<Search, Hit[][]>;
  keep: number;
}

export interface ExactIndexOptions {
  readonly dim: number;
  /** The index's own: closed with it. */
  readonly scanner: Scanner;
  /** Told of every scan: how long it took and for how many queries. */
  readonly onScan?: (scan: { readonly seconds: number; readonly queries: number }) => void;
}

export class ExactIndex implements VectorIndex {
  readonly algorithm = 'brute';
  readonly dim: number;
  readonly #rows: RowStore;
  readonly #scanner: Scanner;
  readonly #onScan: ExactIndexOptions['onScan'];
  readonly #passes: SharedPass<Search, Hit[][]>;

  constructor({ dim, scanner, onScan }: ExactIndexOptions) {
    this.dim = dim;
    this.#rows = new RowStore(dim);
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
    for (const { id, vector } of entries) {
      if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
      this.#checkLength(vector);
      if (!isFiniteVector(vector)) throw new EisError('EIS_VECTOR_INVALID', { detail: `The vector of ${id} has components that are not finite.` });
    }
    this.#rows.put(entries);
    await this.#rows.clean();
  }

  async remove(ids: readonly string[]): Promise<void> {
    this.#rows.delete(ids);
    await this.#rows.clean();
  }

  async search(queries: readonly Float32Array[], { top, accept, signal }: SearchOptions): Promise<Hit[][]> {
    queries.forEach((query) => this.#checkLength(query));
    return this.#passes.add({ queries: queries.length, vectors: queries.map((query) => Float64Array.from(query)), top, accept }, signal);
  }

  async vector(id: string): Promise<Float32Array | undefined> {
    return this.#rows.vector(id)?.slice();
  }

  async close(): Promise<void> {
    await this.#passes.close();
    await this.#scanner.close();
    this.#rows.clear();
  }

  #checkLength(vector: Float32Array): void {
    if (vector.length !== this.dim) throw new EisError('EIS_VECTOR_INVALID', { detail: `The vector has ${vector.length} numbers; this index holds vectors of ${this.dim}.` });
  }

  /**
   * Scans until every search of the batch is answered: again for those of which found ids were removed meanwhile, so
   * that fewer than `top` are left of what may be more. Each time more is kept in reserve, so it ends.
   */
  async #runPass(batch: readonly Passenger<Search, Hit[][]>[]): Promise<void> {
    let open = batch.map((passenger): OpenSearch => ({ passenger, keep: passenger.request.top }));
    while (open.length > 0) {
      const snapshot = this.#rows.snapshot();
      const masked = await this.#maskAll(snapshot, open);
      const found = await this.#scan(snapshot, masked.flatMap(({ queries }) => queries));
      let next = 0;
      open = masked.flatMap(({ search, queries }) => {
        const hits = found.slice(next, (next += queries.length));
        return this.#answer(search, hits) ? [] : [search];
      });
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
  async #maskAll(snapshot: Snapshot, open: readonly OpenSearch[]): Promise<{ search: OpenSearch; queries: ScanQuery[] }[]> {
    const masked: { search: OpenSearch; queries: ScanQuery[] }[] = [];
    for (const search of open) {
      const { vectors, accept } = search.passenger.request;
      try {
        const mask = accept && (await maskRows(snapshot, accept));
        masked.push({ search, queries: vectors.map((vector) => ({ vector, keep: search.keep, mask })) });
      } catch (error) {
        search.passenger.reject(error);
      }
    }
    return masked;
  }

  async #scan(snapshot: Snapshot, queries: readonly ScanQuery[]): Promise<Hit[][]> {
    if (snapshot.rows === 0 || queries.length === 0) return queries.map(() => []);
    const started = performance.now();
    const tasks = divide(snapshot, this.#scanner.threads, this.dim);
    const found = await Promise.all(tasks.map((ranges) => this.#scanner.scan({ version: snapshot.version, queries, ranges })));
    this.#onScan?.({ seconds: (performance.now() - started) / 1000, queries: queries.length });
    return queries.map(({ keep }, q) => mergeRanked(found.map((ranked) => toHits(snapshot, ranked[q] as Ranked)), keep, compareHits));
  }
}

/** Which living rows of a snapshot a predicate accepts, in shared memory; asked in slices, so that the event loop is not held. */
async function maskRows(snapshot: Snapshot, accept: (id: string) => boolean): Promise<Uint8Array> {
  const mask = new Uint8Array(new SharedArrayBuffer(snapshot.rows));
  for (const { ids, rows, firstRow, diedAt } of snapshot.parts) {
    for (let row = 0; row < rows; row++) {
      if (row % ACCEPT_SLICE === ACCEPT_SLICE - 1) await yieldToLoop();
      const died = diedAt[row] as number;
      if ((died === 0 || died > snapshot.version) && accept(ids[row] as string)) mask[firstRow + row] = 1;
    }
  }
  return mask;
}

/** Splits a snapshot into tasks of about as many rows each: twice as many as threads, so that a delayed thread holds up less. */
function divide({ parts, rows }: Snapshot, threads: number, dim: number): ScanRange[][] {
  const count = Math.max(1, Math.min(threads * 2, Math.floor((rows * rowBytes(dim)) / TASK_BYTES_MIN)));
  return Array.from({ length: count }, (_, i) => cut(parts, Math.floor((rows * i) / count), Math.floor((rows * (i + 1)) / count)));
}

function cut(parts: readonly SnapshotPart[], start: number, end: number): ScanRange[] {
  return parts
    .map(({ memory, rows, firstRow }) => ({ memory, firstRow, from: Math.max(0, start - firstRow), to: Math.min(rows, end - firstRow) }))
    .filter(({ from, to }) => from < to);
}

function toHits({ parts }: Snapshot, { scores, keys }: Ranked): Hit[] {
  return Array.from(keys, (key, i) => {
    const part = findPart(parts, key);
    return { id: part.ids[key - part.firstRow] as string, score: scores[i] as number };
  });
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
