/**
 * The rows of an approximate index, numbered by the slots of their vectors in the file: what is known of each besides its
 * place in the graph. Rows are born and die by versions, so that a search sees those of the moment it started, whatever
 * is written meanwhile.
 */
import { IdTable } from './id-table.js';
import { ID_BYTES, readId, writeId } from './row-chunk.js';
import type { StoredVector } from './vector-file.js';

const ROWS_MIN = 64;
const NEVER = 0xffff_ffff;
const ALIVE = 0;

export class HnswRows {
  readonly #slots = new IdTable({ rowBits: 31, ids: () => this.#ids });
  #ids = new Uint8Array(0);
  #checksums = new Uint32Array(0);
  /** NEVER: searches do not see it yet. */
  #bornAt = new Uint32Array(0);
  #diedAt = new Uint32Array(0);
  /** The newest graph that each stands in. */
  #graphs = new Uint32Array(0);
  #used = 0;
  /** Counts what changed the rows, from 1; at ten a second, its 32 bits last 13 years. */
  #version = 1;

  /** How many ids have a row. */
  get size(): number {
    return this.#slots.size;
  }

  get memoryBytes(): number {
    return this.#slots.memoryBytes + this.#checksums.length * (ID_BYTES + 4 * Uint32Array.BYTES_PER_ELEMENT);
  }

  /** What a search that starts now has to be told: rows of later changes are not its own. */
  get version(): number {
    return this.#version;
  }

  has(id: string): boolean {
    return this.#slots.get(id) !== undefined;
  }

  /** The row of an id. */
  get(id: string): StoredVector | undefined {
    const slot = this.#slots.get(id);
    return slot === undefined ? undefined : { slot, checksum: this.checksum(slot) };
  }

  id(slot: number): string {
    return readId(this.#ids, slot);
  }

  checksum(slot: number): number {
    return this.#checksums[slot] as number;
  }

  /** The newest graph that a row stands in. */
  graph(slot: number): number {
    return this.#graphs[slot] as number;
  }

  setGraph(slot: number, graph: number): void {
    this.#graphs[slot] = graph;
  }

  /** Whether a row is one of a version. */
  isSeen(slot: number, version: number): boolean {
    const died = this.#diedAt[slot] as number;
    return (this.#bornAt[slot] as number) <= version && (died === ALIVE || died > version);
  }

  /** Makes a row at a free slot, that no search sees yet. */
  stage(id: string, { slot, checksum }: StoredVector): void {
    if (slot >= this.#checksums.length) this.#grow(slot + 1);
    this.#used = Math.max(this.#used, slot + 1);
    writeId(this.#ids, slot, id);
    this.#checksums[slot] = checksum;
    this.#bornAt[slot] = NEVER;
    this.#diedAt[slot] = ALIVE;
  }

  /** Begins a version: what `show` and `kill` change from now on, no search that started before sees. */
  change(): void {
    this.#version++;
  }

  /** Makes a staged row the one of its id. The one before has to have been killed. */
  show(slot: number): void {
    this.#bornAt[slot] = this.#version;
    this.#slots.set(slot);
  }

  /** The slot of the row that an id had; undefined when it had none. */
  kill(id: string): number | undefined {
    const slot = this.#slots.get(id);
    if (slot === undefined) return undefined;
    this.#diedAt[slot] = this.#version;
    this.#slots.delete(id);
    return slot;
  }

  /** Slots of the rows of a version, in parts of a bounded number of slots. */
  *seen(version: number, slotsPerPart: number): Generator<number[]> {
    for (let from = 0; from < this.#used; from += slotsPerPart) {
      const part: number[] = [];
      for (let slot = from; slot < Math.min(this.#used, from + slotsPerPart); slot++) if (this.isSeen(slot, version)) part.push(slot);
      yield part;
    }
  }

  /** Ids of rows, 32 bytes each. */
  joinIds(slots: Uint32Array): Uint8Array {
    const joined = new Uint8Array(slots.length * ID_BYTES);
    slots.forEach((slot, i) => joined.set(this.#ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES), i * ID_BYTES));
    return joined;
  }

  clear(): void {
    this.#slots.clear();
    this.#ids = new Uint8Array(0);
    this.#checksums = this.#bornAt = this.#diedAt = this.#graphs = new Uint32Array(0);
    this.#used = 0;
  }

  #grow(rowsMin: number): void {
    const rows = Math.max(ROWS_MIN, rowsMin, Math.ceil(this.#checksums.length * 1.5));
    const larger = (column: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
      const copy = new Uint32Array(rows);
      copy.set(column);
      return copy;
    };
    const ids = new Uint8Array(rows * ID_BYTES);
    ids.set(this.#ids);
    this.#ids = ids;
    this.#checksums = larger(this.#checksums);
    this.#bornAt = larger(this.#bornAt);
    this.#diedAt = larger(this.#diedAt);
    this.#graphs = larger(this.#graphs);
  }
}
