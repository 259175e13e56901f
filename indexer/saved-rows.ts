/**
 * How the rows of an index lie in a snapshot: each chunk is a section, with its columns one after the other. Rows that died
 * while they were written are living ones of the moment that was saved, and live again when they are read.
 */
import { EisError } from '../common/errors.js';
import { allocateChunk, CHUNK_ROWS_MAX, columnsOf, rowBytes, viewChunk, type ChunkMemory, type ChunkViews } from './row-chunk.js';
import type { SectionReader, SectionWriter } from './snapshot-file.js';

/** What saved rows say of themselves beside their sections. */
export interface SavedRows {
  /** The store's, of the moment that was saved. */
  readonly version: number;
  /** Rows of each chunk. */
  readonly chunks: readonly number[];
}

/** A chunk as it was read: it is full. */
export interface SavedChunk {
  readonly memory: ChunkMemory;
  readonly views: ChunkViews;
  readonly rows: number;
  readonly dead: number;
}

/** Writes the first `rows` of each chunk. */
export async function writeChunks(version: number, parts: readonly { readonly views: ChunkViews; readonly rows: number }[], writer: SectionWriter): Promise<SavedRows> {
  for (const { views, rows } of parts) await writer.write(columnsOf(views, rows));
  return { version, chunks: parts.map(({ rows }) => rows) };
}

/**
 * Reads the next chunk.
 *
 * @param shape its place among them, and what the index's chunks are like
 * @throws EisError EIS_SNAPSHOT_INVALID
 */
export async function readChunk({ version, chunks }: SavedRows, shape: { readonly serial: number; readonly dim: number; readonly scratches: number }, reader: SectionReader): Promise<SavedChunk> {
  const rows = chunks[shape.serial] as number;
  if (!(rows > 0 && rows <= CHUNK_ROWS_MAX) || reader.nextBytes !== rows * rowBytes(shape.dim)) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'a part of it has another length than it should.' });
  const memory = allocateChunk({ ...shape, capacity: rows });
  const views = viewChunk(memory);
  await reader.read(columnsOf(views, rows));
  return { memory, views, rows, dead: reviveRows(views, rows, version) };
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
