/** The figures of the `index` bench: of one index beside the yardsticks, and of one that grows. */
import type { OwnIndexMeasured } from './index-process.js';
import type { IndexBenchOptions, IndexMeasured, IndexTask } from './index-task.js';
import type { UsearchMeasured } from './index-usearch-process.js';
import { recallOf } from './index-variants.js';
import { median, printReport } from './report.js';

/** What was measured at one size, in the order of the rounds. */
export interface SizeRuns {
  readonly task: IndexTask;
  /** The ids that each query has to find. */
  readonly reference: readonly (readonly string[])[];
  readonly own: OwnIndexMeasured[];
  readonly usearch: UsearchMeasured[];
  readonly hnswlib: IndexMeasured[];
  hnswlibBuildS: number | undefined;
}

type Figures = Readonly<Record<string, number>>;
type MaybeFigures = Readonly<Record<string, number | undefined>>;

/** One process's figures under the keys of the report; those that an index does not have are left out. */
export function ownFigures(run: OwnIndexMeasured, { task, reference }: Pick<SizeRuns, 'task' | 'reference'>): Figures {
  return defined({
    p50_ms: run.p50Ms,
    p99_ms: run.p99Ms,
    qps_1: run.qpsOne,
    [`qps_${task.clients}`]: run.qpsMany,
    [`clients_${task.clients}_p50_ms`]: run.p50ManyMs,
    [`clients_${task.clients}_p99_ms`]: run.p99ManyMs,
    loop_delay_p99_ms: run.loopDelayP99Ms,
    p99_idle_ms: run.p99IdleMs,
    p99_inserting_ms: run.p99InsertingMs,
    recall_at_10: recallOf(run, reference),
    load_s: run.loadS,
    settled_s: run.settledS,
    build_vectors_per_s: task.vectors / run.settledS,
    snapshot_load_s: run.snapshotLoadS,
    first_search_ms: run.firstSearchMs,
    bytes_per_vector: run.bytesPerVector,
    peak_bytes_per_vector: run.peakBytesPerVector,
    survivors_median: run.survivors?.median,
    survivors_max: run.survivors?.max,
  });
}

/** On one line. */
export function describeOwn(figures: Figures): string {
  return Object.entries(figures).map(([key, value]) => `${key} ${Number(value.toPrecision(4))}`).join(', ');
}

/** Ours and the yardsticks, and ours over theirs. */
export function reportComparison({ json, ...options }: IndexBenchOptions, size: SizeRuns): void {
  const { own, usearch, hnswlib, reference, hnswlibBuildS, task: { clients } } = size;
  const ownP50 = own.map(({ p50Ms }) => p50Ms);
  printReport({
    name: 'index',
    options: { ...options },
    figures: defined({
      ...middleFigures(size),
      usearch_f32_p50_ms: middle(usearch, ({ p50Ms }) => p50Ms),
      usearch_f32_p99_ms: middle(usearch, ({ p99Ms }) => p99Ms),
      [`usearch_f32_qps_${clients}`]: middle(usearch, ({ qpsMany }) => qpsMany),
      usearch_f32_recall_at_10: middle(usearch, (run) => recallOf(run, reference)),
      hnswlib_p50_ms: middle(hnswlib, ({ p50Ms }) => p50Ms),
      hnswlib_p99_ms: middle(hnswlib, ({ p99Ms }) => p99Ms),
      hnswlib_recall_at_10: middle(hnswlib, (run) => recallOf(run, reference)),
      hnswlib_build_s: hnswlibBuildS,
    }),
    ratios: defined({
      p50_over_usearch_f32: over(ownP50, usearch.map(({ p50Ms }) => p50Ms)),
      [`qps_${clients}_over_usearch_f32`]: over(own.map(({ qpsMany }) => qpsMany), usearch.map(({ qpsMany }) => qpsMany)),
      p99_inserting_over_idle: over(own.map(({ p99InsertingMs }) => p99InsertingMs), own.map(({ p99IdleMs }) => p99IdleMs)),
      p50_over_hnswlib: over(ownP50, hnswlib.map(({ p50Ms }) => p50Ms)),
    }),
  }, { json });
}

/**
 * The figures of every size, and what they come to for each vector, relative to the smallest: 1 is growth in step. In
 * the report those of the smallest size have their usual keys, those of n times as many the prefix `xn_`.
 */
export function reportGrowth({ json, ...options }: IndexBenchOptions, sizes: readonly SizeRuns[]): void {
  const [first] = sizes as [SizeRuns];
  const { clients, vectors } = first.task;
  const all = sizes.map((size) => ({ prefix: size === first ? '' : `x${size.task.vectors / vectors}_`, size, figures: middleFigures(size), costs: costsPerVector(size) }));
  const relative = all.map(({ costs }) => Object.fromEntries(Object.entries(costs).map(([key, cost]) => [key, cost / (all[0]?.costs[key] as number)])));
  const heads = ['vectors', ...sizes.map(({ task }) => String(task.vectors))];
  printTable([heads, ...Object.keys(all[0]?.figures ?? {}).map((key) => [key, ...all.map(({ figures }) => shown(figures[key]))])]);
  console.log('\nfor each vector, relative to the smallest:');
  printTable([heads, ...Object.keys(relative[0] ?? {}).map((key) => [key, ...relative.map((costs) => shown(costs[key]))])]);
  console.log('');
  const prefixed = (figures: Figures, prefix: string): [string, number][] => Object.entries(figures).map(([key, value]) => [`${prefix}${key}`, value]);
  printReport({
    name: 'index',
    options: { ...options, clients },
    figures: Object.fromEntries(all.flatMap(({ figures, prefix }) => prefixed(figures, prefix))),
    ratios: Object.fromEntries(all.slice(1).flatMap(({ prefix }, i) => prefixed(relative[i + 1] as Figures, prefix))),
  }, { json });
}

/** What grows with the vectors, for each of them, but memory, which is so already. */
function costsPerVector({ task: { vectors }, own }: SizeRuns): Figures {
  return defined({
    p50_per_vector: middle(own, ({ p50Ms }) => p50Ms / vectors),
    p99_per_vector: middle(own, ({ p99Ms }) => p99Ms / vectors),
    search_of_many_per_vector: middle(own, ({ qpsMany }) => 1 / qpsMany / vectors),
    load_per_vector: middle(own, ({ loadS }) => loadS / vectors),
    memory_per_vector: middle(own, ({ bytesPerVector }) => bytesPerVector),
    survivors_per_vector: own[0]?.survivors && middle(own, ({ survivors }) => (survivors?.median ?? 0) / vectors),
  });
}

/** The median of each figure over the rounds. */
function middleFigures(size: SizeRuns): Figures {
  const rounds = size.own.map((run) => ownFigures(run, size));
  return Object.fromEntries(Object.keys(rounds[0] ?? {}).map((key) => [key, median(rounds.map((figures) => figures[key] as number))]));
}

function middle<Run>(runs: readonly Run[], of: (run: Run) => number): number | undefined {
  return runs.length > 0 ? median(runs.map(of)) : undefined;
}

/** The median of the rounds' ratios. */
function over(ours: readonly number[], theirs: readonly number[]): number | undefined {
  return theirs.length > 0 ? median(ours.map((our, round) => our / (theirs[round] as number))) : undefined;
}

function defined(figures: MaybeFigures): Figures {
  return Object.fromEntries(Object.entries(figures).filter((entry): entry is [string, number] => entry[1] !== undefined));
}

function shown(value: number | undefined): string {
  return value === undefined ? '–' : String(Number(value.toPrecision(4)));
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] as string).length)));
  for (const [key, ...cells] of rows as [string, ...string[]][]) console.log([key.padEnd(widths[0] as number), ...cells.map((cell, i) => cell.padStart(widths[i + 1] as number))].join('  '));
}
