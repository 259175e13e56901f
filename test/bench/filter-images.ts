/** The images of the `filter` bench, drawn from a seed as they are read, and its filters. */
import { createHash } from 'node:crypto';
import { compileFilter, type Filter } from '../../common/filter.js';
import type { Metadata } from '../../common/metadata.js';
import type { Store, StoredRecord } from '../../common/store/store.js';
import { dot } from '../../common/vector.js';
import { SeededRandom } from '../support/seeded-random.js';
import { ClusteredVectors } from './clustered-vectors.js';

/** The i-th search's filter. */
export type FilterOf = (i: number) => Filter;

export const QUERIES = 64;
const BATCH = 256;
const OWNERS = 10_000;
const TAGS = 100;
const FAR_SAMPLE = 1_000;

export const FILTERS: Readonly<Record<string, FilterOf>> = {
  half: () => ({ public: true }),
  hundredth: () => ({ percent: 7 }),
  ten_thousandth: () => ({ owner: 77 }),
  range: () => ({ taken: { gte: 0.25, lt: 0.75 } }),
  text_range: () => ({ title: { gte: 'picture 5', lt: 'picture 6' } }),
  set: () => ({ tags: { in: ['tag 1', 'tag 2', 'tag 3'] } }),
  together: () => ({ public: true, percent: { lt: 10 }, not: { tags: 'tag 5' } }),
  unlike: () => ({ far: true }),
  another_each: (i) => ({ owner: i % OWNERS }),
};

export function drawQueries(dim: number): Float32Array[] {
  return take(new ClusteredVectors(dim).draw(3), QUERIES);
}

export class FilterImages {
  /** Of all metadata that was drawn, as JSON. */
  metadataBytes = 0;
  readonly #images: number;
  readonly #dim: number;
  readonly #hasMetadata: boolean;
  readonly #matching = new Map(Object.keys(FILTERS).map((name) => [name, 0]));

  constructor({ images, dim, hasMetadata }: { readonly images: number; readonly dim: number; readonly hasMetadata: boolean }) {
    this.#images = images;
    this.#dim = dim;
    this.#hasMetadata = hasMetadata;
  }

  /** As much of a store as a shard reads when it loads. */
  get store(): Store {
    const none = async function* (): AsyncGenerator<never> {}; // prettier-ignore
    return { collection: () => ({ scan: () => this.#scan(), changes: none, keys: none }) } as unknown as Store;
  }

  /** How many of those that were read match. */
  matching(name: string): number {
    return this.#matching.get(name) as number;
  }

  async *#scan(): AsyncGenerator<StoredRecord[]> {
    const random = new SeededRandom(4);
    const vectors = new ClusteredVectors(this.#dim).draw(2);
    const isFar = farFrom(drawQueries(this.#dim)[0] as Float32Array, this.#dim);
    const matches = Object.entries(FILTERS).map(([name, filterOf]) => ({ name, matches: compileFilter(filterOf(0)) }));
    for (let first = 0; first < this.#images; first += BATCH) {
      yield Array.from({ length: Math.min(BATCH, this.#images - first) }, (_, j): StoredRecord => {
        const vector = vectors.next().value as Float32Array;
        const metadata = drawMetadata(first + j, random, isFar(vector));
        for (const each of matches) if (each.matches(metadata)) this.#matching.set(each.name, this.matching(each.name) + 1);
        this.metadataBytes += JSON.stringify(metadata).length;
        return { ...drawRecord(first + j, vector), ...(this.#hasMetadata && { metadata: { values: metadata, givenAt: 1 } }) };
      });
    }
  }
}

function drawRecord(i: number, vector: Float32Array): StoredRecord {
  const id = createHash('sha256').update(String(i)).digest('hex');
  const url = `https://images.example.com/${i}.jpg`;
  return { id, vector, urls: [url], phash: id.slice(0, 16), width: 640, height: 480, format: 'jpeg', createdAt: 1, updatedAt: 1, deletedAt: undefined };
}

/** With its names in the order in which they are kept. */
function drawMetadata(i: number, random: SeededRandom, far: boolean): Metadata {
  const owner = random.between(0, OWNERS - 1);
  const percent = random.between(0, 99);
  const isPublic = random.next() < 0.5;
  const tags = Array.from({ length: 3 }, () => `tag ${random.between(0, TAGS - 1)}`);
  return { far, owner, percent, public: isPublic, tags, taken: random.next(), title: `picture ${random.between(0, 99)} of ${i}` };
}

/** Whether a vector is among the half that is least like one. */
function farFrom(query: Float32Array, dim: number): (vector: Float32Array) => boolean {
  const scores = Float64Array.from(take(new ClusteredVectors(dim).draw(5), FAR_SAMPLE), (vector) => dot(vector, query)).sort();
  const middle = scores[FAR_SAMPLE / 2] as number;
  return (vector) => dot(vector, query) < middle;
}

function take(vectors: Generator<Float32Array>, count: number): Float32Array[] {
  return Array.from({ length: count }, () => vectors.next().value as Float32Array);
}
