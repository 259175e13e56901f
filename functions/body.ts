/** Reads request bodies within their bounds. */
import type { IncomingMessage } from 'node:http';
import { EisError } from '../common/errors.js';
import type { BodyBound } from './admission.js';

/**
 * The whole body of a request. Whatever ends it early, the request is left flowing, so that what still comes is thrown
 * away and the client can read its answer.
 *
 * @throws ClientGone; EisError: the bound's own, as soon as a byte is too many; EIS_BODY_TIMEOUT
 */
export function readBody(request: IncomingMessage, bound: BodyBound, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const collected = collect(Number(request.headers['content-length'] ?? 0));
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).on('data', () => undefined);
      settle();
    };
    const onData = (chunk: Buffer): void => {
      if (collected.add(chunk) > bound.bytesMax) finish(() => reject(bound.tooLarge()));
    };
    const onEnd = (): void => finish(() => resolve(collected.whole()));
    const onClose = (): void => finish(() => reject(new ClientGone()));
    const timer = setTimeout(() => finish(() => reject(new EisError('EIS_BODY_TIMEOUT', { timeoutMs }))), timeoutMs);
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', () => undefined);
  });
}

/** The client closed the connection before its request was whole: nobody is there to be answered. */
export class ClientGone extends Error {}

interface Collected {
  /** Returns the bytes so far. */
  readonly add: (chunk: Buffer) => number;
  readonly whole: () => Buffer;
}

/**
 * Puts chunks together: into one buffer where the length was announced (Node holds the body to it), so that an image is
 * in memory once; else as they come.
 */
function collect(announced: number): Collected {
  const buffer = Buffer.allocUnsafe(announced);
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    add: (chunk) => {
      if (announced > 0) chunk.copy(buffer, bytes);
      else chunks.push(chunk);
      return (bytes += chunk.length);
    },
    whole: () => (announced > 0 ? buffer.subarray(0, bytes) : Buffer.concat(chunks, bytes)),
  };
}
