/** A whole evaluation as plain values: what was asked, what every run is worth, and how runs differ. */
import { compare, type EvaluatedImage, type Query } from './collection.js';
import { compareRuns, depthOf, judge, judgeParts, pairRuns, type Comparison, type Figures, type Latency, type Places, type Run } from './runs.js';
import { round } from './statistics.js';

/** Where it is known from what would be right. */
export const MODES = ['altered', 'labelled', 'groups'] as const;
export type Mode = (typeof MODES)[number];

/** An image that has no part in it, or no altered copies. */
export interface Unreadable {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** What was asked, and of what. */
export interface Plan {
  readonly mode: Mode;
  /** The folder or file as it was named. */
  readonly source: string;
  readonly seed: number;
  /** Undefined: every image. */
  readonly limit: number | undefined;
  readonly places: Places;
}

export interface Material {
  readonly images: readonly EvaluatedImage[];
  /** Files whose bytes are those of another. */
  readonly duplicates: number;
  /** Images that were found and have no label. */
  readonly unlabelled: number;
  readonly unreadable: readonly Unreadable[];
  readonly queries: readonly Query[];
}

export interface JudgedRun {
  readonly run: Run;
  readonly figures: Figures;
  /** By alteration or label. */
  readonly parts: ReadonlyMap<string, Figures>;
}

export interface Evaluation extends Plan, Material {
  readonly runs: readonly JudgedRun[];
  readonly comparisons: readonly Comparison[];
}

/** @param runs one or more, of the same images and queries */
export function evaluate(plan: Plan, material: Material, runs: readonly Run[]): Evaluation {
  const { queries } = material;
  return {
    ...plan,
    ...material,
    runs: runs.map((run) => ({ run, figures: judge(queries, run, plan.places), parts: judgeParts(queries, run, plan.places) })),
    comparisons: pairRuns(runs).map((pair) => compareRuns(queries, pair, plan.places)),
  };
}

/** Digits of a figure from 0 to 1, and of milliseconds. */
const FIGURE_DIGITS = 4;
const MS_DIGITS = 2;

/** An evaluation as JSON: figures rounded, parts and ids in order. But for times it is the same for the same images, models and seed. */
export function toJson(evaluation: Evaluation): object {
  const { mode, source, seed, limit, places, images, duplicates, unlabelled, unreadable, queries, runs, comparisons } = evaluation;
  return {
    mode,
    source,
    seed,
    limit: limit ?? null,
    k: places,
    images: images.length,
    duplicates,
    unlabelled,
    unreadable: [...unreadable].sort((a, b) => compare(a.name, b.name)),
    queries: queries.length,
    runs: runs.map(({ run, figures, parts }) => ({ ...describeRun(run), ...figuresJson(figures), [mode === 'altered' ? 'alterations' : 'classes']: Object.fromEntries([...parts].sort(([a], [b]) => compare(a, b)).map(([name, part]) => [name, figuresJson(part)])) })),
    comparisons: comparisons.map((comparison) => comparisonJson(comparison, places)),
  };
}

function describeRun({ model, modelVersion, algorithm, dim, vectors, memoryBytes, embed, search }: Run): object {
  return { model, model_version: modelVersion, algorithm, dim, vectors, memory_bytes: memoryBytes, bytes_per_vector: Math.round(memoryBytes / vectors), embed_ms: latencyJson(embed), search_ms: latencyJson(search) };
}

function latencyJson({ calls, p50Ms, p95Ms }: Latency): object {
  return { p50: round(p50Ms, MS_DIGITS), p95: round(p95Ms, MS_DIGITS), calls };
}

/** The figures by the names that they have in JSON and in MLflow: `recall_at_10`. */
export function namedFigures({ recall, hit, map, ndcg }: Figures): ReadonlyMap<string, number> {
  const depth = [...recall.keys()].at(-1) as number;
  return new Map([
    ...[...recall].map(([k, value]) => [`recall_at_${k}`, value] as const),
    ...[...hit].map(([k, value]) => [`hit_at_${k}`, value] as const),
    [`map_at_${depth}`, map] as const,
    [`ndcg_at_${depth}`, ndcg] as const,
  ]);
}

function figuresJson(figures: Figures): object {
  return { queries: figures.queries, ...Object.fromEntries([...namedFigures(figures)].map(([name, value]) => [name, round(value, FIGURE_DIGITS)])) };
}

function comparisonJson({ a, b, overlap, wins, ties, differences }: Comparison, places: Places): object {
  const name = ({ model, algorithm }: Run): object => ({ model, algorithm });
  return {
    a: name(a),
    b: name(b),
    [`overlap_at_${depthOf(places)}`]: round(overlap, FIGURE_DIGITS),
    wins_a: wins.a,
    wins_b: wins.b,
    ties,
    differences: differences.map(({ query, a: ofA, b: ofB }) => ({ query: query.id, name: query.image.name, winner: ofA > ofB ? 'a' : 'b', average_precision: { a: round(ofA, FIGURE_DIGITS), b: round(ofB, FIGURE_DIGITS) } })),
  };
}
