/** An evaluation as MLflow's runs: one for each model and index, its settings as parameters, its figures as metrics. */
import { namedFigures, type Evaluation } from './evaluation.js';
import type { LoggedRun } from './mlflow-log.js';
import { runName, type Comparison, type Run } from './runs.js';

/** @param times of the whole evaluation, ms since the epoch */
export function toLoggedRuns(evaluation: Evaluation, times: Pick<LoggedRun, 'startedAt' | 'endedAt'>): LoggedRun[] {
  const { mode, source, seed, limit, places, images, queries, comparisons } = evaluation;
  return evaluation.runs.map(({ run, figures, parts }) => ({
    ...times,
    name: runName(run),
    params: new Map(
      Object.entries({ mode, source, seed, limit: limit ?? 'none', k: places.join(' '), model: run.model, model_version: run.modelVersion, algorithm: run.algorithm, dim: run.dim, images: images.length, queries: queries.length }).map(([name, value]) => [name, String(value)]),
    ),
    metrics: new Map([
      ...namedFigures(figures),
      ['embed_p50_ms', run.embed.p50Ms],
      ['embed_p95_ms', run.embed.p95Ms],
      ['search_p50_ms', run.search.p50Ms],
      ['search_p95_ms', run.search.p95Ms],
      ['memory_bytes', run.memoryBytes],
      ...[...parts].flatMap(([part, ofPart]) => [...namedFigures(ofPart)].map(([name, value]): [string, number] => [`${mode === 'altered' ? 'alteration' : 'class'}/${part.replaceAll('/', '_')}/${name}`, value])),
      ...comparisons.flatMap((comparison) => comparedMetrics(comparison, run)),
    ]),
  }));
}

/** Of a run's comparisons with others: `against/<model> <algorithm>/overlap`, and how many queries it answers better, and worse. */
function comparedMetrics({ a, b, overlap, wins }: Comparison, run: Run): [string, number][] {
  if (run !== a && run !== b) return [];
  const [other, won, lost] = run === a ? [b, wins.a, wins.b] : [a, wins.b, wins.a];
  const prefix = `against/${other.model} ${other.algorithm}`;
  return [[`${prefix}/overlap`, overlap], [`${prefix}/wins`, won], [`${prefix}/losses`, lost]];
}
