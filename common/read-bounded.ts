/** Reads a body into memory without letting it decide how much. */
import type { Readable } from 'node:stream';
import { ByteCollector } from './byte-collector.js';

/**
 * The whole of a stream, or undefined as soon as it is longer than `bytesMax`. The rest is then left unread and the
 * stream as it is: a request must not be destroyed before it is answered, a response may be.
 *
 * @param onBytes told of what arrives, before it is kept; what it throws ends reading in the same way
 */
export async function readBounded(stream: Readable, bytesMax: number, onBytes?: (bytes: number) => void): Promise<Buffer | undefined> {
  const collected = new ByteCollector();
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (collected.bytes + chunk.length > bytesMax) return undefined;
    onBytes?.(chunk.length);
    collected.add(chunk);
  }
  return collected.whole();
}

/** The whole body of a response, or undefined when it is longer than `bytesMax`: its connection is then given up. */
export async function readResponse(body: Readable, bytesMax: number): Promise<Buffer | undefined> {
  const bytes = await readBounded(body, bytesMax);
  if (!bytes) abandonResponse(body);
  return bytes;
}

/** Gives a response up without reading on; what then goes wrong with it is of no interest. */
export function abandonResponse(body: Readable): void {
  body.on('error', () => undefined).destroy();
}

/** The value of a JSON text; undefined when it is none. */
export function tryParseJson(text: string | Buffer): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}
