/**
 * The rows of an index in memory: append-only chunks, and which row is an id's. A row that dies stays where it is; a full
 * chunk with a fifth of its rows dead is cleaned: its living rows are appended again and the chunk is dropped. Cleaning
 * one is a short step (16 MB at most), so memory never doubles.
 */
import { EisError } from '../common/errors.js';
import { IdTable } from './id-table.js';
import { addressOf, allocateChunk, CHUNK_ROWS_BITS, CHUNK_ROWS_MAX, placeOf, readId, rowBytes, viewChunk, writeId, type ChunkMemory, type ChunkViews } from './row-chunk.js';
import { readChunk, type SavedRows } from './saved-rows.js';
import type { SectionReader } from './snapshot-file.js';

const CHUNK_BYTES_MAX = 16 * 1024 * 1024;
const CHUNK_ROWS_MIN = 64;
const DEAD_SHARE_MAX = 1 / 5;

interface Chunk {
  /** Where it stands among the chunks: one that comes when it is gone takes its place. */
  readonly place: number;
  readonly memory: ChunkMemory;
  readonly views: ChunkViews;
  /** Rows that searches see; those behind them are being written. */
  rows: number;
  dead: number;
}

export interface Row {
  readonly views: ChunkViews;
  readonly row: number;
}

/** Rows `[from, to)` of a chunk. */
export interface ChunkRows {
  readonly memory: ChunkMemory;
  readonly from: number;
  readonly to: number;
}

/** Rows of one chunk that a snapshot holds: the first `rows` of them. */
export interface SnapshotPart {
  readonly memory: ChunkMemory;
  readonly views: ChunkViews;
  readonly rows: number;
  /** The snapshot's number of the chunk's first row. */
  readonly firstRow: number;
}

export class RowChunks {
  readonly #dim: number;
  readonly #scratches: number;
  readonly #capacityMax: number;
  readonly #chunks: (Chunk | undefined)[] = [];
  /** Of each id's living row: `place · CHUNK_ROWS_MAX + row`. */
  readonly #rows = new IdTable({ rowBits: CHUNK_ROWS_BITS, ids: (place) => (this.#chunks[place] as Chunk).views.ids });
  #open: Chunk | undefined;
  #serials = 0;

  /** @param scratches how many tasks may scan at once */
  constructor({ dim, scratches }: { readonly dim: number; readonly scratches: number }) {
    this.#dim = dim;
    this.#scratches = scratches;
    this.#capacityMax = Math.max(1, Math.min(CHUNK_ROWS_MAX, Math.floor(CHUNK_BYTES_MAX / rowBytes(dim))));
  }

  /** How many ids have a row. */
  get size(): number {
    return this.#rows.size;
  }

  get memoryBytes(): number {
    return this.#living().reduce((bytes, { memory }) => bytes + memory.memory.buffer.byteLength, this.#rows.memoryBytes);
  }

  has(id: string): boolean {
    return this.#rows.get(id) !== undefined;
  }

  /** The living row of an id. */
  get(id: string): Row | undefined {
    const number = this.#rows.get(id);
    return number === undefined ? undefined : { views: this.#at(number).views, row: number % CHUNK_ROWS_MAX };
  }

  /** Address of the living row of the id that lies at a place in some bytes; undefined: it has none. */
  addressOfId(ids: Uint8Array, at: number): number | undefined {
    const number = this.#rows.getAt(ids, at);
    return number === undefined ? undefined : addressOf(this.#at(number).memory.serial, number % CHUNK_ROWS_MAX);
  }

  /** A row for an id, whose row before is dead; to be filled in the same turn of the event loop. */
  append(id: string): Row {
    const chunk = this.#open && this.#open.rows < this.#open.memory.capacity ? this.#open : this.#openChunk();
    const row = chunk.rows++;
    writeId(chunk.views.ids, row, id);
    this.#rows.set(chunk.place * CHUNK_ROWS_MAX + row);
    return { views: chunk.views, row };
  }

  /** The row that an id had, dead from a version on; undefined when it had none. */
  kill(id: string, version: number): Row | undefined {
    const number = this.#rows.get(id);
    if (number === undefined) return undefined;
    const chunk = this.#at(number);
    const row = number % CHUNK_ROWS_MAX;
    chunk.views.diedAt[row] = version;
    chunk.dead++;
    this.#rows.delete(id);
    return { views: chunk.views, row };
  }

  /** All rows, numbered from 0 through all parts. */
  parts(): SnapshotPart[] {
    let firstRow = 0;
    return this.#living().map(({ memory, views, rows }) => {
      const part: SnapshotPart = { memory, views, rows, firstRow };
      firstRow += rows;
      return part;
    });
  }

  /** Rows from an address of `addressOf` on: those of the first chunk that has some. Undefined when there are none. */
  rowsFrom(address: number): ChunkRows | undefined {
    const { serial, row } = placeOf(address);
    const first = this.#living()
      .filter(({ memory, rows }) => memory.serial > serial || (memory.serial === serial && rows > row))
      .reduce<Chunk | undefined>((least, chunk) => (least && least.memory.serial < chunk.memory.serial ? least : chunk), undefined);
    return first && { memory: first.memory, from: first.memory.serial === serial ? row : 0, to: first.rows };
  }

  hasChunk(serial: number): boolean {
    return this.#living().some(({ memory }) => memory.serial === serial);
  }

  /**
   * Cleans a chunk that needs it.
   *
   * @param nextVersion the version from which its rows are dead
   * @returns false when none needs it
   */
  cleanOne(nextVersion: () => number): boolean {
    const chunk = this.#chunks.find((each) => each && each.rows === each.memory.capacity && each.dead >= each.memory.capacity * DEAD_SHARE_MAX);
    if (chunk) this.#clean(chunk, nextVersion());
    return chunk !== undefined;
  }

  clear(): void {
    this.#rows.clear();
    this.#chunks.length = 0;
    this.#open = undefined;
  }

  /**
   * Reads the chunks that were saved, into none.
   *
   * @throws EisError EIS_SNAPSHOT_INVALID
   */
  async restore(saved: SavedRows, reader: SectionReader): Promise<void> {
    const { chunks } = saved;
    this.#serials = chunks.length;
    this.#rows.reserve(chunks.reduce((sum, count) => sum + count, 0));
    for (const place of chunks.keys()) {
      const reading = readChunk(saved, { serial: place, dim: this.#dim, scratches: this.#scratches }, reader);
      const [next] = await Promise.all([reading, this.#take(this.#chunks.at(-1))]); // one is taken while a thread reads the next
      this.#chunks.push({ place, ...next });
    }
    await this.#take(this.#chunks.at(-1));
  }

  /** Slots in the file of all living rows. */
  *livingSlots(): Generator<number> {
    for (const { rows, views } of this.#living()) for (let row = 0; row < rows; row++) if (views.diedAt[row] === 0) yield views.slots[row] as number;
  }

  #at(number: number): Chunk {
    return this.#chunks[Math.floor(number / CHUNK_ROWS_MAX)] as Chunk;
  }

  #living(): Chunk[] {
    return this.#chunks.filter((chunk) => chunk !== undefined);
  }

  /** A new chunk for as many rows as there are, within bounds: a small index stays small, a large one has few chunks. */
  #openChunk(): Chunk {
    const capacity = Math.min(this.#capacityMax, Math.max(CHUNK_ROWS_MIN, this.#rows.size));
    const memory = allocateChunk({ serial: this.#serials++, capacity, dim: this.#dim, scratches: this.#scratches });
    const hole = this.#chunks.indexOf(undefined);
    const chunk: Chunk = { place: hole === -1 ? this.#chunks.length : hole, memory, views: viewChunk(memory), rows: 0, dead: 0 };
    this.#chunks[chunk.place] = chunk;
    this.#open = chunk;
    return chunk;
  }

  #clean(chunk: Chunk, version: number): void {
    if (this.#open === chunk) this.#open = undefined;
    const { views: from, rows, place } = chunk;
    for (let row = 0; row < rows; row++) {
      if (from.diedAt[row] !== 0) continue;
      from.diedAt[row] = version;
      const { views: to, row: next } = this.append(readId(from.ids, row));
      to.codes.set(from.codes.subarray(row * from.stride, (row + 1) * from.stride), next * to.stride);
      for (const column of ['scales', 'errors', 'norms', 'slots', 'checksums'] as const) to[column][next] = from[column][row] as number;
    }
    this.#chunks[place] = undefined; // now that no id of the table lies there any more
  }

  async #take(chunk: Chunk | undefined): Promise<void> {
    if (!chunk) return;
    const { place, views: { diedAt }, rows } = chunk;
    for (let row = 0; row < rows; row++) {
      if (diedAt[row] === 0 && this.#rows.set(place * CHUNK_ROWS_MAX + row) !== undefined) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'it has two vectors of one image.' });
    }
  }
}
