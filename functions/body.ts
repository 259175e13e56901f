/** Reads request bodies within their bounds. */
import type { IncomingMessage } from 'node:http';
import { ByteCollector } from '../common/byte-collector.js';
import { EisError, toEisError } from '../common/errors.js';

export interface BodyOptions {
  /** Asked for every piece before it is kept: its bytes, and those of all so far with it. Throws what it is refused with. */
  readonly onBytes: (bytes: number, total: number) => void;
  readonly timeoutMs: number;
}

/**
 * The whole body of a request. Whatever ends it early, the request is left flowing, so that what still comes is thrown
 * away and the client can read its answer.
 *
 * @throws ClientGone; EisError: what `onBytes` throws, at that byte; EIS_BODY_TIMEOUT
 */
export function readBody(request: IncomingMessage, { onBytes, timeoutMs }: BodyOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const collected = collect(Number(request.headers['content-length'] ?? 0));
    let total = 0;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).on('data', () => undefined);
      settle();
    };
    const onData = (chunk: Buffer): void => {
      total += chunk.length;
      try {
        onBytes(chunk.length, total);
        collected.add(chunk);
      } catch (thrown) {
        finish(() => reject(toEisError(thrown)));
      }
    };
    const onEnd = (): void => finish(() => resolve(collected.whole()));
    const onClose = (): void => finish(() => reject(new ClientGone()));
    const timer = setTimeout(() => finish(() => reject(new EisError('EIS_BODY_TIMEOUT', { timeoutMs }))), timeoutMs);
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', () => undefined);
  });
}

/** The client closed the connection before its request was whole: nobody is there to be answered. */
export class ClientGone extends Error {}

type Collected = Pick<ByteCollector, 'add' | 'whole'>;

/**
 * Puts chunks together: into one buffer where the length was announced (Node holds the body to it), so that an image is
 * in memory once; else as they come. The buffer is not filled, so its pages take no memory before bytes arrive.
 */
function collect(announced: number): Collected {
  if (announced === 0) return new ByteCollector();
  const buffer = Buffer.allocUnsafe(announced);
  let bytes = 0;
  return {
    add: (chunk) => void (bytes += chunk.copy(buffer, bytes)),
    whole: () => buffer.subarray(0, bytes),
  };
}
