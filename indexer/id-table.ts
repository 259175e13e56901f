/**
 * A map from image ids to numbers for millions of ids: 40 bytes an entry and its share of free places, where a Map of
 * strings takes 200 and makes every garbage collection longer.
 *
 * Open addressing with linear probing, in 256 parts, so that making room copies a part and not the table. Ids are
 * SHA-256, so their bytes serve as hashes; the last ones, because a shard holds a range of the first.
 */
const ID_WORDS = 8;
const PARTS = 256;
const PLACES_MIN = 8;
/** Of the places, taken or left behind. */
const LOAD_MAX = 0.7;
/** After room was made: between two times there is room for a fifth of them. */
const LOAD_AFTER = 0.5;
const LOAD_MIN = 0.1;

const EMPTY = 0;
const REMOVED = -1;

interface Part {
  readonly keys: Uint32Array;
  /** The number + 1; EMPTY, REMOVED. */
  readonly values: Float64Array;
  /** Places that are not EMPTY. */
  used: number;
  living: number;
}

export class IdTable {
  readonly #parts: (Part | undefined)[] = Array.from({ length: PARTS });
  readonly #id = Buffer.alloc(ID_WORDS * 4);
  readonly #key = new Uint32Array(this.#id.buffer, this.#id.byteOffset, ID_WORDS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get memoryBytes(): number {
    return this.#parts.reduce((bytes, part) => bytes + (part ? part.keys.byteLength + part.values.byteLength : 0), 0);
  }

  /** @param id 64 hex digits */
  get(id: string): number | undefined {
    const part = this.#read(id);
    const place = part && this.#find(part);
    return part && place !== undefined ? (part.values[place] as number) - 1 : undefined;
  }

  /** @param value a whole number, 0 or more */
  set(id: string, value: number): void {
    const part = this.#read(id) ?? this.#makeRoom(undefined);
    const held = this.#find(part);
    if (held !== undefined) {
      part.values[held] = value + 1;
      return;
    }
    this.#insert(part.used + 1 > part.values.length * LOAD_MAX ? this.#makeRoom(part) : part, value + 1);
    this.#size++;
  }

  /** Whether it was held. */
  delete(id: string): boolean {
    const part = this.#read(id);
    const place = part && this.#find(part);
    if (!part || place === undefined) return false;
    part.values[place] = REMOVED;
    part.living--;
    this.#size--;
    if (part.values.length > PLACES_MIN && part.living < part.values.length * LOAD_MIN) this.#makeRoom(part);
    return true;
  }

  *keys(): Generator<string> {
    for (const part of this.#parts) {
      if (!part) continue;
      const bytes = Buffer.from(part.keys.buffer);
      for (let place = 0; place < part.values.length; place++) {
        if ((part.values[place] as number) > 0) yield bytes.toString('hex', place * ID_WORDS * 4, (place + 1) * ID_WORDS * 4);
      }
    }
  }

  clear(): void {
    this.#parts.fill(undefined);
    this.#size = 0;
  }

  /** Makes an id the one that the other methods are about. */
  #read(id: string): Part | undefined {
    this.#id.write(id, 'hex');
    return this.#parts[this.#partOf(this.#key[ID_WORDS - 1] as number)];
  }

  /** By the id's last byte. */
  #partOf(lastWord: number): number {
    return lastWord >>> 24;
  }

  #find({ keys, values }: Part): number | undefined {
    const places = values.length;
    for (let place = startOf(this.#key, 0, places); ; place = (place + 1) & (places - 1)) {
      const value = values[place] as number;
      if (value === EMPTY) return undefined;
      if (value !== REMOVED && this.#isAt(keys, place)) return place;
    }
  }

  #isAt(keys: Uint32Array, place: number): boolean {
    for (let word = 0; word < ID_WORDS; word++) if (keys[place * ID_WORDS + word] !== this.#key[word]) return false;
    return true;
  }

  #insert(part: Part, value: number): void {
    put(part, this.#key, 0, value);
  }

  /** Puts another part in place of one, fit for what lives in it and one more. */
  #makeRoom(part: Part | undefined): Part {
    let places = PLACES_MIN;
    while ((part?.living ?? 0) + 1 > places * LOAD_AFTER) places *= 2;
    const roomy: Part = { keys: new Uint32Array(places * ID_WORDS), values: new Float64Array(places), used: 0, living: 0 };
    if (part) {
      for (let place = 0; place < part.values.length; place++) {
        const value = part.values[place] as number;
        if (value > 0) put(roomy, part.keys, place * ID_WORDS, value);
      }
    }
    this.#parts[this.#partOf(this.#key[ID_WORDS - 1] as number)] = roomy;
    return roomy;
  }
}

/** Where the search for a key begins. `places` is a power of 2. */
function startOf(keys: Uint32Array, at: number, places: number): number {
  return (keys[at + ID_WORDS - 2] as number) & (places - 1);
}

function put(part: Part, keys: Uint32Array, at: number, value: number): void {
  const places = part.values.length;
  let place = startOf(keys, at, places);
  while (part.values[place] !== EMPTY) place = (place + 1) & (places - 1);
  part.keys.set(keys.subarray(at, at + ID_WORDS), place * ID_WORDS);
  part.values[place] = value;
  part.used++;
  part.living++;
}
