/** What goes wrong, when a test says so: by command and collection, some times. */
import type { Document } from 'bson';

export type Effect =
  /** The connection is cut before the command is applied, or after it, before it is answered. */
  | { readonly kind: 'cut'; readonly when: 'before' | 'after' }
  /** Nothing is applied, and this is answered; an error of a change of state forgets all cursors, as a server does. */
  | { readonly kind: 'refuse'; readonly code: number; readonly codeName: string }
  /** Applied, but no majority has it in time. */
  | { readonly kind: 'unconfirmed' }
  /** Upserts that would insert meet another one, which `meanwhile` may apply; E11000. */
  | { readonly kind: 'race'; readonly meanwhile?: () => void }
  | { readonly kind: 'slow'; readonly ms: number };

export interface Fault {
  readonly command: string;
  /** Undefined: of any. */
  readonly collection?: string;
  /** How many commands of this kind it spares first. */
  readonly after?: number;
  /** How many it hits then: 1 unless said. */
  readonly times?: number;
  readonly effect: Effect;
}

interface Waiting {
  readonly fault: Fault;
  spares: number;
  left: number;
}

export class WireFaults {
  readonly #waiting: Waiting[] = [];

  inject(fault: Fault): void {
    this.#waiting.push({ fault, spares: fault.after ?? 0, left: fault.times ?? 1 });
  }

  /** How many were injected and did not happen yet. */
  get pending(): number {
    return this.#waiting.reduce((sum, { left }) => sum + left, 0);
  }

  /** The effect on a command that has arrived, if any. */
  take(name: string, command: Document): Effect | undefined {
    const collection = (name === 'getMore' ? command['collection'] : command[name]) as unknown;
    for (const waiting of this.#waiting) {
      const { fault } = waiting;
      if (waiting.left === 0 || fault.command !== name || (fault.collection !== undefined && fault.collection !== collection)) continue;
      if (waiting.spares-- > 0) continue;
      waiting.left--;
      return fault.effect;
    }
    return undefined;
  }
}
