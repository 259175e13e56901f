/** A function that is about to end: it answers what comes, and tells every client to ask elsewhere from then on. */
import type { ServerResponse } from 'node:http';

export class Leaving {
  readonly #open = new Set<ServerResponse>();
  #hasBegun = false;

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** From now on the connection of every answer is closed after it. */
  begin(): void {
    this.#hasBegun = true;
    for (const response of this.#open) endConnection(response);
  }

  /** A request that is to be answered. */
  follow(response: ServerResponse): void {
    if (this.#hasBegun) return endConnection(response);
    this.#open.add(response);
    response.once('close', () => this.#open.delete(response));
  }
}

function endConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}
