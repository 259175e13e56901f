/**
 * Puts the pieces of a body together. Pieces are as small as their sender likes, and a piece by itself takes some 200 bytes
 * and keeps the 64 KB that it arrived in: three million pieces of one byte were 500 MB. Small ones are copied into blocks.
 */

const BLOCK_BYTES = 64 * 1024;
/** A piece of this size may keep what it arrived in. */
const LARGE_BYTES = 16 * 1024;

export class ByteCollector {
  readonly #pieces: Buffer[] = [];
  /** What small pieces are copied into; the first `#used` bytes hold some. */
  #block = Buffer.alloc(0);
  #used = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(piece: Buffer): void {
    this.#bytes += piece.length;
    if (piece.length >= LARGE_BYTES) {
      this.#closeBlock();
      this.#pieces.push(piece);
      return;
    }
    if (this.#used + piece.length > this.#block.length) {
      this.#closeBlock();
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    }
    this.#used += piece.copy(this.#block, this.#used);
  }

  /** All pieces in their order, which are then held no more: asked for once, in the end. */
  whole(): Buffer {
    this.#closeBlock();
    return Buffer.concat(this.#pieces.splice(0), this.#bytes);
  }

  /** Leaves the rest of the block to be filled by what comes next. */
  #closeBlock(): void {
    if (this.#used > 0) this.#pieces.push(this.#block.subarray(0, this.#used));
    this.#block = this.#block.subarray(this.#used);
    this.#used = 0;
  }
}
