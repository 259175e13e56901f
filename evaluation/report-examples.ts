/** The report's pictures: what was searched for, and what was found. */
import type { Evaluation } from './evaluation.js';
import { alterationTitle } from './alterations.js';
import type { EvaluatedImage, Query } from './collection.js';
import { findExamples, type Example } from './examples.js';
import { html, type Html } from './html.js';
import { firstOfModels, runName, type Comparison, type Difference, type Hit, type Run } from './runs.js';

/** Small pictures as data: URLs, by the id of an image or query. */
export type Thumbnails = ReadonlyMap<string, string>;

/** Of each run: its worst are of more interest. */
const WORST = 8;
const BEST = 4;
const HITS_SHOWN = 6;
/** Of each winner of a comparison. */
const DIFFERENCES = 3;

export interface RunExamples {
  readonly run: Run;
  readonly best: readonly Example[];
  readonly worst: readonly Example[];
}

export interface ComparisonExamples {
  readonly comparison: Comparison;
  /** Where a is the better by most, then where b is. */
  readonly shown: readonly Difference[];
}

export interface ReportExamples {
  readonly runs: readonly RunExamples[];
  readonly comparisons: readonly ComparisonExamples[];
}

/** What the report shows: examples of each model with its first index, and where runs differ. */
export function chooseExamples({ queries, runs, comparisons, places }: Evaluation): ReportExamples {
  return {
    runs: firstOfModels(runs.map(({ run }) => run)).map((run) => ({ run, ...findExamples(queries, run, { places, worst: WORST, best: BEST }) })),
    comparisons: comparisons.map((comparison) => ({ comparison, shown: [...largest(comparison, 1), ...largest(comparison, -1)] })),
  };
}

/** @param sign 1: where a wins; -1: where b does */
function largest({ differences }: Comparison, sign: 1 | -1): Difference[] {
  return differences
    .filter(({ a, b }) => (a - b) * sign > 0)
    .sort((one, other) => (other.a - other.b - (one.a - one.b)) * sign)
    .slice(0, DIFFERENCES);
}

/** The queries and images whose pictures the report needs. */
export function picturesOf({ runs, comparisons }: ReportExamples): { readonly queries: readonly Query[]; readonly imageIds: ReadonlySet<string> } {
  const examples = runs.flatMap(({ best, worst }) => [...best, ...worst]);
  const shown = comparisons.flatMap(({ comparison: { a, b }, shown: differences }) => differences.map(({ query }) => ({ query, hits: [a, b].flatMap(({ answers }) => shownHits(answers.get(query.id) ?? [])) })));
  const all = [...examples.map(({ query, hits }) => ({ query, hits: shownHits(hits) })), ...shown];
  return { queries: [...new Map(all.map(({ query }) => [query.id, query])).values()], imageIds: new Set(all.flatMap(({ hits }) => hits.map(({ id }) => id))) };
}

function shownHits(hits: readonly Hit[]): readonly Hit[] {
  return hits.slice(0, HITS_SHOWN);
}

/** What is needed to draw examples. */
export interface Gallery {
  readonly thumbnails: Thumbnails;
  /** By id. */
  readonly images: ReadonlyMap<string, EvaluatedImage>;
}

export function exampleList(examples: readonly Example[], gallery: Gallery): Html {
  return html`<ol class="examples">${examples.map(({ query, hits, averagePrecision }) => html`<li class="example">${queryFigure(query, `average precision ${averagePrecision.toFixed(3)}`, gallery)}${hitList(query, hits, gallery)}</li>`)}</ol>`;
}

/** What each of two runs found for the same query. */
export function differenceList({ comparison: { a, b }, shown }: ComparisonExamples, gallery: Gallery): Html {
  const side = (run: Run, query: Query, precision: number): Html => html`<div><p class="quiet">${runName(run)}: ${precision.toFixed(3)}</p>${hitList(query, run.answers.get(query.id) ?? [], gallery)}</div>`;
  return html`<ol class="examples">${shown.map(({ query, a: ofA, b: ofB }) => html`<li class="example">${queryFigure(query, `${runName(ofA > ofB ? a : b)} wins`, gallery)}<div>${side(a, query, ofA)}${side(b, query, ofB)}</div></li>`)}</ol>`;
}

function queryFigure(query: Query, note: string, { thumbnails }: Gallery): Html {
  const { image, alteration } = query;
  const what = alteration === undefined ? [...image.labels].join(', ') : alterationTitle(alteration);
  return html`<figure class="query"><img src="${thumbnails.get(query.id) ?? ''}" alt="Searched for: ${image.name}, ${what}"><figcaption><b>${what}</b>${image.name}<br>${note}</figcaption></figure>`;
}

function hitList({ relevant }: Query, hits: readonly Hit[], { thumbnails, images }: Gallery): Html {
  return html`<ol class="hits">${shownHits(hits).map(({ id, score }) => {
    const isRight = relevant.has(id);
    const name = images.get(id)?.name ?? id;
    return html`<li class="hit${isRight ? ' right' : ''}"><figure title="${name}"><img src="${thumbnails.get(id) ?? ''}" alt="${isRight ? 'Right' : 'Wrong'}: ${name}"><figcaption>${isRight ? '✓ ' : ''}${score.toFixed(3)}</figcaption></figure></li>`;
  })}</ol>`;
}

