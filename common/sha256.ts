/** The sha256 of images, without holding up other requests. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Takes under a millisecond, at 1.5 GB/s. */
const PIECE_BYTES = 1024 * 1024;

/**
 * The sha256 of bytes, in hexadecimal. An image of 20 MB takes some 15 ms, so it is hashed in pieces, between which the
 * event loop turns.
 */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    if (at > 0) await nextTurn();
    hash.update(bytes.subarray(at, at + PIECE_BYTES));
  }
  return hash.digest('hex');
}
