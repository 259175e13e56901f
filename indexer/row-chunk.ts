/**
 * A block of rows in shared memory: written by the main thread, read by scan workers. Rows are written once, before
 * any scan knows of them, and never overwritten; only `diedAt` of a row changes afterwards.
 */

const ID_BYTES = 32;
const DIED_AT_BYTES = 4;

/** A chunk as it travels to a worker: shared, not copied. */
export interface ChunkMemory {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly dim: number;
}

export interface ChunkViews {
  /** Row r at `[r·dim, (r+1)·dim)`. */
  readonly vectors: Float32Array;
  /** 0 while the row lives; otherwise the store's version that it is gone from: a scan of version v sees it when `diedAt > v`. */
  readonly diedAt: Uint32Array;
  /** The sha256 of row r at `[32·r, 32·(r+1))`: its byte order is the order of the hex ids. */
  readonly ids: Uint8Array;
}

export function rowBytes(dim: number): number {
  return dim * Float32Array.BYTES_PER_ELEMENT + DIED_AT_BYTES + ID_BYTES;
}

export function allocateChunk(capacity: number, dim: number): ChunkMemory {
  return { buffer: new SharedArrayBuffer(capacity * rowBytes(dim)), capacity, dim };
}

export function viewChunk({ buffer, capacity, dim }: ChunkMemory): ChunkViews {
  const diedAtStart = capacity * dim * Float32Array.BYTES_PER_ELEMENT;
  return {
    vectors: new Float32Array(buffer, 0, capacity * dim),
    diedAt: new Uint32Array(buffer, diedAtStart, capacity),
    ids: new Uint8Array(buffer, diedAtStart + capacity * DIED_AT_BYTES, capacity * ID_BYTES),
  };
}

/** Writes the 64 hex digits of an id into row `row`. */
export function writeId(ids: Uint8Array, row: number, id: string): void {
  ids.set(Buffer.from(id, 'hex'), row * ID_BYTES);
}

/** A row of a chunk by its id. */
export interface IdOfRow {
  readonly ids: Uint8Array;
  readonly row: number;
}

/** Whether the id of a row comes before that of another. */
export function idPrecedes(a: IdOfRow, b: IdOfRow): boolean {
  const aStart = a.row * ID_BYTES;
  const bStart = b.row * ID_BYTES;
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = (a.ids[aStart + i] as number) - (b.ids[bStart + i] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
