/**
 * A hash index of image ids for millions of rows: from an id to the number of the row that holds it. The ids themselves
 * lie where the rows are, in columns that the owner has anyway, so an entry is its number and one byte of its id: with
 * the free places 7 to 14 bytes, where a Map of strings takes 200 and makes every garbage collection longer.
 *
 * Open addressing with linear probing, in 256 parts, so that making room touches a part and not the table. Ids are
 * SHA-256, so their bytes serve as hashes; the last ones, because a shard holds a range of the first. The byte beside
 * each number tells most other ids apart without a look at the column, which is far away in memory.
 */
import { ID_BYTES } from './row-chunk.js';

const PARTS = 256;
const PLACES_MIN = 8;
/** Of the places, taken or left behind. */
const LOAD_MAX = 0.7;
/** After room was made: between two times there is room for a fifth of them. */
const LOAD_AFTER = 0.5;
const LOAD_MIN = 0.1;

const EMPTY = 0;
const REMOVED = 1;
/** What is added to a number where it is kept. */
const FIRST = 2;
/** Numbers are below it. */
export const NUMBERS_MAX = 2 ** 32 - FIRST;

/** Where in an id is what: its part, where the search for it begins (4 bytes), and what tells it from its neighbours. */
const PART_BYTE = ID_BYTES - 1;
const START_BYTES = ID_BYTES - 8;
const TAG_BYTE = ID_BYTES - 2;

/** The columns that ids lie in, 32 bytes each: number n is row `n % 2 ** rowBits` of column `floor(n / 2 ** rowBits)`. */
export interface IdColumns {
  /** 1 to 31. */
  readonly rowBits: number;
  /** Asked often, and only for numbers that were set: it should do no more than look it up. */
  ids(column: number): Uint8Array;
}

interface Part {
  /** The number + FIRST; EMPTY, REMOVED. */
  readonly numbers: Uint32Array;
  readonly tags: Uint8Array;
  /** Places that are not EMPTY. */
  used: number;
  living: number;
}

export class IdTable {
  readonly #columns: IdColumns;
  readonly #rowBits: number;
  readonly #rowMask: number;
  readonly #parts: (Part | undefined)[] = Array.from({ length: PARTS });
  readonly #asked = Buffer.alloc(ID_BYTES);
  #size = 0;

  constructor(columns: IdColumns) {
    this.#columns = columns;
    this.#rowBits = columns.rowBits;
    this.#rowMask = 2 ** columns.rowBits - 1;
  }

  get size(): number {
    return this.#size;
  }

  get memoryBytes(): number {
    return this.#parts.reduce((bytes, part) => bytes + (part ? part.numbers.byteLength + part.tags.byteLength : 0), 0);
  }

  /** @param id 64 lowercase hex digits; what is none has no number */
  get(id: string): number | undefined {
    return this.#read(id) ? this.getAt(this.#asked, 0) : undefined;
  }

  /** As `get`, of the id that lies at a place in some bytes. */
  getAt(ids: Uint8Array, at: number): number | undefined {
    const part = this.#parts[ids[at + PART_BYTE] as number];
    const place = part && this.#find(part, ids, at);
    return part && place !== undefined ? (part.numbers[place] as number) - FIRST : undefined;
  }

  /**
   * Makes a number the one of the id that lies at it in its column. The id must lie there until it is deleted, or set to
   * another number: until then it must lie at both.
   *
   * @returns the number that the id had before
   */
  set(number: number): number | undefined {
    if (!(number >= 0 && number < NUMBERS_MAX)) throw new RangeError(`A table of ids holds numbers from 0 to ${NUMBERS_MAX - 1}, not ${number}.`);
    const ids = this.#columns.ids(number >>> this.#rowBits);
    const at = (number & this.#rowMask) * ID_BYTES;
    const index = ids[at + PART_BYTE] as number;
    const part = this.#parts[index] ?? this.#makeRoom(index, 1);
    const held = this.#find(part, ids, at);
    if (held !== undefined) {
      const before = (part.numbers[held] as number) - FIRST;
      part.numbers[held] = number + FIRST;
      return before;
    }
    put(part.used + 1 > part.numbers.length * LOAD_MAX ? this.#makeRoom(index, part.living + 1) : part, number + FIRST, ids, at);
    this.#size++;
    return undefined;
  }

  /** Makes room for as many ids as a table will hold, so that it is not made again and again while they come. */
  reserve(size: number): void {
    for (let index = 0; index < PARTS; index++) if (size / PARTS > (this.#parts[index]?.living ?? 0)) this.#makeRoom(index, Math.ceil(size / PARTS));
  }

  /** Whether it was held. */
  delete(id: string): boolean {
    const part = this.#read(id) ? this.#parts[this.#asked[PART_BYTE] as number] : undefined;
    const place = part && this.#find(part, this.#asked, 0);
    if (!part || place === undefined) return false;
    part.numbers[place] = REMOVED;
    part.living--;
    this.#size--;
    if (part.numbers.length > PLACES_MIN && part.living < part.numbers.length * LOAD_MIN) this.#makeRoom(this.#asked[PART_BYTE] as number, part.living + 1);
    return true;
  }

  clear(): void {
    this.#parts.fill(undefined);
    this.#size = 0;
  }

  #read(id: string): boolean {
    return id.length === ID_BYTES * 2 && this.#asked.write(id, 'hex') === ID_BYTES;
  }

  /** The place of the id that lies at `at`. */
  #find({ numbers, tags }: Part, ids: Uint8Array, at: number): number | undefined {
    const mask = numbers.length - 1;
    const tag = ids[at + TAG_BYTE];
    for (let place = startOf(ids, at) & mask; ; place = (place + 1) & mask) {
      const kept = numbers[place] as number;
      if (kept === EMPTY) return undefined;
      if (tags[place] === tag && kept >= FIRST && this.#isAt(kept - FIRST, ids, at)) return place;
    }
  }

  #isAt(number: number, ids: Uint8Array, at: number): boolean {
    const column = this.#columns.ids(number >>> this.#rowBits);
    const start = (number & this.#rowMask) * ID_BYTES;
    for (let byte = 0; byte < ID_BYTES; byte++) if (column[start + byte] !== ids[at + byte]) return false;
    return true;
  }

  /** Puts another part in place of one, with what lives in it, fit for so many. */
  #makeRoom(index: number, living: number): Part {
    let places = PLACES_MIN;
    while (living > places * LOAD_AFTER) places *= 2;
    const roomy: Part = { numbers: new Uint32Array(places), tags: new Uint8Array(places), used: 0, living: 0 };
    for (const kept of this.#parts[index]?.numbers ?? []) {
      if (kept >= FIRST) put(roomy, kept, this.#columns.ids((kept - FIRST) >>> this.#rowBits), ((kept - FIRST) & this.#rowMask) * ID_BYTES);
    }
    this.#parts[index] = roomy;
    return roomy;
  }
}

/** Takes the first place that is not taken, one left behind too; the id must not be there. */
function put(part: Part, kept: number, ids: Uint8Array, at: number): void {
  const { numbers, tags } = part;
  const mask = numbers.length - 1;
  let place = startOf(ids, at) & mask;
  while ((numbers[place] as number) >= FIRST) place = (place + 1) & mask;
  if (numbers[place] === EMPTY) part.used++;
  numbers[place] = kept;
  tags[place] = ids[at + TAG_BYTE] as number;
  part.living++;
}

function startOf(ids: Uint8Array, at: number): number {
  const start = at + START_BYTES;
  return (ids[start] as number) | ((ids[start + 1] as number) << 8) | ((ids[start + 2] as number) << 16) | ((ids[start + 3] as number) << 24);
}
