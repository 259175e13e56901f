/**
 * How many images the function holds at once. A slot is taken before a body is read, so that memory is bounded, and it
 * stays taken while anything still works on the image, though its client may be gone.
 */
export class Slots {
  readonly #holders = new Map<object, 'receiving' | 'working'>();

  constructor(readonly max: number) {}

  get taken(): number {
    return this.#holders.size;
  }

  /** False when all are taken. */
  take(holder: object): boolean {
    if (this.#holders.size >= this.max) return false;
    this.#holders.set(holder, 'receiving');
    return true;
  }

  /** From now on only `release` frees the holder's slot. */
  work(holder: object): void {
    if (this.#holders.has(holder)) this.#holders.set(holder, 'working');
  }

  /** The holder's connection is closed: frees its slot unless it is being worked for. */
  disconnect(holder: object): void {
    if (this.#holders.get(holder) === 'receiving') this.#holders.delete(holder);
  }

  release(holder: object): void {
    this.#holders.delete(holder);
  }
}
