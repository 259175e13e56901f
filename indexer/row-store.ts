/**
 * The rows of an exact index: append-only chunks of shared memory with their codes, versioned so that a scan sees exactly
 * the rows of the moment it started, whatever is written meanwhile, without a lock; and a file with their vectors. A
 * change appends a new row and marks the old one dead; a full chunk with a fifth of its rows dead is cleaned: its living
 * rows are appended again and the chunk is dropped. Cleaning one chunk is a short step (16 MB at most), so memory never
 * doubles and the event loop is not held.
 *
 * The slots in the file of rows that died are written again only when no snapshot is held that knows them.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { EisError } from '../common/errors.js';
import { IdTable } from './id-table.js';
import { prepareRows, type PreparedRows, type PrepareTask } from './prepare-rows.js';
import { allocateChunk, CHUNK_ROWS_BITS, CHUNK_ROWS_MAX, columnsOf, placeOf, readId, rowBytes, viewChunk, writeId, type ChunkMemory, type ChunkViews } from './row-chunk.js';
import type { SectionReader, SectionWriter } from './snapshot-file.js';
import { VectorFile, checksumOf, type StoredVector } from './vector-file.js';

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

/** Rows of one chunk that a snapshot holds: the first `rows` of them. */
export interface SnapshotPart {
  readonly memory: ChunkMemory;
  readonly views: ChunkViews;
  readonly rows: number;
  /** The snapshot's number of the chunk's first row. */
  readonly firstRow: number;
}

/** The rows of one moment, numbered from 0 through all parts. It stays readable until it is released. */
export interface Snapshot {
  readonly version: number;
  readonly rows: number;
  readonly parts: readonly SnapshotPart[];
}

interface Entry {
  readonly id: string;
  readonly vector: Float32Array;
}

export interface RowStoreOptions {
  /** How many tasks may scan at once. */
  readonly scratches: number;
  /** `prepareRows` in another thread; default: in this one. */
  readonly prepare?: (task: PrepareTask) => Promise<PreparedRows>;
}

/** Fewer numbers are prepared in less time than it takes to hand them to a thread. */
const PREPARED_BY_THREAD_MIN = 16_384;

/** What a saved store says of itself; its rows are sections. */
interface SavedRows {
  readonly version: number;
  /** Rows of each chunk. */
  readonly chunks: readonly number[];
}

/** The rows of a moment, to be saved. */
export interface FrozenRows {
  /** Writes the rows, once their vectors are on the disk. */
  write(writer: SectionWriter): Promise<unknown>;
  /**
   * To be called once.
   *
   * @param isSaved whether what was written will be read again, and nothing that was saved before
   */
  end(isSaved: boolean): void;
}

/** A call that writes, until what it writes can be seen. */
interface Write {
  /** Ids that were removed since it began: they stay so. */
  readonly removed: Set<string>;
}

export class RowStore {
  readonly dim: number;
  readonly #file: VectorFile;
  readonly #scratches: number;
  readonly #prepare: RowStoreOptions['prepare'];
  readonly #chunkRowsMax: number;
  readonly #chunks: (Chunk | undefined)[] = [];
  /** Address of each id's living row: `place · CHUNK_ROWS_MAX + row`. */
  readonly #addresses = new IdTable({ rowBits: CHUNK_ROWS_BITS, ids: (place) => (this.#chunks[place] as Chunk).views.ids });
  readonly #writes = new Set<Write>();
  #lastWrite: Promise<unknown> = Promise.resolve();
  #open: Chunk | undefined;
  #serials = 0;
  /** Counts the calls that killed rows, from 1, because 0 marks the living; at ten a second, its 32 bits last 13 years. */
  #version = 1;
  /** Snapshots that are held, and vectors that are being read. */
  #readers = 0;
  /** Slots of dead rows that a reader may still look at. */
  #leftSlots: number[] = [];
  /** Whether a saved store may be read again that knows what died since. */
  #isSaved = false;
  /** Slots of dead rows that only a saved store may know. */
  #savedSlots: number[] = [];

  constructor({ file, scratches, prepare }: RowStoreOptions & { readonly file: VectorFile }) {
    this.dim = file.dim;
    this.#file = file;
    this.#scratches = scratches;
    this.#prepare = prepare;
    this.#chunkRowsMax = Math.max(1, Math.min(CHUNK_ROWS_MAX, Math.floor(CHUNK_BYTES_MAX / rowBytes(this.dim))));
  }

  /** For threads that read vectors by themselves. */
  get fd(): number {
    return this.#file.fd;
  }

  get folder(): string {
    return this.#file.folder;
  }

  get size(): number {
    return this.#addresses.size;
  }

  get memoryBytes(): number {
    return this.#chunks.reduce((bytes, chunk) => bytes + (chunk?.memory.memory.buffer.byteLength ?? 0), this.#addresses.memoryBytes);
  }

  has(id: string): boolean {
    return this.#addresses.get(id) !== undefined;
  }

  /** @throws EisError EIS_INDEX_FILE, EIS_INDEX_DAMAGED */
  async vector(id: string): Promise<Float32Array | undefined> {
    const stored = this.#stored(id);
    if (!stored) return undefined;
    this.#readers++;
    return this.#file.read(stored).finally(() => this.#endReading());
  }

  /**
   * Writes vectors, of one id given twice the last; one that is equal to what is held changes nothing. What is written
   * can be seen all at once when this resolves.
   *
   * @throws EisError EIS_INDEX_FILE: then nothing was changed
   */
  put(entries: readonly Entry[]): Promise<void> {
    const last = new Map(entries.map(({ id, vector }) => [id, vector]));
    const copies = joinVectors([...last.values()], this.dim);
    const write: Write = { removed: new Set() };
    this.#writes.add(write);
    return this.#inTurn(() => this.#put([...last.keys()], copies, write)).finally(() => this.#writes.delete(write));
  }

  /** No snapshot that is taken from now on has these ids. */
  delete(ids: readonly string[]): void {
    for (const { removed } of this.#writes) for (const id of ids) removed.add(id);
    if (ids.some((id) => this.has(id))) this.#version++;
    for (const id of ids) this.#kill(id);
  }

  /** To be released when nothing of it is read any more. */
  snapshot(): Snapshot {
    this.#readers++;
    let firstRow = 0;
    const parts: SnapshotPart[] = [];
    for (const chunk of this.#chunks) {
      if (!chunk) continue;
      const { memory, views, rows } = chunk;
      parts.push({ memory, views, rows, firstRow });
      firstRow += rows;
    }
    return { version: this.#version, rows: firstRow, parts };
  }

  /** Rows from an address of `addressOf` on: those of the first chunk that has some. Undefined when there are none. */
  rowsFrom(address: number): { readonly memory: ChunkMemory; readonly from: number; readonly to: number } | undefined {
    const { serial, row } = placeOf(address);
    const first = this.#living()
      .filter(({ memory, rows }) => memory.serial > serial || (memory.serial === serial && rows > row))
      .reduce<Chunk | undefined>((least, chunk) => (least && least.memory.serial < chunk.memory.serial ? least : chunk), undefined);
    return first && { memory: first.memory, from: first.memory.serial === serial ? row : 0, to: first.rows };
  }

  /** Whether a chunk's rows are still some of the store's. */
  hasChunk(serial: number): boolean {
    return this.#living().some(({ memory }) => memory.serial === serial);
  }

  /** Once for every snapshot. */
  release(): void {
    this.#endReading();
  }

  /** Cleans every chunk that needs it, one per turn of the event loop. */
  clean(): Promise<void> {
    return this.#inTurn(async () => {
      for (let chunk = this.#findUnclean(); chunk; chunk = this.#findUnclean()) {
        this.#cleanChunk(chunk);
        await yieldToLoop();
      }
    });
  }

  /**
   * Resolves when what was being written or read is. Snapshots have to have been released.
   *
   * @param isKept whether the file stays, for what was saved
   */
  async close({ isKept = false }: { readonly isKept?: boolean } = {}): Promise<void> {
    await this.#inTurn(async () => {
      while (this.#readers > 0) await yieldToLoop();
      this.#addresses.clear();
      this.#chunks.length = 0;
      this.#open = undefined;
      this.#file.close({ isKept });
    });
  }

  /**
   * Holds the rows of this moment for saving. Until another is saved, vectors of rows that die from now on stay where they
   * are, because a process that reads what was saved expects them there.
   */
  freeze(): FrozenRows {
    const { version, parts } = this.snapshot();
    const known = this.#savedSlots.length;
    this.#isSaved = true;
    return {
      write: async (writer) => {
        await this.#file.sync();
        for (const { views, rows } of parts) await writer.write(columnsOf(views, rows));
        return { version, chunks: parts.map(({ rows }) => rows) } satisfies SavedRows;
      },
      end: (isSaved) => {
        this.release();
        if (isSaved) this.#file.free(this.#savedSlots.splice(0, known));
      },
    };
  }

  /**
   * The store that was saved, over the file of its vectors.
   *
   * @param contents what `FrozenRows.write` returned
   * @throws EisError EIS_SNAPSHOT_INVALID, EIS_INDEX_FILE
   */
  static async restore({ dim, folder, ...options }: RowStoreOptions & { readonly dim: number; readonly folder: string }, contents: unknown, reader: SectionReader): Promise<RowStore> {
    const store = new RowStore({ file: new VectorFile({ folder, dim, isThere: true }), ...options });
    try {
      await store.#restore(contents as SavedRows, reader);
    } catch (error) {
      store.#file.close({ isKept: true });
      throw error;
    }
    return store;
  }

  async #restore({ version, chunks }: SavedRows, reader: SectionReader): Promise<void> {
    this.#version = version;
    this.#isSaved = true;
    this.#serials = chunks.length;
    this.#addresses.reserve(chunks.reduce((sum, rows) => sum + rows, 0));
    for (const rows of chunks) {
      const reading = this.#readChunk(rows, reader);
      const [next] = await Promise.all([reading, this.#take(this.#chunks.at(-1))]); // one is taken while a thread reads the next
      this.#chunks.push(next);
    }
    await this.#take(this.#chunks.at(-1));
    this.#file.take(livingSlots(this.#chunks));
  }

  /** The next of the chunks that were saved. */
  async #readChunk(rows: number, reader: SectionReader): Promise<Chunk> {
    if (!(rows > 0 && rows <= CHUNK_ROWS_MAX) || reader.nextBytes !== rows * rowBytes(this.dim)) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'a part of it has another length than it should.' });
    const place = this.#chunks.length;
    const memory = allocateChunk({ serial: place, capacity: rows, dim: this.dim, scratches: this.#scratches });
    const views = viewChunk(memory);
    await reader.read(columnsOf(views, rows));
    return { place, memory, views, rows, dead: reviveRows(views, rows, this.#version) };
  }

  async #take(chunk: Chunk | undefined): Promise<void> {
    if (!chunk) return;
    const { place, views: { diedAt }, rows } = chunk;
    for (let row = 0; row < rows; row++) {
      if (diedAt[row] === 0 && this.#addresses.set(place * CHUNK_ROWS_MAX + row) !== undefined) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'it has two vectors of one image.' });
    }
  }

  /** One that writes at a time: rows are laid out before they are seen. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastWrite.then(work);
    this.#lastWrite = turn.catch(() => undefined);
    return turn;
  }

  async #put(ids: readonly string[], vectors: Float32Array, { removed }: Write): Promise<void> {
    const entries = ids.map((id, i): Entry => ({ id, vector: vectors.subarray(i * this.dim, (i + 1) * this.dim) }));
    const held = await Promise.all(entries.map((entry) => this.#holds(entry)));
    const changed = entries.filter((_, i) => !held[i]);
    if (changed.length === 0) return;
    const { slots, rows } = await this.#lay(changed.length === entries.length ? vectors : joinVectors(changed.map(({ vector }) => vector), this.dim));
    if (changed.some(({ id }) => this.has(id))) this.#version++;
    changed.forEach(({ id }, i) => {
      const slot = slots[i] as number;
      if (removed.has(id)) return this.#leave(slot);
      this.#kill(id);
      const { views, row } = this.#append(id);
      views.codes.set(rows.codes.subarray(i * views.stride, (i + 1) * views.stride), row * views.stride);
      for (const column of ['scales', 'errors', 'norms', 'checksums'] as const) views[column][row] = rows[column][i] as number;
      views.slots[row] = slot;
    });
  }

  /** Writes vectors to the file while what memory keeps of them is computed. */
  async #lay(vectors: Float32Array): Promise<{ readonly slots: readonly number[]; readonly rows: PreparedRows }> {
    const task: PrepareTask = { dim: this.dim, vectors };
    const prepare = this.#prepare && vectors.length >= PREPARED_BY_THREAD_MIN ? this.#prepare : async (): Promise<PreparedRows> => prepareRows(task);
    const [written, prepared] = await Promise.allSettled([this.#file.append(vectors), prepare(task)]);
    if (written.status === 'rejected') throw written.reason;
    if (prepared.status === 'fulfilled') return { slots: written.value, rows: prepared.value };
    this.#file.free(written.value);
    throw prepared.reason;
  }

  /** Whether an id has this vector, to the last bit. One that was damaged on the disk is written again. */
  async #holds({ id, vector }: Entry): Promise<boolean> {
    const stored = this.#stored(id);
    if (!stored || stored.checksum !== checksumOf(vector)) return false;
    const held = await this.vector(id).catch(() => undefined);
    return held !== undefined && Buffer.from(held.buffer).equals(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));
  }

  #stored(id: string): StoredVector | undefined {
    const address = this.#addresses.get(id);
    if (address === undefined) return undefined;
    const { chunk: { views }, row } = this.#at(address);
    return { slot: views.slots[row] as number, checksum: views.checksums[row] as number };
  }

  #at(address: number): { chunk: Chunk; row: number } {
    return { chunk: this.#chunks[Math.floor(address / CHUNK_ROWS_MAX)] as Chunk, row: address % CHUNK_ROWS_MAX };
  }

  #kill(id: string): void {
    const address = this.#addresses.get(id);
    if (address === undefined) return;
    const { chunk, row } = this.#at(address);
    chunk.views.diedAt[row] = this.#version;
    chunk.dead++;
    this.#addresses.delete(id);
    this.#leave(chunk.views.slots[row] as number);
  }

  /** A row for an id, to be filled in the same turn of the event loop. */
  #append(id: string): { readonly views: ChunkViews; readonly row: number } {
    const chunk = this.#open && this.#open.rows < this.#open.memory.capacity ? this.#open : this.#openChunk();
    const row = chunk.rows++;
    writeId(chunk.views.ids, row, id);
    this.#addresses.set(chunk.place * CHUNK_ROWS_MAX + row);
    return { views: chunk.views, row };
  }

  /** A new chunk for as many rows as there are, within bounds: a small index stays small, a large one has few chunks. */
  #openChunk(): Chunk {
    const capacity = Math.min(this.#chunkRowsMax, Math.max(CHUNK_ROWS_MIN, this.#addresses.size));
    const memory = allocateChunk({ serial: this.#serials++, capacity, dim: this.dim, scratches: this.#scratches });
    const hole = this.#chunks.indexOf(undefined);
    const chunk: Chunk = { place: hole === -1 ? this.#chunks.length : hole, memory, views: viewChunk(memory), rows: 0, dead: 0 };
    this.#chunks[chunk.place] = chunk;
    this.#open = chunk;
    return chunk;
  }

  #living(): Chunk[] {
    return this.#chunks.filter((chunk) => chunk !== undefined);
  }

  #findUnclean(): Chunk | undefined {
    return this.#chunks.find((chunk) => chunk && chunk.rows === chunk.memory.capacity && chunk.dead >= chunk.memory.capacity * DEAD_SHARE_MAX);
  }

  #cleanChunk(chunk: Chunk): void {
    if (this.#open === chunk) this.#open = undefined;
    this.#version++;
    const { views: from, rows, place } = chunk;
    for (let row = 0; row < rows; row++) {
      if (from.diedAt[row] !== 0) continue;
      from.diedAt[row] = this.#version;
      const { views: to, row: next } = this.#append(readId(from.ids, row));
      to.codes.set(from.codes.subarray(row * from.stride, (row + 1) * from.stride), next * to.stride);
      for (const column of ['scales', 'errors', 'norms', 'slots', 'checksums'] as const) to[column][next] = from[column][row] as number;
    }
    this.#chunks[place] = undefined; // now that no id of the table lies there any more
  }

  #leave(slot: number): void {
    if (this.#readers > 0) this.#leftSlots.push(slot);
    else this.#free([slot]);
  }

  #endReading(): void {
    if (--this.#readers > 0) return;
    this.#free(this.#leftSlots);
    this.#leftSlots = [];
  }

  #free(slots: readonly number[]): void {
    if (this.#isSaved) for (const slot of slots) this.#savedSlots.push(slot);
    else this.#file.free(slots);
  }
}

/** One after the other: written as they lie, and one thing to be collected. */
function joinVectors(vectors: readonly Float32Array[], dim: number): Float32Array {
  const joined = new Float32Array(vectors.length * dim);
  vectors.forEach((vector, i) => joined.set(vector, i * dim));
  return joined;
}

/** Slots of the living rows of chunks. */
function* livingSlots(chunks: readonly (Chunk | undefined)[]): Generator<number> {
  for (const chunk of chunks) for (let row = 0; row < (chunk?.rows ?? 0); row++) if (chunk?.views.diedAt[row] === 0) yield chunk.views.slots[row] as number;
}

/**
 * Makes rows that died after `version` live again.
 *
 * @returns how many are dead
 */
function reviveRows({ diedAt }: ChunkViews, rows: number, version: number): number {
  let dead = 0;
  for (let row = 0; row < rows; row++) {
    if ((diedAt[row] as number) > version) diedAt[row] = 0;
    if (diedAt[row] !== 0) dead++;
  }
  return dead;
}
