/**
 * Refuses requests whose bodies are still on their way so that every client reads why. A server that closes with unread
 * bytes resets the connection, and the client that is still sending sees that in place of the answer; one that keeps the
 * connection for another request makes that one wait behind the rest of the refused body, and fail with it. So the
 * answer is written whole at once, with `Connection: close`, and its exchange stays open while the rest is thrown away:
 * until it has all come or the client has closed, within bounds.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface LingerBounds {
  /** How long a refused client may go on sending before it is cut off. */
  readonly timeoutMs: number;
  /** Bytes of one refused body that are read; with more the client is left to wait, until it closes or is cut off. */
  readonly bytesMax: number;
  /** Refused clients that are waited for at once; one more is cut off at once. */
  readonly clientsMax: number;
}

export class Lingering {
  readonly #ends = new Set<() => void>();
  #closing = false;

  constructor(private readonly bounds: LingerBounds) {}

  /** Clients that are waited for. */
  get size(): number {
    return this.#ends.size;
  }

  /** Ends a response, whose answer is written, when the rest of its request has passed by. */
  hold(request: IncomingMessage, response: ServerResponse): void {
    if (request.complete || request.destroyed || this.#closing || this.#ends.size >= this.bounds.clientsMax) return void response.end();
    let bytes = 0;
    const end = (): void => {
      clearTimeout(timer);
      this.#ends.delete(end);
      response.end();
    };
    const timer = setTimeout(() => {
      end();
      request.socket.destroy();
    }, this.bounds.timeoutMs);
    this.#ends.add(end);
    response.once('close', end);
    request.once('end', end).on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > this.bounds.bytesMax) request.pause();
    });
  }

  /** Waits for nobody any more: the server is closing. */
  close(): void {
    this.#closing = true;
    for (const end of this.#ends) end();
  }
}
