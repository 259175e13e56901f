/**
 * The float32 vectors of an index, in a local file: a search reads the few that it scores again. Every vector lies at a
 * slot, by number. Who uses slots sees to it that none is given free while it may still be read.
 */
import { closeSync, fdatasync, fstatSync, mkdirSync, openSync, read, readSync, rmSync, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { EisError } from '../common/errors.js';

const writeAt = promisify(write);
const readAt = promisify(read);
const syncData = promisify(fdatasync);

/** Where a vector lies, and what its bytes add up to. */
export interface StoredVector {
  readonly slot: number;
  /** CRC-32 of its bytes. */
  readonly checksum: number;
}

export class VectorFile {
  readonly dim: number;
  /** For threads that read by themselves: `readVectorSync`. */
  readonly fd: number;
  readonly folder: string;
  readonly #path: string;
  readonly #free: number[] = [];
  #slots = 0;

  /**
   * Makes the file, empty, in a folder of its own; or opens the one that is there: then `take` is to be called first.
   *
   * @throws EisError EIS_INDEX_FILE
   */
  constructor({ folder, dim, isThere = false }: { readonly folder: string; readonly dim: number; readonly isThere?: boolean }) {
    this.dim = dim;
    this.folder = folder;
    this.#path = join(folder, 'vectors.f32');
    try {
      mkdirSync(folder, { recursive: true });
      this.fd = openSync(this.#path, isThere ? 'r+' : 'w+');
    } catch (error) {
      throw fileError(this.#path, error);
    }
  }

  /**
   * Says which slots of a file that was there are used; all others are free.
   *
   * @throws EisError EIS_SNAPSHOT_INVALID when the file ends before a slot that is used, or one is used twice
   */
  take(used: Iterable<number>): void {
    const isUsed = new Uint8Array(Math.floor(fstatSync(this.fd).size / (this.dim * 4)));
    for (const slot of used) {
      if (slot >= isUsed.length) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'the file of vectors beside it is cut off.' });
      if (isUsed[slot] !== 0) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'it has two vectors at one place.' });
      isUsed[slot] = 1;
      this.#slots = Math.max(this.#slots, slot + 1);
    }
    for (let slot = 0; slot < this.#slots; slot++) if (isUsed[slot] === 0) this.#free.push(slot);
  }

  /**
   * Writes vectors to free slots, and says which.
   *
   * @param vectors one after the other
   * @throws EisError EIS_INDEX_FILE, a full disk above all: then no slot is taken
   */
  async append(vectors: Float32Array): Promise<number[]> {
    const slots = Array.from({ length: vectors.length / this.dim }, () => this.#free.pop() ?? this.#slots++);
    const bytes = new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength);
    const vectorBytes = this.dim * 4;
    try {
      for (const [first, last] of runs(slots)) await this.#writeAll(bytes.subarray(first * vectorBytes, last * vectorBytes), (slots[first] as number) * vectorBytes);
    } catch (error) {
      this.free(slots);
      throw fileError(this.#path, error);
    }
    return slots;
  }

  /** @throws EisError EIS_INDEX_FILE, EIS_INDEX_DAMAGED when it is not what was written */
  async read({ slot, checksum }: StoredVector): Promise<Float32Array> {
    const vector = new Float32Array(this.dim);
    try {
      await readAt(this.fd, vector, 0, vector.byteLength, slot * vector.byteLength);
    } catch (error) {
      throw fileError(this.#path, error);
    }
    return checked(vector, checksum);
  }

  /** Lets slots be written again. */
  free(slots: Iterable<number>): void {
    for (const slot of slots) this.#free.push(slot);
  }

  /** What was written is on the disk when this resolves. */
  async sync(): Promise<void> {
    await syncData(this.fd);
  }

  /** Removes file and folder, unless they are kept for another process. Nothing may be reading. */
  close({ isKept }: { readonly isKept: boolean }): void {
    closeSync(this.fd);
    if (!isKept) rmSync(this.folder, { recursive: true, force: true });
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await writeAt(this.fd, bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }
}

/** Vectors with this much between them are read in one piece: a call costs as much as some pages. */
const GAP_BYTES_MAX = 8_192;
const PIECE_BYTES_MAX = 256 * 1024;

/** Vectors of one file, to be read together. */
export interface VectorReads {
  readonly fd: number;
  readonly dim: number;
  readonly slots: Uint32Array;
  readonly checksums: Uint32Array;
}

/**
 * Reads vectors in a thread of its own, in the order in which they lie in the file.
 *
 * @param which places in `slots` and `checksums`; it is sorted by slot
 * @param onVector told of each, by its place; the vector is valid until it returns
 * @throws EisError EIS_INDEX_DAMAGED
 */
export function readVectorsSync({ fd, dim, slots, checksums }: VectorReads, which: Uint32Array, onVector: (place: number, vector: Float32Array) => void): void {
  const slotOf = (i: number): number => slots[which[i] as number] as number;
  which.sort((a, b) => (slots[a] as number) - (slots[b] as number));
  const gapMax = 1 + Math.floor(GAP_BYTES_MAX / (dim * 4));
  const pieceMax = Math.max(1, Math.floor(PIECE_BYTES_MAX / (dim * 4)));
  for (let first = 0; first < which.length; ) {
    let last = first + 1;
    while (last < which.length && slotOf(last) - slotOf(last - 1) <= gapMax && slotOf(last) - slotOf(first) < pieceMax) last++;
    const start = slotOf(first);
    const piece = new Float32Array((slotOf(last - 1) - start + 1) * dim);
    readSync(fd, piece, 0, piece.byteLength, start * dim * 4);
    for (; first < last; first++) {
      const at = (slotOf(first) - start) * dim;
      const place = which[first] as number;
      onVector(place, checked(piece.subarray(at, at + dim), checksums[place] as number));
    }
  }
}

export function checksumOf(vector: Float32Array): number {
  return crc32(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));
}

function checked(vector: Float32Array, checksum: number): Float32Array {
  if (checksumOf(vector) !== checksum) throw new EisError('EIS_INDEX_DAMAGED', { detail: 'a vector in the local file is not what was written there.' });
  return vector;
}

/** Parts `[first, last)` of a list whose numbers follow each other. */
function runs(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (let first = 0; first < numbers.length; ) {
    let last = first + 1;
    while (last < numbers.length && numbers[last] === (numbers[last - 1] as number) + 1) last++;
    found.push([first, last]);
    first = last;
  }
  return found;
}

function fileError(path: string, cause: unknown): EisError {
  return new EisError('EIS_INDEX_FILE', { path, detail: (cause as Error).message }, { cause });
}
