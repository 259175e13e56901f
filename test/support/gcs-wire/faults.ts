/** What the wire server does wrong, and to whom. */

export type Operation = 'insert' | 'session' | 'chunk' | 'status' | 'download' | 'delete' | 'list' | 'metadata';

export type Fault =
  /** Answers an error. */
  | { readonly kind: 'status'; readonly status: number }
  /** Cuts the connection: of an upload, when so many bytes came; of a download, when so many were sent. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** Ends the connection in good order, before all that was announced was sent. */
  | { readonly kind: 'short'; readonly afterBytes: number }
  /** Does the work and loses the answer. */
  | { readonly kind: 'lost' }
  /** Has nothing left of what was uploaded in the session. */
  | { readonly kind: 'forget' }
  /** Answers after a while, or never. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Sends the first bytes and no more. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Sends other bytes than the checksums are of, or (`hash: 'crc32c'`) with that checksum alone. */
  | { readonly kind: 'corrupt'; readonly hash?: 'md5' | 'crc32c' };

interface Planned {
  readonly operation: Operation;
  readonly fault: Fault;
  times: number;
}

export class Faults {
  #planned: Planned[] = [];

  /** The next so many requests of a kind go wrong. */
  plan(operation: Operation, fault: Fault, times = 1): void {
    this.#planned.push({ operation, fault, times });
  }

  take(operation: Operation): Fault | undefined {
    const planned = this.#planned.find((one) => one.operation === operation && one.times > 0);
    if (planned) planned.times--;
    return planned?.fault;
  }
}
