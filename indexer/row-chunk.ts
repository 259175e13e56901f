/**
 * A block of rows in shared memory that the kernel computes on: written by the main thread, read by scan workers. Rows
 * are written once, before any scan knows of them, and never overwritten; only `diedAt` of a row changes afterwards.
 */
import { codeLength } from './quantisation.js';

export const ID_BYTES = 32;
export const CHUNK_ROWS_BITS = 14;
/** No chunk has more. */
export const CHUNK_ROWS_MAX = 2 ** CHUNK_ROWS_BITS;
const PAGE_BYTES = 65_536;

/** Queries of which a worker has the codes in a chunk at once. */
export const QUERIES_IN_SCRATCH = 16;
/** Rows of one call of the kernel: with 1,280 numbers each they stay in a second-level cache for the next queries. Even. */
export const BLOCK_ROWS = 128;

/** A chunk as it travels to a worker: shared, not copied. */
export interface ChunkMemory {
  /** Never used again in its index. */
  readonly serial: number;
  readonly memory: WebAssembly.Memory;
  readonly capacity: number;
  readonly dim: number;
  /** Pieces of memory for workers: each task of a scan has one to itself. */
  readonly scratches: number;
}

export interface ChunkViews {
  /** Row r at `[r·stride, r·stride + dim)`. */
  readonly codes: Int8Array;
  /** Of quantisation.ts, by row. */
  readonly scales: Float32Array;
  readonly errors: Float32Array;
  readonly norms: Float32Array;
  /** 0 while the row lives; otherwise the store's version that it is gone from: a scan of version v sees it when `diedAt > v`. */
  readonly diedAt: Uint32Array;
  /** Of vector-file.ts: where the row's numbers lie. */
  readonly slots: Uint32Array;
  readonly checksums: Uint32Array;
  /** The sha256 of row r at `[32·r, 32·(r+1))`: its byte order is the order of the hex ids. */
  readonly ids: Uint8Array;
  readonly stride: number;
}

/** Where a task writes its queries' codes, and the kernel its results. */
export interface Scratch {
  readonly queries: Int16Array;
  readonly queriesAt: number;
  readonly dots: Int32Array;
  readonly dotsAt: number;
}

/** Scale, error, norm, diedAt, slot, checksum. */
const FOUR_BYTE_COLUMNS = 6;

/** Where a row lies among all that an index ever had: later rows have larger ones. */
export function addressOf(serial: number, row: number): number {
  return serial * CHUNK_ROWS_MAX + row;
}

export function placeOf(address: number): { readonly serial: number; readonly row: number } {
  return { serial: Math.floor(address / CHUNK_ROWS_MAX), row: address % CHUNK_ROWS_MAX };
}

/** What a row takes. */
export function rowBytes(dim: number): number {
  return codeLength(dim) + FOUR_BYTE_COLUMNS * 4 + ID_BYTES;
}

export function allocateChunk({ serial, capacity, dim, scratches }: { readonly serial: number; readonly capacity: number; readonly dim: number; readonly scratches: number }): ChunkMemory {
  const pages = Math.ceil((capacity * rowBytes(dim) + scratches * scratchBytes(dim)) / PAGE_BYTES);
  return { serial, memory: new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }), capacity, dim, scratches };
}

export function viewChunk({ memory: { buffer }, capacity, dim }: ChunkMemory): ChunkViews {
  const stride = codeLength(dim);
  const column = (i: number): [SharedArrayBuffer, number, number] => [buffer, capacity * (stride + 4 * i), capacity];
  return {
    codes: new Int8Array(buffer, 0, capacity * stride),
    scales: new Float32Array(...column(0)),
    errors: new Float32Array(...column(1)),
    norms: new Float32Array(...column(2)),
    diedAt: new Uint32Array(...column(3)),
    slots: new Uint32Array(...column(4)),
    checksums: new Uint32Array(...column(5)),
    ids: new Uint8Array(buffer, capacity * (stride + 4 * FOUR_BYTE_COLUMNS), capacity * ID_BYTES),
    stride,
  };
}

export function viewScratch({ memory: { buffer }, capacity, dim }: ChunkMemory, scratch: number): Scratch {
  const queriesAt = capacity * rowBytes(dim) + scratch * scratchBytes(dim);
  const dotsAt = queriesAt + QUERIES_IN_SCRATCH * codeLength(dim) * 2;
  return {
    queries: new Int16Array(buffer, queriesAt, QUERIES_IN_SCRATCH * codeLength(dim)),
    queriesAt,
    dots: new Int32Array(buffer, dotsAt, 2 * BLOCK_ROWS),
    dotsAt,
  };
}

function scratchBytes(dim: number): number {
  return QUERIES_IN_SCRATCH * codeLength(dim) * 2 + 2 * BLOCK_ROWS * 4;
}

/** Writes the 64 hex digits of an id into row `row`. */
export function writeId(ids: Uint8Array, row: number, id: string): void {
  ids.set(Buffer.from(id, 'hex'), row * ID_BYTES);
}

export function readId(ids: Uint8Array, row: number): string {
  return Buffer.from(ids.buffer, ids.byteOffset + row * ID_BYTES, ID_BYTES).toString('hex');
}

/** The first `rows` rows, column by column: as they are saved. */
export function columnsOf({ codes, stride, scales, errors, norms, diedAt, slots, checksums, ids }: ChunkViews, rows: number): Uint8Array[] {
  const bytes = ({ buffer, byteOffset, BYTES_PER_ELEMENT }: Float32Array | Uint32Array): Uint8Array => new Uint8Array(buffer, byteOffset, rows * BYTES_PER_ELEMENT);
  return [new Uint8Array(codes.buffer, codes.byteOffset, rows * stride), ...[scales, errors, norms, diedAt, slots, checksums].map(bytes), ids.subarray(0, rows * ID_BYTES)];
}
