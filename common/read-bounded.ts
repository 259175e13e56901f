/** Reads a body into memory without letting it decide how much. */
import type { Readable } from 'node:stream';

/**
 * The whole of a stream, or undefined as soon as it is longer than `bytesMax`. The rest is then left unread and the
 * stream as it is: a request must not be destroyed before it is answered, a response may be.
 */
export async function readBounded(stream: Readable, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
