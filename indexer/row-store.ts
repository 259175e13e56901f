/**
 * The rows of an exact index: append-only chunks of shared memory, versioned so that a scan sees exactly the rows of the
 * moment it started, whatever is written meanwhile, without a lock. A change appends a new row and marks the old one
 * dead; a full chunk with a fifth of its rows dead is cleaned: its living rows are appended again and the chunk is
 * dropped. Cleaning one chunk is a short step (8 MB at most), so memory never doubles and the event loop is not held.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { allocateChunk, rowBytes, viewChunk, writeId, type ChunkMemory, type ChunkViews } from './row-chunk.js';

const CHUNK_BYTES_MAX = 8 * 1024 * 1024;
const CHUNK_ROWS_MAX = 8_192;
const CHUNK_ROWS_MIN = 64;
const DEAD_SHARE_MAX = 1 / 5;

interface Chunk {
  /** Never used again: with a row it makes an address. */
  readonly serial: number;
  readonly memory: ChunkMemory;
  readonly views: ChunkViews;
  /** By row; kept for dead rows too, because scans that started before may still find them. */
  readonly ids: string[];
  dead: number;
}

/** Rows of one chunk that a snapshot holds: the first `rows` of them. */
export interface SnapshotPart {
  readonly memory: ChunkMemory;
  readonly rows: number;
  /** The snapshot's number of the chunk's first row. */
  readonly firstRow: number;
  readonly ids: readonly string[];
  readonly diedAt: Uint32Array;
}

/** The rows of one moment, numbered from 0 through all parts. It stays readable for as long as it is held. */
export interface Snapshot {
  readonly version: number;
  readonly rows: number;
  readonly parts: readonly SnapshotPart[];
}

export class RowStore {
  readonly dim: number;
  readonly #chunkRowsMax: number;
  readonly #chunks = new Map<number, Chunk>();
  /** Address of each id's living row: `serial · CHUNK_ROWS_MAX + row`. */
  readonly #addresses = new Map<string, number>();
  #open: Chunk | undefined;
  #serials = 0;
  /** Counts the calls that killed rows, from 1, because 0 marks the living; at ten a second, its 32 bits last 13 years. */
  #version = 1;

  constructor(dim: number) {
    this.dim = dim;
    this.#chunkRowsMax = Math.max(1, Math.min(CHUNK_ROWS_MAX, Math.floor(CHUNK_BYTES_MAX / rowBytes(dim))));
  }

  get size(): number {
    return this.#addresses.size;
  }

  get memoryBytes(): number {
    return [...this.#chunks.values()].reduce((bytes, { memory }) => bytes + memory.buffer.byteLength, 0);
  }

  has(id: string): boolean {
    return this.#addresses.has(id);
  }

  /** A view of the living row of an id. */
  vector(id: string): Float32Array | undefined {
    const address = this.#addresses.get(id);
    if (address === undefined) return undefined;
    const { chunk, row } = this.#at(address);
    return chunk.views.vectors.subarray(row * this.dim, (row + 1) * this.dim);
  }

  /** Writes vectors, of one id given twice the last; one that is equal to what is held changes nothing. */
  put(entries: readonly { readonly id: string; readonly vector: Float32Array }[]): void {
    const last = new Map(entries.map(({ id, vector }) => [id, vector]));
    const changed = [...last].filter(([id, vector]) => !isEqual(this.vector(id), vector));
    if (changed.some(([id]) => this.has(id))) this.#version++;
    for (const [id, vector] of changed) {
      this.#kill(id);
      this.#append(id, vector);
    }
  }

  delete(ids: readonly string[]): void {
    if (ids.some((id) => this.has(id))) this.#version++;
    for (const id of ids) this.#kill(id);
  }

  snapshot(): Snapshot {
    let rows = 0;
    const parts = [...this.#chunks.values()].map(({ memory, views, ids }) => {
      const part: SnapshotPart = { memory, rows: ids.length, firstRow: rows, ids, diedAt: views.diedAt };
      rows += ids.length;
      return part;
    });
    return { version: this.#version, rows, parts };
  }

  /** Cleans every chunk that needs it, one per turn of the event loop. */
  async clean(): Promise<void> {
    for (let chunk = this.#findUnclean(); chunk; chunk = this.#findUnclean()) {
      this.#cleanChunk(chunk);
      await yieldToLoop();
    }
  }

  clear(): void {
    this.#chunks.clear();
    this.#addresses.clear();
    this.#open = undefined;
  }

  #at(address: number): { chunk: Chunk; row: number } {
    return { chunk: this.#chunks.get(Math.floor(address / CHUNK_ROWS_MAX)) as Chunk, row: address % CHUNK_ROWS_MAX };
  }

  #kill(id: string): void {
    const address = this.#addresses.get(id);
    if (address === undefined) return;
    const { chunk, row } = this.#at(address);
    chunk.views.diedAt[row] = this.#version;
    chunk.dead++;
    this.#addresses.delete(id);
  }

  #append(id: string, vector: Float32Array): void {
    const chunk = this.#open && this.#open.ids.length < this.#open.memory.capacity ? this.#open : this.#openChunk();
    const row = chunk.ids.length;
    chunk.views.vectors.set(vector, row * this.dim);
    writeId(chunk.views.ids, row, id);
    chunk.ids.push(id);
    this.#addresses.set(id, chunk.serial * CHUNK_ROWS_MAX + row);
  }

  /** A new chunk for as many rows as there are, within bounds: a small index stays small, a large one has few chunks. */
  #openChunk(): Chunk {
    const capacity = Math.min(this.#chunkRowsMax, Math.max(CHUNK_ROWS_MIN, this.#addresses.size));
    const memory = allocateChunk(capacity, this.dim);
    const chunk: Chunk = { serial: this.#serials++, memory, views: viewChunk(memory), ids: [], dead: 0 };
    this.#chunks.set(chunk.serial, chunk);
    this.#open = chunk;
    return chunk;
  }

  #findUnclean(): Chunk | undefined {
    for (const chunk of this.#chunks.values()) {
      const isFull = chunk.ids.length === chunk.memory.capacity;
      if (isFull && chunk.dead >= chunk.memory.capacity * DEAD_SHARE_MAX) return chunk;
    }
    return undefined;
  }

  #cleanChunk(chunk: Chunk): void {
    if (this.#open === chunk) this.#open = undefined;
    this.#version++;
    const { vectors, diedAt } = chunk.views;
    chunk.ids.forEach((id, row) => {
      if (diedAt[row] !== 0) return;
      this.#kill(id);
      this.#append(id, vectors.subarray(row * this.dim, (row + 1) * this.dim));
    });
    this.#chunks.delete(chunk.serial);
  }
}

function isEqual(a: Float32Array | undefined, b: Float32Array): boolean {
  if (!a) return false;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
