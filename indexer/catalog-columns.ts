/**
 * What a catalog knows of each image in numbers: columns in chunks, so that growing copies nothing. A chunk that is held
 * for saving is not written any more; whoever writes to it gets a copy in its place.
 */
import { ID_BYTES } from './row-chunk.js';

export const ROW_BITS = 12;
const CHUNK_ROWS = 2 ** ROW_BITS;
const ROW_MASK = CHUNK_ROWS - 1;
export const PHASH_BYTES = 8;

/** Of each column, bytes a row; in an order in which each begins where its numbers can lie. */
const ROW_BYTES = { updatedAt: 8, place: 8, phash: PHASH_BYTES, width: 4, height: 4, id: ID_BYTES } as const;
export const CATALOG_ROW_BYTES = Object.values(ROW_BYTES).reduce((sum, bytes) => sum + bytes, 0);

/** The columns of one chunk; row r of those of bytes at `[r·bytes, (r+1)·bytes)`. */
export interface ColumnsChunk {
  /** By how many it is held. */
  holders: number;
  readonly memory: ArrayBuffer;
  /** ms since the epoch. */
  readonly updatedAt: Float64Array;
  /** Of text-arena.ts: where the row's text lies. A row that is free has a negative number. */
  readonly places: Float64Array;
  readonly phashes: Uint8Array;
  readonly widths: Uint32Array;
  readonly heights: Uint32Array;
  readonly ids: Uint8Array;
}

export class CatalogColumns {
  readonly #chunks: ColumnsChunk[] = [];

  get memoryBytes(): number {
    return this.#chunks.length * CHUNK_ROWS * CATALOG_ROW_BYTES;
  }

  /** Makes room for rows below a number. */
  grow(rows: number): void {
    while (this.#chunks.length * CHUNK_ROWS < rows) this.#chunks.push(viewColumns(new ArrayBuffer(CHUNK_ROWS * CATALOG_ROW_BYTES)));
  }

  /** The chunk of a row, to be read. */
  at(row: number): ColumnsChunk {
    return this.#chunks[row >>> ROW_BITS] as ColumnsChunk;
  }

  /** The chunk of a row, to be written now. */
  writable(row: number): ColumnsChunk {
    const chunk = this.at(row);
    if (chunk.holders === 0) return chunk;
    return (this.#chunks[row >>> ROW_BITS] = viewColumns(chunk.memory.slice(0)));
  }

  /** The ids of one chunk. */
  ids(chunk: number): Uint8Array {
    return (this.#chunks[chunk] as ColumnsChunk).ids;
  }

  /** All chunks, to be read, or filled before anything else is done. */
  all(): readonly ColumnsChunk[] {
    return [...this.#chunks];
  }

  /** Holds all chunks as they are, until `release` is given them. */
  hold(): readonly ColumnsChunk[] {
    for (const chunk of this.#chunks) chunk.holders++;
    return this.all();
  }

  release(chunks: readonly ColumnsChunk[]): void {
    for (const chunk of chunks) chunk.holders--;
  }
}

/** The row within its chunk. */
export function rowIn(row: number): number {
  return row & ROW_MASK;
}

/** The first `rows` rows, chunk by chunk and column by column: as they are saved. */
export function bytesOfColumns(chunks: readonly ColumnsChunk[], rows: number): Uint8Array[] {
  return chunks.flatMap(({ memory }, i) => {
    let start = 0;
    return Object.values(ROW_BYTES).map((bytes) => {
      const column = new Uint8Array(memory, start, Math.max(0, Math.min(CHUNK_ROWS, rows - i * CHUNK_ROWS)) * bytes);
      start += CHUNK_ROWS * bytes;
      return column;
    });
  });
}

function viewColumns(memory: ArrayBuffer): ColumnsChunk {
  let start = 0;
  const next = (column: keyof typeof ROW_BYTES): [ArrayBuffer, number] => {
    const at = start;
    start += CHUNK_ROWS * ROW_BYTES[column];
    return [memory, at];
  };
  return {
    holders: 0,
    memory,
    updatedAt: new Float64Array(...next('updatedAt'), CHUNK_ROWS),
    places: new Float64Array(...next('place'), CHUNK_ROWS),
    phashes: new Uint8Array(...next('phash'), CHUNK_ROWS * ROW_BYTES.phash),
    widths: new Uint32Array(...next('width'), CHUNK_ROWS),
    heights: new Uint32Array(...next('height'), CHUNK_ROWS),
    ids: new Uint8Array(...next('id'), CHUNK_ROWS * ROW_BYTES.id),
  };
}
