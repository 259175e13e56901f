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
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).on('data', () => undefined);
      settle();
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > bound.bytesMax) finish(() => reject(bound.tooLarge()));
    };
    const onEnd = (): void => finish(() => resolve(Buffer.concat(chunks, bytes)));
    const onClose = (): void => finish(() => reject(new ClientGone()));
    const timer = setTimeout(() => finish(() => reject(new EisError('EIS_BODY_TIMEOUT', { timeoutMs }))), timeoutMs);
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', () => undefined);
  });
}

/** The client closed the connection before its request was whole: nobody is there to be answered. */
export class ClientGone extends Error {}
