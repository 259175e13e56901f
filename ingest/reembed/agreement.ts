/**
 * How far two versions of a model agree on what is alike: of the nearest k of sampled images, the share that both find. Among
 * the same images, exactly: every candidate is compared with every sampled image.
 */
import { overlapAt } from '../../common/overlap.js';
import { compareHits, dot } from '../../common/vector.js';
import { slotRange } from '../../common/slots.js';
import type { VectorCollection } from '../../common/store/store.js';

export interface Agreement {
  /** Mean of the shares, from 0 to 1. Of n images, k that are drawn by lot agree to k / (n - 1). */
  readonly overlap: number;
  readonly k: number;
  readonly sampled: number;
  /** How many images were compared. */
  readonly among: number;
}

export interface AgreementOptions {
  readonly k: number;
  /** Images that are searched for. */
  readonly sample: number;
  /** Images that are searched: the first of as many slots as it takes, which are as good as drawn. */
  readonly among: number;
}

/** Bounds what is held of both versions at once: some 200 MB with vectors of 1,280 numbers. */
export const AGREEMENT: AgreementOptions = { k: 10, sample: 200, among: 20_000 };

const RANGES = 256;

interface Pair {
  readonly id: string;
  readonly vectors: readonly [Float32Array, Float32Array];
}

/** Over images that both collections hold. With fewer than two of them, nothing disagrees: the overlap is 1. */
export async function measureAgreement(collections: readonly [VectorCollection, VectorCollection], options: AgreementOptions = AGREEMENT): Promise<Agreement> {
  const pairs = await readPairs(collections, options.among);
  const k = Math.min(options.k, pairs.length - 1);
  const step = Math.max(1, Math.floor(pairs.length / options.sample));
  const sampled = pairs.filter((_, i) => i % step === 0).slice(0, options.sample);
  if (k < 1) return { overlap: 1, k: options.k, sampled: sampled.length, among: pairs.length };
  let shares = 0;
  for (const query of sampled) {
    shares += overlapAt(k, nearest(query, pairs, { side: 0, k }), nearest(query, pairs, { side: 1, k })) as number;
    await new Promise(setImmediate);
  }
  return { overlap: shares / sampled.length, k, sampled: sampled.length, among: pairs.length };
}

async function readPairs([first, second]: readonly [VectorCollection, VectorCollection], among: number): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let i = 0; i < RANGES && pairs.length < among; i++) {
    for await (const records of first.scan(slotRange(i, RANGES))) {
      const held = records.map(({ id, vector }) => ({ id, vector: vector.slice() })); // good until the next batch
      const others = new Map((await second.getMany(held.map(({ id }) => id))).filter(({ deletedAt }) => deletedAt === undefined).map(({ id, vector }) => [id, vector]));
      for (const { id, vector } of held) {
        const other = others.get(id);
        if (other) pairs.push({ id, vectors: [vector, other] });
      }
    }
  }
  return pairs.slice(0, among);
}

function nearest(query: Pair, pairs: readonly Pair[], { side, k }: { readonly side: 0 | 1; readonly k: number }): string[] {
  const scored = pairs.filter(({ id }) => id !== query.id).map(({ id, vectors }) => ({ id, score: dot(query.vectors[side], vectors[side]) }));
  return scored.sort(compareHits).slice(0, k).map(({ id }) => id);
}
