/** An evaluation as a table for the terminal. */
import type { Evaluation } from '../evaluation/evaluation.js';
import { rankParts } from '../evaluation/parts.js';
import { depthOf, runName, type Comparison } from '../evaluation/runs.js';
import { alignColumns, formatBytes, wrap } from './layout.js';

const PARTS_SHOWN = 20;
const UNREADABLE_SHOWN = 5;

/** @param width of the terminal; undefined: it is none */
export function describeEvaluation(evaluation: Evaluation, width: number | undefined): string[] {
  const { comparisons } = evaluation;
  return [
    ...describeMaterial(evaluation).flatMap((line) => wrap(line, width)),
    '',
    ...describeRuns(evaluation),
    '',
    ...describeParts(evaluation),
    ...(comparisons.length === 0 ? [] : ['', ...comparisons.flatMap((comparison) => wrap(describeComparison(comparison, evaluation), width))]),
  ];
}

function describeMaterial({ mode, source, images, queries, duplicates, unlabelled, unreadable, seed }: Evaluation): string[] {
  const what = mode === 'altered' ? `${queries.length} altered copies searched for among the ${images.length} images of ${source}` : `${queries.length} of the ${images.length} images of ${source} searched for among the others`;
  const left = [...(duplicates > 0 ? [`${duplicates} file${duplicates === 1 ? ' has' : 's have'} the bytes of another`] : []), ...(unlabelled > 0 ? [`${unlabelled} image${unlabelled === 1 ? ' is in no folder of a class and was' : 's are in no folder of a class and were'} left out`] : [])];
  return [
    `${what} (seed ${seed}).${left.length > 0 ? ` ${left.join('; ')}.` : ''}`,
    ...(unreadable.length > 0 ? [`${unreadable.length} could not be read:`, ...unreadable.slice(0, UNREADABLE_SHOWN).map(({ name, code, message }) => `  ${name}: ${code}: ${message}`)] : []),
    ...(unreadable.length > UNREADABLE_SHOWN ? [`  … and ${unreadable.length - UNREADABLE_SHOWN} more; --json lists all.`] : []),
  ];
}

function describeRuns({ runs, places, mode }: Evaluation): string[] {
  const depth = depthOf(places);
  const isLabelled = mode !== 'altered'; // with one right answer, hit@k is recall@k
  const head = ['model', 'index', ...places.map((k) => `recall@${k}`), ...(isLabelled ? places.map((k) => `hit@${k}`) : []), `mAP@${depth}`, `nDCG@${depth}`, 'embed ms', 'p95', 'search ms', 'p95', 'memory'];
  const rows = runs.map(({ run, figures: { recall, hit, map, ndcg } }) => [
    run.model, run.algorithm,
    ...[...recall.values(), ...(isLabelled ? hit.values() : []), map, ndcg].map(formatFigure),
    ...[run.embed.p50Ms, run.embed.p95Ms, run.search.p50Ms, run.search.p95Ms].map(formatMs),
    formatBytes(run.memoryBytes),
  ]);
  return alignColumns([head, ...rows], head.map((_, column) => column).slice(2));
}

function describeParts(evaluation: Evaluation): string[] {
  const { mode, runs, places } = evaluation;
  const parts = rankParts(evaluation);
  const head = [mode === 'altered' ? `recall@${places[0]} of copies` : `mAP@${depthOf(places)} of ${mode === 'labelled' ? 'classes' : 'groups'}`, ...runs.map(({ run }) => runName(run))];
  const rows = parts.slice(0, PARTS_SHOWN).map(({ title, figures }) => [title, ...figures.map(formatFigure)]);
  const more = parts.length > PARTS_SHOWN ? [`… and ${parts.length - PARTS_SHOWN} more, which are easier; --json has all.`] : [];
  return [...alignColumns([head, ...rows], head.map((_, column) => column).slice(1)), ...more];
}

function describeComparison({ a, b, overlap, wins, ties }: Comparison, { places }: Evaluation): string {
  return `${runName(a)} and ${runName(b)}: overlap@${depthOf(places)} ${formatFigure(overlap)}; ${wins.a} queries are won by ${runName(a)}, ${wins.b} by ${runName(b)}, ${ties} alike.`;
}

function formatFigure(value: number): string {
  return value.toFixed(4);
}

function formatMs(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(1);
}
