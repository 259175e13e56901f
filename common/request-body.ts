/**
 * What services do with the body of a request besides parsing it: wait for it within a time, notice that its sender has
 * left, and let what nobody wants pass by, so that the sender gets to read its answer.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { EisError } from './errors.js';

export interface BodyDeadline {
  readonly timeoutMs: number;
  /**
   * What may not take longer. `whole`: reading. `progress`: waiting for the next byte while reading, so that an upload may
   * take long but not stand still. `arrival`: waiting for the next byte until the last has come; what is done after that
   * has bounds of its own.
   */
  readonly mode: 'whole' | 'progress' | 'arrival';
}

/** How long, and for how many bytes, a client that has its answer may go on sending before it is cut off. */
const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 64 * 1024 * 1024;

const SHOWN_CHARACTERS_MAX = 100;

/**
 * What `read` makes of the body of `request`, whatever becomes of `read`: a parser that never ends is given up, and the
 * signal that it was given is aborted.
 *
 * @throws EisError EIS_BODY_TIMEOUT (where it waits for bytes, after one to two times the time without any);
 *   EIS_CLIENT_CLOSED when the client left before the body was whole; what `read` throws
 */
export async function readWithin<T>(request: IncomingMessage, deadline: BodyDeadline, read: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const given = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as EisError), { once: true });
  });
  const onClose = (): void => {
    if (isClientGone(request)) controller.abort(new EisError('EIS_CLIENT_CLOSED', {}));
  };
  request.once('close', onClose);
  const timer = watchTime(request, deadline, (error) => controller.abort(error));
  try {
    return await Promise.race([read(controller.signal), given]);
  } catch (thrown) {
    throw isClientGone(request) ? new EisError('EIS_CLIENT_CLOSED', {}, { cause: thrown }) : thrown;
  } finally {
    clearInterval(timer);
    request.off('close', onClose);
  }
}

function watchTime(request: IncomingMessage, { timeoutMs, mode }: BodyDeadline, onOver: (error: EisError) => void): NodeJS.Timeout {
  let received = request.socket.bytesRead;
  return setInterval(() => {
    if (mode === 'arrival' && request.complete) return;
    const before = received;
    received = request.socket.bytesRead;
    if (mode === 'whole' || received === before) onOver(new EisError('EIS_BODY_TIMEOUT', { timeoutMs }));
  }, timeoutMs);
}

/** Whether the connection of a request was closed before its body was read to its end. */
export function isClientGone(request: IncomingMessage): boolean {
  return request.destroyed && !request.readableEnded;
}

/**
 * Before an answer to a request whose body is not all here: keeps Node from closing the connection with it where the
 * client wants none after that. `discardRest` closes it.
 */
export function keepOpen(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete) return;
  response.shouldKeepAlive = true;
  response.removeHeader('connection');
}

/**
 * Reads over what is left of the body of a request that was answered, for a while: a connection that is closed while its
 * client sends may lose the answer on its way.
 */
export function discardRest(request: IncomingMessage): void {
  request.unpipe();
  request.resume();
  if (request.complete || !(request.socket instanceof Socket)) return; // an injected request has no connection
  if (request.destroyed) return request.socket.destroySoon();
  let bytes = 0;
  const cutOff = (): void => void request.socket.destroy();
  const timer = setTimeout(cutOff, LINGER_MS);
  const done = (): void => clearTimeout(timer);
  if (wantsClose(request)) request.once('end', () => request.socket.destroySoon());
  request.on('data', (chunk: Buffer) => {
    if ((bytes += chunk.length) > LINGER_BYTES_MAX) cutOff();
  });
  request.once('end', done).once('close', done);
}

function wantsClose({ httpVersion, headers: { connection = '' } }: IncomingMessage): boolean {
  return httpVersion === '1.0' ? !/\bkeep-alive\b/i.test(connection) : /\bclose\b/i.test(connection);
}

/**
 * The bytes of a request as a stream of its own: whoever reads it may destroy it, and the request stays, for it is yet to
 * be answered.
 */
export function detached(request: IncomingMessage): Readable {
  return Readable.from(chunksOf(request), { objectMode: false });
}

/** As a generator, which takes an error that is thrown into it for an end; the iterator would destroy the request. */
async function* chunksOf(request: IncomingMessage): AsyncGenerator<Buffer> {
  for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk as Buffer;
}

/** What a request says its body is, without parameters; undefined when it says nothing. */
export function mediaType({ 'content-type': type }: IncomingHttpHeaders): string | undefined {
  return type?.split(';', 1)[0]?.trim().toLowerCase();
}

/** A body that was compressed on its way would be taken for what it is not. @throws EisError EIS_MEDIA_TYPE */
export function refuseEncoded({ 'content-encoding': encoding }: IncomingHttpHeaders): void {
  if (encoding === undefined || encoding.trim().toLowerCase() === 'identity') return;
  throw new EisError('EIS_MEDIA_TYPE', { received: `with Content-Encoding ${encoding.slice(0, SHOWN_CHARACTERS_MAX)}`, accepted: 'the bytes as they are' });
}
