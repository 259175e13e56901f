/**
 * Slots in the file of an index's vectors (`vector-file.ts`) whose rows died. They are written again once nobody reads who
 * may look at them, and no saved store may be read again that knows them.
 */
import type { VectorFile } from './vector-file.js';

export class RetiredSlots {
  readonly #file: VectorFile;
  #readers = 0;
  /** Those that a reader may still look at. */
  #left: number[] = [];
  /** Whether a saved store may be read again that knows what died since. */
  #isSaved = false;
  /** Those that only a saved store may know. */
  #saved: number[] = [];

  constructor(file: VectorFile) {
    this.#file = file;
  }

  /** Whether somebody reads. */
  get isHeld(): boolean {
    return this.#readers > 0;
  }

  /** For one who reads: what retires until it is released stays as it is. */
  hold(): void {
    this.#readers++;
  }

  /** Once for every `hold`. */
  release(): void {
    if (--this.#readers > 0) return;
    this.#free(this.#left);
    this.#left = [];
  }

  /** A row died that had this slot. */
  retire(slot: number): void {
    if (this.#readers > 0) this.#left.push(slot);
    else this.#free([slot]);
  }

  /**
   * From now on what retires is kept for a saved store, which has the rows of this moment.
   *
   * @returns how many are kept for one that was saved before: to be given to `forget` once this one has taken its place
   */
  keep(): number {
    this.#isSaved = true;
    return this.#saved.length;
  }

  /** Frees the first that are kept: no store that will be read again knows them. */
  forget(kept: number): void {
    this.#file.free(this.#saved.splice(0, kept));
  }

  #free(slots: readonly number[]): void {
    if (this.#isSaved) for (const slot of slots) this.#saved.push(slot);
    else this.#file.free(slots);
  }
}
