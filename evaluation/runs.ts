/** What one model with one index answered, what that is worth, and how two of them differ. */
import { overlapAt } from '../common/overlap.js';
import { compare, type Query } from './collection.js';
import { averagePrecisionAt, hitAt, ndcgAt, recallAt } from './metrics.js';
import { mean } from './statistics.js';

export interface Hit {
  readonly id: string;
  /** Cosine similarity; higher is closer. */
  readonly score: number;
}

/** Times of single calls, one after the other, when nothing else was asked. */
export interface Latency {
  readonly calls: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface Run {
  /** Of the configuration, and unique together with the algorithm. */
  readonly model: string;
  readonly modelVersion: string;
  readonly algorithm: string;
  readonly dim: number;
  /** Images in the index. */
  readonly vectors: number;
  /** What the index holds in memory: codes or vectors, ids, trees or graphs. */
  readonly memoryBytes: number;
  /** Calls of the function: decoding, preprocessing, inference and the way there and back. */
  readonly embed: Latency;
  readonly search: Latency;
  /** By query, best first, without the image that was searched for. */
  readonly answers: ReadonlyMap<string, readonly Hit[]>;
}

/** `builtin (brute)`: as a run is named to a person. */
export function runName({ model, algorithm }: Pick<Run, 'model' | 'algorithm'>): string {
  return `${model} (${algorithm})`;
}

/** Means over queries. */
export interface Figures {
  readonly queries: number;
  readonly recall: ReadonlyMap<number, number>;
  readonly hit: ReadonlyMap<number, number>;
  /** Of the first `depth`, as `ndcg`. */
  readonly map: number;
  readonly ndcg: number;
}

/** The numbers of places that are judged, ascending; the last one is the depth of a search. */
export type Places = readonly [number, ...number[]];

export function depthOf(places: Places): number {
  return places.at(-1) as number;
}

/** @param queries one or more, each answered by the run */
export function judge(queries: readonly Query[], { answers }: Pick<Run, 'answers'>, places: Places): Figures {
  const judged = queries.map(({ id, relevant }) => ({ ranked: rankedIds(answers, id), relevant }));
  const depth = depthOf(places);
  const over = (figure: (one: (typeof judged)[number]) => number): number => mean(judged.map(figure));
  return {
    queries: queries.length,
    recall: new Map(places.map((k) => [k, over((one) => recallAt(k, one))])),
    hit: new Map(places.map((k) => [k, over((one) => hitAt(k, one))])),
    map: over((one) => averagePrecisionAt(depth, one)),
    ndcg: over((one) => ndcgAt(depth, one)),
  };
}

/** The same apart for each alteration, or each label, in the order in which `queries` has them. */
export function judgeParts(queries: readonly Query[], run: Pick<Run, 'answers'>, places: Places): ReadonlyMap<string, Figures> {
  const parts = new Map<string, Query[]>();
  for (const query of queries) {
    for (const part of query.alteration === undefined ? query.image.labels : [query.alteration]) {
      const members = parts.get(part);
      if (members) members.push(query);
      else parts.set(part, [query]);
    }
  }
  return new Map([...parts].map(([part, members]) => [part, judge(members, run, places)]));
}

/** A query that two runs answer differently well. */
export interface Difference {
  readonly query: Query;
  /** Average precision of either. */
  readonly a: number;
  readonly b: number;
}

export interface Comparison {
  readonly a: Run;
  readonly b: Run;
  /** Mean over queries of what the first `depth` of both have in common. */
  readonly overlap: number;
  readonly wins: { readonly a: number; readonly b: number };
  readonly ties: number;
  /** By query id. Who has the higher average precision wins. */
  readonly differences: readonly Difference[];
}

export function compareRuns(queries: readonly Query[], [a, b]: readonly [Run, Run], places: Places): Comparison {
  const depth = depthOf(places);
  const all = queries.map((query) => ({ query, a: precisionOf(query, a, depth), b: precisionOf(query, b, depth) }));
  const differences = all.filter((one) => one.a !== one.b).sort((one, other) => compare(one.query.id, other.query.id));
  const won = differences.filter((one) => one.a > one.b).length;
  return {
    a,
    b,
    overlap: mean(queries.map(({ id }) => overlapAt(depth, rankedIds(a.answers, id), rankedIds(b.answers, id)) ?? 0)),
    wins: { a: won, b: differences.length - won },
    ties: all.length - differences.length,
    differences,
  };
}

/** Which runs are held against each other: models by the index that comes first, and each model's other indexes against its first. */
export function pairRuns(runs: readonly Run[]): [Run, Run][] {
  const firsts = firstOfModels(runs);
  const models = firsts.flatMap((a, i) => firsts.slice(i + 1).map((b): [Run, Run] => [a, b]));
  const indexes = runs.filter((run) => !firsts.includes(run)).map((b): [Run, Run] => [firsts.find(({ model }) => model === b.model) as Run, b]);
  return [...models, ...indexes];
}

/** Each model with its first index. */
export function firstOfModels(runs: readonly Run[]): Run[] {
  return runs.filter((run, i) => runs.findIndex(({ model }) => model === run.model) === i);
}

/** The average precision of the first `depth` that a run answers to a query. */
export function precisionOf({ id, relevant }: Query, { answers }: Pick<Run, 'answers'>, depth: number): number {
  return averagePrecisionAt(depth, { ranked: rankedIds(answers, id), relevant });
}

function rankedIds(answers: Run['answers'], query: string): string[] {
  return (answers.get(query) ?? []).map(({ id }) => id);
}
