/**
 * The rows of an exact index: in chunks of shared memory with their codes (`row-chunks.ts`), versioned so that a scan sees
 * exactly the rows of the moment it started, whatever is written meanwhile, without a lock; and a file with their vectors.
 * A change appends a new row and marks the old one dead.
 *
 * The slots in the file of rows that died are written again only when no snapshot is held that knows them.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { columnsOf, type ChunkMemory } from './row-chunk.js';
import { RowChunks, type SnapshotPart } from './row-chunks.js';
import type { SectionReader, SectionWriter } from './snapshot-file.js';
import { prepareStaged, StagingArea, viewStaged, type StagedMemory, type StagedRows } from './staged-rows.js';
import { VectorFile, checksumOf, type StoredVector } from './vector-file.js';

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
  /** `prepareStaged` in another thread; default: in this one. */
  readonly prepare?: (staged: StagedMemory) => Promise<void>;
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
  readonly #prepare: RowStoreOptions['prepare'];
  readonly #chunks: RowChunks;
  readonly #staging: StagingArea;
  readonly #writes = new Set<Write>();
  #lastWrite: Promise<unknown> = Promise.resolve();
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
    this.#prepare = prepare;
    this.#chunks = new RowChunks({ dim: file.dim, scratches });
    this.#staging = new StagingArea(file.dim);
  }

  /** For threads that read vectors by themselves. */
  get fd(): number {
    return this.#file.fd;
  }

  get folder(): string {
    return this.#file.folder;
  }

  get size(): number {
    return this.#chunks.size;
  }

  get memoryBytes(): number {
    return this.#chunks.memoryBytes;
  }

  has(id: string): boolean {
    return this.#chunks.has(id);
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
    const staged = this.#staging.take([...last.values()]);
    const write: Write = { removed: new Set() };
    this.#writes.add(write);
    return this.#inTurn(() => this.#put([...last.keys()], staged, write)).finally(() => {
      this.#writes.delete(write);
      this.#staging.giveBack(staged);
    });
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
    const parts = this.#chunks.parts();
    return { version: this.#version, rows: parts.reduce((sum, { rows }) => sum + rows, 0), parts };
  }

  /** Once for every snapshot. */
  release(): void {
    this.#endReading();
  }

  /** Rows from an address of `addressOf` on: those of the first chunk that has some. Undefined when there are none. */
  rowsFrom(address: number): { readonly memory: ChunkMemory; readonly from: number; readonly to: number } | undefined {
    return this.#chunks.rowsFrom(address);
  }

  /** Whether a chunk's rows are still some of the store's. */
  hasChunk(serial: number): boolean {
    return this.#chunks.hasChunk(serial);
  }

  /** Cleans every chunk that needs it, one per turn of the event loop. */
  clean(): Promise<void> {
    return this.#inTurn(async () => {
      while (this.#chunks.cleanOne(() => ++this.#version)) await yieldToLoop();
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
      this.#chunks.clear();
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
    const { version, chunks } = contents as SavedRows;
    try {
      await store.#chunks.restore(chunks, version, reader);
      store.#file.take(store.#chunks.livingSlots());
    } catch (error) {
      store.#file.close({ isKept: true });
      throw error;
    }
    store.#version = version;
    store.#isSaved = true;
    return store;
  }

  /** One that writes at a time: rows are laid out before they are seen. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastWrite.then(work);
    this.#lastWrite = turn.catch(() => undefined);
    return turn;
  }

  async #put(ids: readonly string[], staged: StagedMemory, write: Write): Promise<void> {
    if (!ids.some((id) => this.has(id))) return this.#append(ids, staged, write);
    const { vectors } = viewStaged(staged);
    const entries = ids.map((id, i): Entry => ({ id, vector: vectors.subarray(i * this.dim, (i + 1) * this.dim) }));
    const held = await Promise.all(entries.map((entry) => this.#holds(entry)));
    const changed = entries.filter((_, i) => !held[i]);
    const others = this.#staging.take(changed.map(({ vector }) => vector));
    await this.#append(changed.map(({ id }) => id), others, write).finally(() => this.#staging.giveBack(others));
  }

  /** Adds vectors, and shows them all at once. */
  async #append(ids: readonly string[], staged: StagedMemory, { removed }: Write): Promise<void> {
    if (ids.length === 0) return;
    const rows = viewStaged(staged);
    const slots = await this.#lay(staged, rows);
    if (ids.some((id) => this.has(id))) this.#version++;
    ids.forEach((id, i) => {
      const slot = slots[i] as number;
      if (removed.has(id)) return this.#leave(slot);
      this.#kill(id);
      const { views, row } = this.#chunks.append(id);
      views.codes.set(rows.codes.subarray(i * views.stride, (i + 1) * views.stride), row * views.stride);
      for (const column of ['scales', 'errors', 'norms', 'checksums'] as const) views[column][row] = rows[column][i] as number;
      views.slots[row] = slot;
    });
  }

  /** Writes vectors to slots of the file while what memory keeps of them is computed. */
  async #lay(staged: StagedMemory, { vectors }: StagedRows): Promise<readonly number[]> {
    const prepare = this.#prepare && vectors.length >= PREPARED_BY_THREAD_MIN ? this.#prepare : async (): Promise<void> => prepareStaged(staged);
    const [written, prepared] = await Promise.allSettled([this.#file.append(vectors), prepare(staged)]);
    if (written.status === 'rejected') throw written.reason;
    if (prepared.status === 'fulfilled') return written.value;
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
    const found = this.#chunks.get(id);
    return found && { slot: found.views.slots[found.row] as number, checksum: found.views.checksums[found.row] as number };
  }

  #kill(id: string): void {
    const dead = this.#chunks.kill(id, this.#version);
    if (dead) this.#leave(dead.views.slots[dead.row] as number);
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
