/**
 * Writes to the rows of an index, one call after the other. Vectors are laid in the file while what memory keeps of them
 * is computed, and only then shown, all at once: a search sees all that a call wrote, or nothing, and waits for none.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { RowStore } from './row-store.js';
import type { Scanner } from './scan-pool.js';
import { prepareStaged, StagingArea, viewStaged, type StagedMemory } from './staged-rows.js';
import type { CloseOptions, VectorEntry } from './vector-index.js';

/** Fewer numbers are prepared in less time than it takes to hand them to a thread. */
const PREPARED_BY_THREAD_MIN = 16_384;

/** A call that writes, until what it writes can be seen. */
interface Write {
  /** Ids that were removed since it began: they stay so. */
  readonly removed: Set<string>;
}

export class RowWriter {
  readonly #rows: RowStore;
  readonly #scanner: Scanner;
  readonly #staging: StagingArea;
  readonly #writes = new Set<Write>();
  #lastWrite: Promise<unknown> = Promise.resolve();

  /** @param options.rows nobody else writes to them */
  constructor({ rows, scanner }: { readonly rows: RowStore; readonly scanner: Scanner }) {
    this.#rows = rows;
    this.#scanner = scanner;
    this.#staging = new StagingArea(rows.dim);
  }

  /**
   * Writes vectors, of one id given twice the last; one that is equal to what is held changes nothing. What is written
   * can be seen all at once when this resolves.
   *
   * @throws EisError EIS_INDEX_FILE: then nothing was changed
   */
  put(entries: readonly VectorEntry[]): Promise<void> {
    const last = new Map(entries.map(({ id, vector }) => [id, vector]));
    const staged = this.#staging.take([...last.values()]);
    const write: Write = { removed: new Set() };
    this.#writes.add(write);
    return this.#inTurn(() => this.#put([...last.keys()], staged, write)).finally(() => {
      this.#writes.delete(write);
      this.#staging.giveBack(staged);
    });
  }

  /** No snapshot that is taken from now on has these ids, unless they are put again. */
  delete(ids: readonly string[]): void {
    for (const { removed } of this.#writes) for (const id of ids) removed.add(id);
    this.#rows.delete(ids);
  }

  /** Cleans every chunk that needs it, one per turn of the event loop. */
  clean(): Promise<void> {
    return this.#inTurn(async () => {
      while (this.#rows.cleanOne()) await yieldToLoop();
    });
  }

  /** Closes the rows when what was being written is: `RowStore.close`. */
  close(options?: CloseOptions): Promise<void> {
    return this.#inTurn(() => this.#rows.close(options));
  }

  /** One that writes at a time: rows are laid out before they are seen. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastWrite.then(work);
    this.#lastWrite = turn.catch(() => undefined);
    return turn;
  }

  async #put(ids: readonly string[], staged: StagedMemory, write: Write): Promise<void> {
    if (!ids.some((id) => this.#rows.has(id))) return this.#append(ids, staged, write);
    const { dim } = this.#rows;
    const { vectors } = viewStaged(staged);
    const entries = ids.map((id, i): VectorEntry => ({ id, vector: vectors.subarray(i * dim, (i + 1) * dim) }));
    const held = await Promise.all(entries.map((entry) => this.#rows.holds(entry)));
    const changed = entries.filter((_, i) => !held[i]);
    const others = this.#staging.take(changed.map(({ vector }) => vector));
    await this.#append(changed.map(({ id }) => id), others, write).finally(() => this.#staging.giveBack(others));
  }

  async #append(ids: readonly string[], staged: StagedMemory, { removed }: Write): Promise<void> {
    if (ids.length === 0) return;
    const rows = viewStaged(staged);
    this.#rows.show(ids, { ...rows, slots: await this.#lay(staged, rows.vectors) }, removed);
  }

  /** Writes vectors to slots of the file while what memory keeps of them is computed. */
  async #lay(staged: StagedMemory, vectors: Float32Array): Promise<readonly number[]> {
    const preparing = vectors.length >= PREPARED_BY_THREAD_MIN ? this.#scanner.prepare(staged) : (async () => prepareStaged(staged))();
    const [laid, prepared] = await Promise.allSettled([this.#rows.lay(vectors), preparing]);
    if (laid.status === 'rejected') throw laid.reason;
    if (prepared.status === 'fulfilled') return laid.value;
    this.#rows.giveBack(laid.value);
    throw prepared.reason;
  }
}
