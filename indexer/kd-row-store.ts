/**
 * What a kd-tree index holds, on the main thread: the rows, trees over most of them, and the loose rows that came last.
 * Enough loose rows are made a tree of, together with the trees that are not much larger than what is put to them (the
 * logarithmic method of Bentley and Saxe, 1980): so trees are few, each at most half of the one before, a row is built
 * into O(log n) trees in its life, and few rows are loose at any time. Versions make a search see exactly the rows of the moment it started, without a lock: a change
 * writes a new row in another place and marks the old one dead. A dead row's place is used again once no tree lists it
 * and no search that may know of it runs; its memory is not given back.
 */
import { KdRows, kdRowBytes, type RowsMemory } from './kd-rows.js';
import type { BuildTask, Built, KdTree } from './kd-tree.js';

const LOOSE_CAPACITY_MIN = 64;
/** More dead rows than this share of the living, and all trees are built anew without them. */
const DEAD_SHARE_MAX = 1 / 5;
/** A tree of less than so many times the rows that are put to it is built anew with them. */
const ABSORBED_RATIO = 2;

/** The rows of one moment. They stay readable until it is released. */
export interface KdSnapshot {
  readonly version: number;
  readonly rows: RowsMemory;
  /** The largest first. */
  readonly trees: readonly KdTree[];
  readonly loose: Uint32Array;
  /** Above every place. */
  readonly places: number;
}

/** A tree to be built, of the rows that live at `version` of these places. */
export interface BuildPlan extends Omit<BuildTask, 'leafRowsMax'> {
  /** How many trees stay, the largest ones. */
  readonly treesKept: number;
  /** How many loose rows are built in, the first ones. */
  readonly looseBuilt: number;
}

export class KdRowStore {
  #rows: KdRows;
  readonly #changesMax: number;
  readonly #places = new Map<string, number>();
  /** By place; of a dead row too, for as long as a search may find it. */
  readonly #ids: string[] = [];
  #trees: readonly KdTree[] = [];
  #loose = new Uint32Array(new SharedArrayBuffer(0));
  #looseCount = 0;
  /** Dead rows that a tree or the loose rows list. */
  #dead = 0;
  /** Places that may be written again, and those that may be when no snapshot is held any more. */
  readonly #free: number[] = [];
  readonly #retired: number[] = [];
  #snapshots = 0;
  /** Counts the calls that killed rows, from 1, because 0 marks the living; at ten a second, its 32 bits last 13 years. */
  #version = 1;

  /** @param options.changesMax so many loose or dead rows are not worth a new tree */
  constructor({ dim, changesMax }: { readonly dim: number; readonly changesMax: number }) {
    this.#rows = KdRows.create(dim);
    this.#changesMax = changesMax;
  }

  get size(): number {
    return this.#places.size;
  }

  get memoryBytes(): number {
    const treeBytes = this.#trees.reduce((bytes, { places, boxes }) => bytes + places.byteLength + boxes.byteLength, 0);
    return this.#ids.length * kdRowBytes(this.#rows.dim) + this.#loose.byteLength + treeBytes;
  }

  has(id: string): boolean {
    return this.#places.has(id);
  }

  /** A view of the living row of an id. */
  vector(id: string): Float32Array | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#rows.vector(place);
  }

  /** The id of a row of a snapshot that is held. */
  idAt(place: number): string {
    return this.#ids[place] as string;
  }

  isAliveAt(place: number, version: number): boolean {
    return this.#rows.isAliveAt(place, version);
  }

  /** Writes vectors, of one id given twice the last; one that is equal to what is held changes nothing. */
  put(entries: readonly { readonly id: string; readonly vector: Float32Array }[]): void {
    const last = new Map(entries.map(({ id, vector }) => [id, vector]));
    const changed = [...last].filter(([id, vector]) => !isIdentical(this.vector(id), vector));
    if (changed.some(([id]) => this.has(id))) this.#version++;
    for (const [id, vector] of changed) {
      this.#kill(id);
      this.#append(id, vector);
    }
  }

  delete(ids: readonly string[]): void {
    if (ids.some((id) => this.has(id))) this.#version++;
    for (const id of ids) this.#kill(id);
  }

  /** To be released once nobody reads it any more. */
  snapshot(): KdSnapshot {
    this.#snapshots++;
    return { version: this.#version, rows: this.#rows.memory, trees: this.#trees, loose: this.#loose.subarray(0, this.#looseCount), places: this.#ids.length };
  }

  release(): void {
    this.#snapshots--;
    this.#reuse();
  }

  /** What should be built now; undefined when nothing need be. One build at a time: the next is planned when it was adopted or given up. */
  planBuild(): BuildPlan | undefined {
    const hasManyDead = this.#dead > Math.max(this.#changesMax, this.size * DEAD_SHARE_MAX);
    if (this.#looseCount <= this.#changesMax && !hasManyDead) return undefined;
    let treesKept = this.#trees.length;
    for (let rows = this.#looseCount; treesKept > 0; treesKept--) {
      const { length } = (this.#trees[treesKept - 1] as KdTree).places;
      if (!hasManyDead && length >= rows * ABSORBED_RATIO) break;
      rows += length;
    }
    const places = [...this.#trees.slice(treesKept).map((tree) => tree.places), this.#loose.subarray(0, this.#looseCount)];
    return { version: this.#version, rows: this.#rows.memory, places, treesKept, looseBuilt: this.#looseCount };
  }

  /** Takes what was built by a plan. What came since stays loose; what died since is dead in the new tree too. */
  adopt({ tree, dead }: Built, { treesKept, looseBuilt }: BuildPlan): void {
    const newer = this.#loose.subarray(looseBuilt, this.#looseCount);
    this.#trees = [...this.#trees.slice(0, treesKept), ...(tree ? [tree] : [])];
    this.#loose = copyShared(newer, newer.length);
    this.#looseCount = newer.length;
    this.#dead -= dead.length;
    for (const place of dead) this.#retired.push(place);
    this.#reuse();
  }

  clear(): void {
    this.#rows = KdRows.create(this.#rows.dim);
    this.#places.clear();
    this.#trees = [];
    this.#loose = copyShared(this.#loose, 0);
    this.#looseCount = this.#dead = 0;
    for (const list of [this.#ids, this.#free, this.#retired]) list.length = 0;
  }

  #kill(id: string): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#rows.kill(place, this.#version);
    this.#places.delete(id);
    this.#dead++;
  }

  #append(id: string, vector: Float32Array): void {
    const place = this.#free.pop() ?? this.#ids.length;
    this.#rows.write(place, { id, vector });
    this.#ids[place] = id;
    this.#places.set(id, place);
    if (this.#looseCount === this.#loose.length) this.#loose = copyShared(this.#loose, Math.max(LOOSE_CAPACITY_MIN, this.#looseCount * 2));
    this.#loose[this.#looseCount++] = place;
  }

  #reuse(): void {
    if (this.#snapshots > 0) return;
    for (const place of this.#retired) this.#free.push(place);
    this.#retired.length = 0;
  }
}

function copyShared(places: Uint32Array, capacity: number): Uint32Array<SharedArrayBuffer> {
  const copy = new Uint32Array(new SharedArrayBuffer(capacity * Uint32Array.BYTES_PER_ELEMENT));
  copy.set(places.subarray(0, capacity));
  return copy;
}

/** Bit for bit: 0 and -0 score alike, but a vector is given back as it was given. */
function isIdentical(a: Float32Array | undefined, b: Float32Array): boolean {
  if (!a) return false;
  for (let i = 0; i < b.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}
