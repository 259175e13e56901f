/**
 * Which pairs of pictures could be copies, and by what margin: candidates come from the perceptual hash and, for cut-outs,
 * turned and mirrored pictures that it misses, from the nearest neighbours by embedding. Never are all pairs looked at.
 */
import { dot } from '../common/vector.js';
import { isCopy, type Calibration, type Evidence } from './calibration.js';
import { hammingDistance, HashIndex, LOOKS_ALIKE_BITS } from './hash-index.js';
import { median } from './median.js';
import { marginOf, NEIGHBOURS_MIN, surroundingScore, type Neighbour } from './surroundings.js';
import type { Member } from './grouping.js';

/** What is known of a picture besides its embedding. */
export interface Picture extends Member {
  /** 16 hex digits. */
  readonly phash: string;
  /** Of the group that it is in; undefined: it is alone. */
  readonly canonical: string | undefined;
}

/** Nearest neighbours by embedding: an index of all pictures. */
export interface Neighbours {
  /** The nearest `top` of each vector, best first. */
  search(vectors: readonly Float32Array[], options: { readonly top: number }): Promise<readonly (readonly Neighbour[])[]>;
  /** Undefined for a picture that it does not hold. */
  vector(id: string): Promise<Float32Array | undefined>;
}

/** Two pictures that could be copies, and what speaks for it. */
export interface JudgedPair extends Evidence {
  readonly a: string;
  readonly b: string;
}

interface ScoredPair {
  readonly a: string;
  readonly b: string;
  /** Cosine similarity. */
  readonly score: number;
  readonly distance: number;
}

/** What the neighbours of a picture say of it. */
interface Sight {
  /** Undefined when it has too few neighbours that look different. */
  readonly surrounding: number | undefined;
  /** The nearest, as far as they are above its surroundings. */
  readonly near: readonly Neighbour[];
}

/** Asked for at first: twice what it takes, because copies that look alike count once. */
const REACH = 2 * NEIGHBOURS_MIN;
/** Where most of them look alike, so many times as many are asked for, up to REACH_MAX. */
const WIDENING = 4;
const REACH_MAX = 8 * REACH;
/** Vectors of one search. */
const BATCH = 32;
/** Batches that are searched at once. */
const BATCHES = 2;
/** By hash, for each picture. Of a thousand blank pictures each is paired with the first ones, which is enough for them to be one group. */
const VOUCHED_MAX = 32;

export class Judge {
  readonly #pictures: ReadonlyMap<string, Picture>;
  readonly #neighbours: Neighbours;
  readonly #onLook: (looked: number) => void;
  readonly #hashes = new HashIndex(LOOKS_ALIKE_BITS);
  readonly #sights = new Map<string, Sight>();
  /** Found once: where no picture's surroundings are known, there are none. */
  #typical: { readonly surrounding: number | undefined } | undefined;

  /**
   * @param pictures all that `neighbours` has, those first that stand for a group before others
   * @param onLook told how many pictures' neighbours were looked at so far
   */
  constructor(pictures: ReadonlyMap<string, Picture>, neighbours: Neighbours, onLook: (looked: number) => void = () => undefined) {
    this.#pictures = pictures;
    this.#neighbours = neighbours;
    this.#onLook = onLook;
    for (const { id, phash } of pictures.values()) this.#hashes.add(id, phash);
  }

  /**
   * Each pair once that could be copies and has one of these pictures in it.
   *
   * @param calibration of earlier runs: pairs that it cannot take for copies, whatever the surroundings of the other picture are, are left out
   */
  async candidates(ids: readonly string[], calibration?: Calibration): Promise<JudgedPair[]> {
    await this.#look(ids);
    const wanted = new Map<string, { readonly a: string; readonly b: string; readonly score: number | undefined }>();
    const want = (id: string, other: string, score?: number): void => {
      const [a, b] = id < other ? [id, other] : [other, id];
      wanted.set(a + b, { a, b, score: score ?? wanted.get(a + b)?.score });
    };
    for (const id of ids) {
      for (const { id: other, score } of this.#sights.get(id)?.near ?? []) want(id, other, score);
      for (const { id: other } of this.#hashes.within(this.#phash(id), VOUCHED_MAX)) if (other !== id) want(id, other);
    }
    const scored: ScoredPair[] = [];
    for (const { a, b, score } of wanted.values()) scored.push({ a, b, score: score ?? (await this.#score(a, b)), distance: hammingDistance(this.#phash(a), this.#phash(b)) });
    const open = calibration ? scored.filter((pair) => isCopy({ margin: this.#marginMax(pair), distance: pair.distance }, calibration)) : scored;
    await this.#look(open.flatMap(({ a, b }) => [a, b]));
    return open.map(({ a, b, score, distance }) => ({ a, b, distance, margin: this.#margin(a, b, score) }));
  }

  /** What the margin is at most, as far as surroundings are known. */
  #marginMax({ a, b, score }: ScoredPair): number {
    return Math.min(...[a, b].map((id) => {
      const surrounding = this.#sights.get(id)?.surrounding;
      return surrounding === undefined ? Infinity : marginOf(score, surrounding, surrounding);
    }));
  }

  #phash(id: string): string {
    return (this.#pictures.get(id) as Picture).phash;
  }

  /** A picture whose surroundings are not known has typical ones. */
  #margin(a: string, b: string, score: number): number | undefined {
    const typical = (this.#typical ??= { surrounding: median([...this.#sights.values()].flatMap(({ surrounding }) => surrounding ?? [])) }).surrounding;
    const [surroundingA, surroundingB] = [a, b].map((id) => this.#sights.get(id)?.surrounding ?? typical);
    return surroundingA === undefined || surroundingB === undefined ? undefined : marginOf(score, surroundingA, surroundingB);
  }

  async #score(a: string, b: string): Promise<number> {
    const [vectorA, vectorB] = await Promise.all([this.#neighbours.vector(a), this.#neighbours.vector(b)]);
    return vectorA && vectorB ? dot(vectorA, vectorB) : -1;
  }

  /** Looks at the neighbours of pictures that were not looked at yet. */
  async #look(ids: Iterable<string>): Promise<void> {
    const due = [...new Set(ids)].filter((id) => !this.#sights.has(id));
    for (let start = 0; start < due.length; start += BATCH * BATCHES) {
      const round = due.slice(start, start + BATCH * BATCHES);
      const batches = Array.from({ length: Math.ceil(round.length / BATCH) }, (_, i) => round.slice(i * BATCH, (i + 1) * BATCH));
      await Promise.all(batches.map((batch) => this.#lookAt(batch, REACH)));
      this.#onLook(this.#sights.size);
    }
  }

  async #lookAt(ids: readonly string[], reach: number): Promise<void> {
    const vectors = await Promise.all(ids.map((id) => this.#neighbours.vector(id)));
    const held = ids.flatMap((id, i) => (vectors[i] ? [{ id, vector: vectors[i] }] : []));
    const found = held.length > 0 ? await this.#neighbours.search(held.map(({ vector }) => vector), { top: reach + 1 }) : [];
    const narrow: string[] = [];
    for (const [i, { id }] of held.entries()) {
      const others = (found[i] as readonly Neighbour[]).filter((neighbour) => neighbour.id !== id && this.#pictures.has(neighbour.id));
      const surrounding = surroundingScore(this.#phash(id), others, (other) => this.#phash(other));
      if (surrounding === undefined && others.length >= reach - 1 && reach < REACH_MAX) narrow.push(id);
      else this.#sights.set(id, { surrounding, near: surrounding === undefined ? [] : others.slice(0, REACH).filter(({ score }) => score > surrounding) });
    }
    if (narrow.length > 0) await this.#lookAt(narrow, Math.min(REACH_MAX, reach * WIDENING));
  }
}
