/**
 * The rows of an exact index: in chunks of shared memory with their codes (`row-chunks.ts`), versioned so that a scan sees
 * exactly the rows of the moment it started, whatever is written meanwhile (`row-writer.ts`), without a lock; and a file
 * with their vectors. A change appends a new row and marks the old one dead. All of one moment can be saved, and restored.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { RetiredSlots } from './retired-slots.js';
import { RowChunks, type ChunkRows, type SnapshotPart } from './row-chunks.js';
import { writeChunks, type SavedRows } from './saved-rows.js';
import type { SectionReader } from './snapshot-file.js';
import type { StagedRows } from './staged-rows.js';
import { VectorFile, checksumOf, type StoredVector } from './vector-file.js';
import type { CloseOptions, FrozenIndex, VectorEntry } from './vector-index.js';

/** The rows of one moment, numbered from 0 through all parts. It stays readable until it is released. */
export interface Snapshot {
  readonly version: number;
  readonly rows: number;
  readonly parts: readonly SnapshotPart[];
}

/** What a row is made of besides its id; row i of each. */
export interface LaidRows extends Omit<StagedRows, 'vectors'> {
  readonly slots: readonly number[];
}

export class RowStore {
  readonly dim: number;
  readonly #file: VectorFile;
  readonly #chunks: RowChunks;
  /** Held by snapshots, and while a vector is read. */
  readonly #retired: RetiredSlots;
  /** Counts the calls that killed rows, from 1, because 0 marks the living; at ten a second, its 32 bits last 13 years. */
  #version = 1;

  /** @param options.scratches how many tasks may scan at once */
  constructor({ file, scratches }: { readonly file: VectorFile; readonly scratches: number }) {
    this.dim = file.dim;
    this.#file = file;
    this.#chunks = new RowChunks({ dim: file.dim, scratches });
    this.#retired = new RetiredSlots(file);
  }

  /** For threads that read vectors by themselves. */
  get fd(): number {
    return this.#file.fd;
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

  /** Of `addressOf` of row-chunk.ts: where the living row is of the id that lies at a place in some bytes; undefined: it has none. */
  addressOfId(ids: Uint8Array, at: number): number | undefined {
    return this.#chunks.addressOfId(ids, at);
  }

  /** @throws EisError EIS_INDEX_FILE, EIS_INDEX_DAMAGED */
  async vector(id: string): Promise<Float32Array | undefined> {
    const stored = this.#stored(id);
    if (!stored) return undefined;
    this.#retired.hold();
    return this.#file.read(stored).finally(() => this.#retired.release());
  }

  /** Whether an id has this vector, to the last bit. One that was damaged on the disk it has not. */
  async holds({ id, vector }: VectorEntry): Promise<boolean> {
    const stored = this.#stored(id);
    if (!stored || stored.checksum !== checksumOf(vector)) return false;
    const held = await this.vector(id).catch(() => undefined);
    return held !== undefined && Buffer.from(held.buffer).equals(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));
  }

  /**
   * Writes vectors to the file, where none lies that may be read.
   *
   * @param vectors one after the other
   * @returns their slots, to be shown or given back
   * @throws EisError EIS_INDEX_FILE
   */
  lay(vectors: Float32Array): Promise<readonly number[]> {
    return this.#file.append(vectors);
  }

  /** Of what was laid and is not shown after all. */
  giveBack(slots: Iterable<number>): void {
    this.#file.free(slots);
  }

  /**
   * Makes a row of what was laid for each id, instead of the one that it had. All can be seen at once.
   *
   * @param except ids that get no row: their slots are given back
   */
  show(ids: readonly string[], laid: LaidRows, except: ReadonlySet<string>): void {
    if (ids.some((id) => this.has(id))) this.#version++;
    ids.forEach((id, i) => {
      const slot = laid.slots[i] as number;
      if (except.has(id)) return this.giveBack([slot]);
      this.#kill(id);
      const { views, row } = this.#chunks.append(id);
      views.codes.set(laid.codes.subarray(i * views.stride, (i + 1) * views.stride), row * views.stride);
      for (const column of ['scales', 'errors', 'norms', 'checksums'] as const) views[column][row] = laid[column][i] as number;
      views.slots[row] = slot;
    });
  }

  /** No snapshot that is taken from now on has these ids, until they are shown again. */
  delete(ids: readonly string[]): void {
    if (ids.some((id) => this.has(id))) this.#version++;
    for (const id of ids) this.#kill(id);
  }

  /** To be released when nothing of it is read any more. */
  snapshot(): Snapshot {
    this.#retired.hold();
    const parts = this.#chunks.parts();
    return { version: this.#version, rows: parts.reduce((sum, { rows }) => sum + rows, 0), parts };
  }

  /** Once for every snapshot. */
  release(): void {
    this.#retired.release();
  }

  /** Rows from an address of `addressOf` on: those of the first chunk that has some. Undefined when there are none. */
  rowsFrom(address: number): ChunkRows | undefined {
    return this.#chunks.rowsFrom(address);
  }

  /** Whether a chunk's rows are still some of the store's. */
  hasChunk(serial: number): boolean {
    return this.#chunks.hasChunk(serial);
  }

  /** Cleans a chunk that needs it. False: none does. */
  cleanOne(): boolean {
    return this.#chunks.cleanOne(() => ++this.#version);
  }

  /** Resolves when what was being read is. Snapshots have to have been released. */
  async close({ isKept = false }: CloseOptions = {}): Promise<void> {
    while (this.#retired.isHeld) await yieldToLoop();
    this.#chunks.clear();
    this.#file.close({ isKept });
  }

  /**
   * Holds the rows of this moment for saving. Until another is saved, vectors of rows that die from now on stay where they
   * are, because a process that reads what was saved expects them there.
   */
  freeze(): FrozenIndex {
    const { version, parts } = this.snapshot();
    const kept = this.#retired.keep();
    return {
      folder: this.#file.folder,
      write: async (writer) => {
        await this.#file.sync();
        return writeChunks(version, parts, writer);
      },
      end: (isSaved) => {
        this.release();
        if (isSaved) this.#retired.forget(kept);
      },
    };
  }

  /**
   * The store that was saved, over the file of its vectors.
   *
   * @param contents what `FrozenIndex.write` returned
   * @throws EisError EIS_SNAPSHOT_INVALID, EIS_INDEX_FILE
   */
  static async restore({ dim, folder, scratches }: { readonly dim: number; readonly folder: string; readonly scratches: number }, contents: unknown, reader: SectionReader): Promise<RowStore> {
    const file = new VectorFile({ folder, dim, isThere: true });
    const store = new RowStore({ file, scratches });
    const saved = contents as SavedRows;
    try {
      await store.#chunks.restore(saved, reader);
      file.take(store.#chunks.livingSlots());
    } catch (error) {
      file.close({ isKept: true });
      throw error;
    }
    store.#version = saved.version;
    store.#retired.keep();
    return store;
  }

  #stored(id: string): StoredVector | undefined {
    const found = this.#chunks.get(id);
    return found && { slot: found.views.slots[found.row] as number, checksum: found.views.checksums[found.row] as number };
  }

  #kill(id: string): void {
    const dead = this.#chunks.kill(id, this.#version);
    if (dead) this.#retired.retire(dead.views.slots[dead.row] as number);
  }
}
