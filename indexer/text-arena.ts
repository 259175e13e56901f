/**
 * Texts of rows, one after the other in pieces of memory: a text takes its bytes and 8 more, and none is an object of
 * its own. Texts are only ever added: one that is replaced stays behind, and a piece half of which stayed behind is
 * emptied into another and dropped. So what is dead is never more than what lives and a piece or two, emptying one is a
 * short step, and what was written of a piece can be read while the arena goes on.
 *
 * A text in a piece: the number of its row (4 bytes), the length of its bytes (4 bytes), its bytes, and up to 3 more so
 * that the next begins at a multiple of 4.
 */
import { EisError } from '../common/errors.js';

const PIECE_BYTES_MAX = 1024 * 1024;
const PIECE_BYTES_MIN = 16 * 1024;
const HEADER_BYTES = 8;
const DEAD_SHARE_MAX = 1 / 2;
/** A place is `piece · PIECE_SPAN + start`. */
const PIECE_SPAN = 2 ** 32;

interface Piece {
  readonly bytes: Uint8Array;
  /** The same memory: the text at start s has its header at word s / 4. */
  readonly words: Uint32Array;
  /** Bytes that are written. */
  used: number;
  /** Of those, bytes of texts that are no row's any more. */
  dead: number;
}

/** Who knows where the text of each row is. */
export interface TextOwner {
  placeOf(row: number): number;
  /** The text of a row was moved. */
  moved(row: number, place: number): void;
}

export class TextArena {
  readonly #owner: TextOwner;
  readonly #pieces: (Piece | undefined)[] = [];
  /** The piece that is written. */
  #open = -1;
  /** Bytes of all pieces, used or not. */
  #bytes = 0;

  constructor(owner: TextOwner) {
    this.#owner = owner;
  }

  get memoryBytes(): number {
    return this.#bytes;
  }

  /** The bytes at a place, where they lie: to be read at once. */
  read(place: number): Uint8Array {
    const { bytes, words } = this.#pieces[Math.floor(place / PIECE_SPAN)] as Piece;
    const start = place % PIECE_SPAN;
    return bytes.subarray(start + HEADER_BYTES, start + HEADER_BYTES + (words[start / 4 + 1] as number));
  }

  /** What `look` makes of the text that lies at `[start, end)` of some bytes: of a place, as `read`, but without an object made for it. */
  look<T>(place: number, look: (bytes: Uint8Array, start: number, end: number) => T): T {
    const index = Math.floor(place / PIECE_SPAN);
    const start = place - index * PIECE_SPAN;
    const { bytes, words } = this.#pieces[index] as Piece;
    return look(bytes, start + HEADER_BYTES, start + HEADER_BYTES + (words[start / 4 + 1] as number));
  }

  /** Writes the text of a row, and tells the owner where. */
  write(row: number, text: Uint8Array): void {
    const piece = this.#pieceFor(sizeOf(text.length));
    const { bytes, words, used } = piece;
    words[used / 4] = row;
    words[used / 4 + 1] = text.length;
    bytes.set(text, used + HEADER_BYTES);
    piece.used += sizeOf(text.length);
    this.#owner.moved(row, this.#open * PIECE_SPAN + used);
  }

  /** Gives the text at a place up. The owner must not name the place any more. */
  drop(place: number): void {
    const index = Math.floor(place / PIECE_SPAN);
    const piece = this.#pieces[index] as Piece;
    piece.dead += sizeOf(piece.words[(place % PIECE_SPAN) / 4 + 1] as number);
    if (index !== this.#open) this.#clean(index);
  }

  /** What is written now, by piece, of one that was dropped nothing: it stays as it is, whatever the arena does. */
  parts(): Uint8Array[] {
    return Array.from(this.#pieces, (piece) => piece?.bytes.subarray(0, piece.used) ?? new Uint8Array(0));
  }

  /**
   * Makes room for what `parts` gave, to be filled, in an empty arena; then `adopt` is to be called.
   *
   * @param lengths of the parts, in bytes
   * @throws EisError EIS_SNAPSHOT_INVALID for what are none
   */
  allocate(lengths: readonly number[]): Uint8Array[] {
    if (!lengths.every((length) => Number.isSafeInteger(length) && length >= 0 && length % 4 === 0)) throw invalid();
    const written = lengths.filter((length) => length > 0);
    this.#open = lengths.indexOf(Math.min(...written)); // the one with the most room goes on
    return lengths.map((length, i) => {
      const piece = length === 0 ? undefined : this.#allocate(i === this.#open ? Math.max(length, pieceBytes(sum(written))) : length);
      this.#pieces.push(piece);
      if (!piece) return new Uint8Array(0);
      piece.used = length;
      return piece.bytes.subarray(0, length);
    });
  }

  /**
   * Checks what `allocate` was filled with against what the owner knows, from end to end.
   *
   * @param rows the owner's rows have numbers below it
   * @returns how many rows have a text
   * @throws EisError EIS_SNAPSHOT_INVALID
   */
  adopt(rows: number): number {
    return this.#pieces.reduce((living, piece, index) => living + (piece ? this.#adoptPiece(piece, index, rows) : 0), 0);
  }

  #adoptPiece(piece: Piece, index: number, rows: number): number {
    const { words, used } = piece;
    let living = 0;
    for (let start = 0; start < used; ) {
      const row = words[start / 4] as number;
      const size = start + HEADER_BYTES <= used ? sizeOf(words[start / 4 + 1] as number) : Infinity;
      if (row >= rows || start + size > used) throw invalid();
      if (this.#owner.placeOf(row) === index * PIECE_SPAN + start) living++;
      else piece.dead += size;
      start += size;
    }
    return living;
  }

  /** The open piece with so much room, or another that is opened. */
  #pieceFor(size: number): Piece {
    const open = this.#pieces[this.#open];
    if (open && open.used + size <= open.bytes.length) return open;
    const full = this.#open;
    const piece = this.#allocate(Math.max(size, pieceBytes(this.#bytes)));
    const hole = this.#pieces.indexOf(undefined);
    this.#open = hole === -1 ? this.#pieces.length : hole;
    this.#pieces[this.#open] = piece;
    if (open) this.#clean(full);
    return this.#pieceFor(size); // what was cleaned may have filled it
  }

  /** Empties a piece that is not open, when enough of it is dead. */
  #clean(index: number): void {
    const piece = this.#pieces[index] as Piece;
    if (piece.dead < piece.used * DEAD_SHARE_MAX) return;
    const { bytes, words, used } = piece;
    for (let start = 0; start < used; ) {
      const row = words[start / 4] as number;
      const length = words[start / 4 + 1] as number;
      if (this.#owner.placeOf(row) === index * PIECE_SPAN + start) this.write(row, bytes.subarray(start + HEADER_BYTES, start + HEADER_BYTES + length));
      start += sizeOf(length);
    }
    this.#pieces[index] = undefined;
    this.#bytes -= bytes.length;
  }

  #allocate(length: number): Piece {
    const bytes = new Uint8Array(length);
    this.#bytes += length;
    return { bytes, words: new Uint32Array(bytes.buffer), used: 0, dead: 0 };
  }
}

/** Of a new piece beside others of so many bytes together. */
function pieceBytes(others: number): number {
  return Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, others));
}

/** What a text of so many bytes takes. */
function sizeOf(length: number): number {
  return HEADER_BYTES + Math.ceil(length / 4) * 4;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function invalid(): EisError {
  return new EisError('EIS_SNAPSHOT_INVALID', { detail: 'the texts in it do not fit together.' });
}
