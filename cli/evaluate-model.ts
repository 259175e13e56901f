/** Evaluates one model: embeds what is searched, fills its indexes with it, searches, and takes times. */
import { mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GRAPH_DEFAULTS } from '../common/config-defaults.js';
import type { Config, IndexAlgorithm } from '../common/config.js';
import { EisError, isEisError } from '../common/errors.js';
import { alter, decodePixels } from '../evaluation/alterations.js';
import { compare, type EvaluatedImage, type Query } from '../evaluation/collection.js';
import type { Unreadable } from '../evaluation/evaluation.js';
import type { Hit, Latency, Run } from '../evaluation/runs.js';
import { percentile } from '../evaluation/statistics.js';
import { indexFactory } from '../indexer/create-index.js';
import type { VectorIndex } from '../indexer/vector-index.js';
import { EMBEDS_IN_FLIGHT, isOfImage, type RunningFunction } from './evaluate-function.js';
import { toUnreadable } from './evaluate-images.js';

/** What is measured apart, one call after the other. */
const TIMED_EMBEDS = 32;
const TIMED_SEARCHES = 200;
const WARM_UP_CALLS = 3;
/** Vectors that an index is given at once. */
const SLICE = 500;

/** Told how far a part of the work is. */
export type OnProgress = (part: 'originals' | 'queries', done: number, of: number) => void;

export interface ModelTask {
  readonly model: string;
  readonly fn: RunningFunction;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

export interface Embedded {
  readonly modelVersion: string;
  readonly dim: number;
  /** By image id. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  readonly latency: Latency;
  /** What the function refused. */
  readonly rejected: readonly Unreadable[];
}

/** @throws EisError what the function says of itself; EIS_EVALUATION when it takes no image */
export async function embedImages(images: readonly EvaluatedImage[], { model, fn, onProgress, signal }: ModelTask): Promise<Embedded> {
  const vectors = new Map<string, Float32Array>();
  const rejected: Unreadable[] = [];
  let version = '';
  let done = 0;
  await forEachInFlight(images, async ({ id, path, name }) => {
    signal.throwIfAborted();
    try {
      const { vector, modelVersion } = await fn.embed(await readFile(path));
      vectors.set(id, vector);
      version = modelVersion;
    } catch (error) {
      if (!isEisError(error) || !isOfImage(error)) throw error;
      rejected.push(toUnreadable(name, error));
    }
    onProgress('originals', ++done, images.length);
  });
  rejected.sort((a, b) => compare(a.name, b.name));
  const [first] = vectors.values();
  if (!first) throw new EisError('EIS_EVALUATION', { detail: `the function of model ${model} takes none of the images; ${rejected[0]?.name}, for one: ${rejected[0]?.message}` });
  const taken = images.filter(({ id }) => vectors.has(id)).slice(0, TIMED_EMBEDS);
  const latency = await timeCalls(taken.length, async (i) => fn.embed(await readFile((taken[i] as EvaluatedImage).path)), signal);
  return { modelVersion: version, dim: first.length, vectors, latency, rejected };
}

export interface SearchTask extends ModelTask {
  readonly config: Config;
  readonly algorithms: readonly IndexAlgorithm[];
  readonly images: readonly EvaluatedImage[];
  readonly queries: readonly Query[];
  /** How many hits a query gets. */
  readonly depth: number;
  readonly seed: number;
  readonly imagePixelsMax: number;
  /** For the files of indexes. */
  readonly scratch: string;
}

export interface Searched {
  readonly runs: readonly Run[];
  /** Images of which no altered copies could be made. */
  readonly unaltered: readonly Unreadable[];
}

/** Searches for every query in an index of each algorithm: one of all images, as a pod holds one of its share. */
export async function searchImages(embedded: Embedded, task: SearchTask): Promise<Searched> {
  const { algorithms, images, queries, depth, signal } = task;
  const indexes: VectorIndex[] = [];
  try {
    for (const algorithm of algorithms) indexes.push(await fillIndex(algorithm, embedded, task));
    const answers = algorithms.map(() => new Map<string, readonly Hit[]>());
    const sample: Float32Array[] = [];
    const unaltered = await embedQueries(embedded, task, async (query, vector) => {
      if (sample.length < TIMED_SEARCHES) sample.push(vector);
      for (const [i, index] of indexes.entries()) answers[i]?.set(query.id, await findOthers(index, { query, vector, depth }));
    });
    const runs: Run[] = [];
    for (const [i, index] of indexes.entries()) {
      const search = await timeCalls(sample.length, (j) => index.search([sample[j] as Float32Array], { top: depth }), signal);
      runs.push({ model: task.model, modelVersion: embedded.modelVersion, algorithm: index.algorithm, dim: embedded.dim, vectors: images.length, memoryBytes: index.memoryBytes, embed: embedded.latency, search, answers: inOrder(answers[i] as ReadonlyMap<string, readonly Hit[]>, queries) });
    }
    return { runs, unaltered };
  } finally {
    for (const index of indexes) await index.close();
  }
}

async function fillIndex(algorithm: IndexAlgorithm, { dim, vectors }: Embedded, { config, model, images, scratch, signal }: SearchTask): Promise<VectorIndex> {
  const factory = indexFactory(algorithm);
  await factory.check?.();
  const failed: unknown[] = [];
  const { connectivity, expansionAdd, expansionSearch } = config.indexing.get(model) ?? GRAPH_DEFAULTS;
  const index = factory.create({ dim, connectivity, expansionAdd, expansionSearch, onScan: () => undefined, onFailed: (error) => failed.push(error), newFolder: () => mkdtempSync(join(scratch, 'index-')) });
  try {
    for (let at = 0; at < images.length; at += SLICE) {
      signal.throwIfAborted();
      await index.upsert(images.slice(at, at + SLICE).map(({ id }) => ({ id, vector: vectors.get(id) as Float32Array })));
    }
    await index.settled?.();
    if (failed.length > 0) throw failed[0];
    return index;
  } catch (error) {
    await index.close();
    throw error;
  }
}

/** The best hits that are not the image itself, where that is what is searched for. */
async function findOthers(index: VectorIndex, { query, vector, depth }: { readonly query: Query; readonly vector: Float32Array; readonly depth: number }): Promise<Hit[]> {
  if (query.alteration !== undefined) return (await index.search([vector], { top: depth }))[0] as Hit[];
  const [hits] = await index.search([vector], { top: depth + 1 });
  return (hits as Hit[]).filter(({ id }) => id !== query.image.id).slice(0, depth);
}

/** The vector of every query, in whatever order they come: an image is decoded once for all its copies. */
async function embedQueries({ vectors }: Embedded, { queries, fn, seed, imagePixelsMax, onProgress, signal }: SearchTask, take: (query: Query, vector: Float32Array) => Promise<void>): Promise<Unreadable[]> {
  const byImage = new Map<EvaluatedImage, Query[]>();
  for (const query of queries) byImage.set(query.image, [...(byImage.get(query.image) ?? []), query]);
  const unaltered: Unreadable[] = [];
  let done = 0;
  await forEachInFlight([...byImage], async ([image, ofImage]) => {
    const pixels = ofImage.some(({ alteration }) => alteration !== undefined) ? await tryDecode(image, imagePixelsMax) : undefined;
    if (pixels instanceof EisError) unaltered.push(toUnreadable(image.name, pixels));
    for (const query of ofImage) {
      signal.throwIfAborted();
      if (query.alteration === undefined) await take(query, vectors.get(image.id) as Float32Array);
      else if (pixels && !(pixels instanceof EisError)) await take(query, (await fn.embed(await alter(pixels, { name: query.alteration, imageId: image.id, seed }))).vector);
      onProgress('queries', ++done, queries.length);
    }
  });
  return unaltered.sort((a, b) => compare(a.name, b.name));
}

async function tryDecode({ path }: EvaluatedImage, imagePixelsMax: number): Promise<Awaited<ReturnType<typeof decodePixels>> | EisError> {
  try {
    return await decodePixels(await readFile(path), imagePixelsMax);
  } catch (cause) {
    return new EisError('EIS_IMAGE_UNDECODABLE', { detail: `${(cause as Error).message}.` }, { cause });
  }
}

/** Calls came back in any order; what is made of their answers is not to depend on it. */
function inOrder(answers: ReadonlyMap<string, readonly Hit[]>, queries: readonly Query[]): ReadonlyMap<string, readonly Hit[]> {
  return new Map(queries.flatMap(({ id }) => (answers.has(id) ? [[id, answers.get(id) as readonly Hit[]] as const] : [])));
}

/** @param count of calls; each may be made twice, at first to warm up */
async function timeCalls(count: number, call: (i: number) => Promise<unknown>, signal: AbortSignal): Promise<Latency> {
  for (let i = 0; i < Math.min(WARM_UP_CALLS, count); i++) await call(i);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    signal.throwIfAborted();
    const startedAt = performance.now();
    await call(i);
    times.push(performance.now() - startedAt);
  }
  return { calls: count, p50Ms: percentile(times, 0.5), p95Ms: percentile(times, 0.95) };
}

/** With some under way at once; the first failure is thrown, and no more are begun. */
async function forEachInFlight<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const takeTurns = async (): Promise<void> => {
    while (next < items.length) await work(items[next++] as T);
  };
  await Promise.all(
    Array.from({ length: EMBEDS_IN_FLIGHT }, () =>
      takeTurns().catch((error: unknown) => {
        next = items.length;
        throw error;
      }),
    ),
  );
}
