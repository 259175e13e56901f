/** Reads a body into memory without letting it decide how much. */
import type { Readable } from 'node:stream';
import { ByteCollector } from './byte-collector.js';

/**
 * The whole of a stream, or undefined as soon as it is longer than `bytesMax`. The rest is then left unread and the
 * stream as it is: a request must not be destroyed before it is answered, a response may be.
 *
 * @param onBytes told of what arrives, before it is kept; what it throws ends reading in the same way
 */
export function readBounded(stream: Readable, bytesMax: number, onBytes?: (bytes: number) => void): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    if (stream.destroyed || stream.readableEnded) return reject(stream.errored ?? new Error('The stream was closed before it was read.'));
    const collected = new ByteCollector();
    const settle = (outcome: () => void): void => {
      stream.off('data', take).off('end', end).off('error', fail).off('close', close);
      stream.pause();
      outcome();
    };
    const take = (chunk: Buffer): void => {
      if (collected.bytes + chunk.length > bytesMax) return settle(() => resolve(undefined));
      try {
        onBytes?.(chunk.length);
      } catch (thrown) {
        return fail(thrown as Error);
      }
      collected.add(chunk);
    };
    const end = (): void => settle(() => resolve(collected.whole()));
    const fail = (error: Error): void => settle(() => reject(error));
    const close = (): void => fail(new Error('The stream was closed before its end.'));
    // By its events: an iterator takes several promises for every chunk, on the way of every search.
    stream.on('error', fail).on('close', close).on('end', end).on('data', take);
  });
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
