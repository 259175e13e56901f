/**
 * A pod that is searched without a pause while the store is written to: what is written is found, and what is removed or
 * changed is gone, within the 2 s that the system promises; in the end the pod answers as one that was just started.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { IndexAlgorithm } from '../../common/config.js';
import type { VectorCollection } from '../../common/store/store.js';
import { dot } from '../../common/vector.js';
import { idOf, randomUnit } from '../indexer/vectors.js';
import { SeededRandom } from '../support/seeded-random.js';
import { FOLLOWED_MS, FollowedImages, type FollowedImage } from './followed-images.js';
import { expectAlike, imageOf, IndexPods, type IndexPod } from './index-pod-process.js';

const SEED = Number(process.env['EIS_TEST_SEED'] ?? 1);
const WRITING_MS = process.env['EIS_TEST_FAULTS'] === 'full' ? 20_000 : 6_000;
const IMAGES = 3_000;
const RATES_PER_S = { insert: 500, remove: 20, change: 20, revive: 5 } as const;
const TICK_MS = 20;
const SEARCHERS = 2;
const QUERIES = 64;
const QUERIES_IN_THE_END = 100;
/** A vector that is replaced by one as near as this could not be told from it. */
const COSINE_OF_A_CHANGE_MAX = 0.9;

interface Case {
  readonly algorithm: IndexAlgorithm;
  readonly dim: number;
  /** The least share of what must be found, or answered as by a fresh pod. 1: all of it, in the same order. */
  readonly recall: number;
}

const CASES: readonly Case[] = [
  { algorithm: 'brute', dim: 64, recall: 1 },
  { algorithm: 'kd_tree', dim: 8, recall: 1 },
  { algorithm: 'hnsw', dim: 16, recall: 0.97 },
];

/** Writes to the store as the clock says, and notes it. */
class Writer {
  readonly #collection: VectorCollection;
  readonly #images: FollowedImages;
  readonly #random: SeededRandom;
  readonly #dim: number;
  readonly #done = { insert: 0, remove: 0, change: 0, revive: 0 };
  /** Written to just now. */
  readonly #busy = new Set<string>();

  constructor({ collection, images, random, dim }: { readonly collection: VectorCollection; readonly images: FollowedImages; readonly random: SeededRandom; readonly dim: number }) {
    [this.#collection, this.#images, this.#random, this.#dim] = [collection, images, random, dim];
  }

  get done(): Readonly<Record<keyof typeof RATES_PER_S, number>> {
    return this.#done;
  }

  /** Before there is a pod. */
  async fill(count: number): Promise<void> {
    const images = Array.from({ length: count }, (_, i) => imageOf(idOf(`first ${i}`), this.draw()));
    await this.#collection.write(images);
    for (const { id, vector } of images) this.#images.addKnown(id, vector);
  }

  async writeFor(ms: number): Promise<void> {
    for (const start = performance.now(); performance.now() < start + ms; await sleep(TICK_MS)) {
      const due = (kind: keyof typeof RATES_PER_S): number => Math.floor(((performance.now() - start) / 1000) * RATES_PER_S[kind]) - this.#done[kind];
      const inserts = Array.from({ length: due('insert') }, (_, i) => ({ id: idOf(`insert ${this.#done.insert + i}`), vector: this.draw() }));
      const others = (['remove', 'change', 'revive'] as const).flatMap((kind) => Array.from({ length: due(kind) }, () => this.#one(kind)));
      this.#done.insert += inserts.length;
      await Promise.all([this.#write(inserts), ...others]);
      this.#busy.clear();
    }
  }

  draw(): Float32Array {
    return randomUnit(this.#dim, () => this.#random.next());
  }

  async #one(kind: 'remove' | 'change' | 'revive'): Promise<void> {
    const image = this.#pick((each) => (kind === 'revive' ? wasRemovedLongAgo(each) : isLiving(each)));
    if (!image) return;
    this.#done[kind]++;
    const { id } = image;
    const before = image.versions.findLast(({ vector }) => vector)!.vector!;
    if (kind !== 'revive') await this.#remove(id);
    if (kind !== 'remove') await this.#write([{ id, vector: kind === 'revive' ? before : this.#drawOther(before) }]);
  }

  async #write(entries: readonly { readonly id: string; readonly vector: Float32Array }[]): Promise<void> {
    const returned = entries.map(({ id, vector }) => this.#images.begin(id, vector));
    for (const { id } of entries) this.#busy.add(id);
    const outcomes = await this.#collection.write(entries.map(({ id, vector }) => imageOf(id, vector)));
    expect(outcomes.every((outcome) => outcome === 'stored')).toBe(true);
    for (const each of returned) each();
  }

  async #remove(id: string): Promise<void> {
    const returned = this.#images.begin(id, undefined);
    this.#busy.add(id);
    expect(await this.#collection.delete(id)).toBe(true);
    returned();
  }

  #drawOther(before: Float32Array): Float32Array {
    for (;;) {
      const drawn = this.draw();
      if (dot(drawn, before) < COSINE_OF_A_CHANGE_MAX) return drawn;
    }
  }

  #pick(fits: (image: FollowedImage) => boolean): FollowedImage | undefined {
    const { images } = this.#images;
    for (let tries = 0; tries < images.length; tries++) {
      const image = images[this.#random.between(0, images.length - 1)]!;
      if (!this.#busy.has(image.id) && fits(image)) return image;
    }
    return undefined;
  }
}

/** Searches, one request after the other, until it is told to stop and everything that is awaited was seen. */
async function searchOn(pod: IndexPod, images: FollowedImages, { random, isOver }: { readonly random: SeededRandom; readonly isOver: () => boolean }): Promise<number> {
  let searches = 0;
  while (!isOver() || images.awaited > 0) {
    const questions = images.nextQuestions(QUERIES, random);
    const sentAt = performance.now();
    const found = await pod.search(questions.map(({ vector }) => vector), 3);
    const span = { sentAt, arrivedAt: performance.now() };
    for (const [i, question] of questions.entries()) images.judge(question, found[i]!, span);
    searches++;
  }
  return searches;
}

describe.each(CASES)(`a pod with $algorithm while ${RATES_PER_S.insert} images a second are written, seed ${SEED}`, ({ algorithm, dim, recall }) => {
  it('finds what is written, and nothing that is removed, within 2 s, and answers in the end as a fresh pod', async () => {
    const random = new SeededRandom(SEED);
    const images = new FollowedImages({ isExact: recall === 1 });
    const pods = await IndexPods.create({ algorithm, dim });
    onTestFinished(() => pods.close());
    const writer = new Writer({ collection: pods.collection, images, random, dim });
    await writer.fill(IMAGES);
    const pod = await pods.start('followed');

    let isOver = false;
    const writing = writer.writeFor(WRITING_MS).finally(() => (isOver = true));
    const searches = await Promise.all(Array.from({ length: SEARCHERS }, (_, i) => searchOn(pod, images, { random: new SeededRandom(SEED + 1 + i), isOver: () => isOver })));
    await writing;
    const { msUntilFound, msUntilGone } = images;
    console.log(`${algorithm}: ${JSON.stringify(writer.done)}, ${sum(searches)} searches of ${QUERIES} vectors; found after ${quantiles(msUntilFound)}; gone after ${quantiles(msUntilGone)}; ${images.missed} of ${images.asked} times not found that must be`);

    expect(images.faults).toEqual([]);
    expect(1 - images.missed / images.asked).toBeGreaterThanOrEqual(recall);
    expect(msUntilFound.length).toBeGreaterThan((WRITING_MS / 1000) * RATES_PER_S.insert * 0.8);
    expect(msUntilFound.filter((ms) => ms <= FOLLOWED_MS).length / msUntilFound.length).toBeGreaterThanOrEqual(recall);

    const queries = Array.from({ length: QUERIES_IN_THE_END }, () => writer.draw());
    const answers = await pod.search(queries, 10);
    const fresh = await pods.start('fresh');
    expect(fresh.loadedFrom).toEqual(['store']);
    expectAlike(answers, await fresh.search(queries, 10), recall);
  }, 120_000);
});

function isLiving({ versions }: FollowedImage): boolean {
  return versions.at(-1)!.vector !== undefined;
}

/** So long ago that the pod must know: the same vector, come back, could not be told from the one that was removed. */
function wasRemovedLongAgo(image: FollowedImage): boolean {
  return !isLiving(image) && image.versions.at(-1)!.returnedAt + FOLLOWED_MS < performance.now();
}

function quantiles(ms: readonly number[]): string {
  const sorted = [...ms].sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(0) ?? '-';
  return `${at(0.5)} ms (p50), ${at(0.99)} ms (p99), ${at(1)} ms (max of ${sorted.length})`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
