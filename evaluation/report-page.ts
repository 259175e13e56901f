/** The report of an evaluation: one page that holds everything it shows. */
import { namedFigures, type Evaluation } from './evaluation.js';
import { Html, html } from './html.js';
import { rankParts } from './parts.js';
import { differenceList, exampleList, type Gallery, type ReportExamples, type Thumbnails } from './report-examples.js';
import { REPORT_STYLE } from './report-style.js';
import { depthOf, runName, type Comparison } from './runs.js';

export interface ReportOptions {
  readonly examples: ReportExamples;
  readonly thumbnails: Thumbnails;
  /** When, and by which version, as it is shown. */
  readonly made: string;
}

/** Labels shown in the table of parts; the JSON has all. */
const PARTS_SHOWN = 60;

/** The page as a text. It needs no other file, runs no script and asks no network. */
export function renderReport(evaluation: Evaluation, { examples, thumbnails, made }: ReportOptions): string {
  const gallery: Gallery = { thumbnails, images: new Map(evaluation.images.map((image) => [image.id, image])) };
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Evaluation of ${evaluation.source}</title>
<style>${new Html(REPORT_STYLE)}</style>
</head>
<body>
${heading(evaluation)}
<main>
${figuresTable(evaluation)}
${partsTable(evaluation)}
${costsTable(evaluation)}
${evaluation.comparisons.length > 0 ? html`<h2>Against each other</h2>${evaluation.comparisons.map((comparison, i) => comparisonSection(comparison, { evaluation, list: differenceList(examples.comparisons[i] as ReportExamples['comparisons'][number], gallery) }))}` : ''}
<h2>Examples</h2>
<p class="quiet">Each row is a query, and what was found for it, best first, with its similarity. Right answers have a mark and a green frame.</p>
${examples.runs.map(({ run, best, worst }) => html`<section><h3>${runName(run)}: worst</h3>${exampleList(worst, gallery)}${best.length > 0 ? html`<h3>${runName(run)}: best</h3>${exampleList(best, gallery)}` : ''}</section>`)}
</main>
${footer(evaluation, made)}
</body>
</html>
`.toString();
}

const WORDS: Readonly<Record<Evaluation['mode'], { readonly title: string; readonly what: string }>> = {
  altered: { title: 'Altered copies, found again', what: 'Each image was altered in every way of the list below; each copy was searched for among the images as they were. Only its original is right.' },
  labelled: { title: 'Images of a class, found by each other', what: 'Each image was searched for among the others. Right are those of the same class, which is the folder they lie in.' },
  groups: { title: 'Images of a group, found by each other', what: 'Each image was searched for among the others. Right are those of the same group of the file.' },
};

function heading({ mode, source, images, queries, seed, unreadable, duplicates, unlabelled, limit }: Evaluation): Html {
  const facts: (readonly [string | number, string])[] = [
    [images.length, limit === undefined ? 'images' : 'images, drawn by the seed'],
    [queries.length, 'queries'],
    [seed, 'seed'],
    ...(duplicates > 0 ? [[duplicates, duplicates === 1 ? 'file with the bytes of another' : 'files with the bytes of another'] as const] : []),
    ...(unlabelled > 0 ? [[unlabelled, unlabelled === 1 ? 'image without a class, left out' : 'images without a class, left out'] as const] : []),
    ...(unreadable.length > 0 ? [[unreadable.length, unreadable.length === 1 ? 'image that could not be read' : 'images that could not be read'] as const] : []),
  ];
  const list = unreadable.length === 0 ? '' : html`<details><summary>Which could not be read</summary><ul>${unreadable.map(({ name, code, message }) => html`<li>${name}: ${code}. ${message}</li>`)}</ul></details>`;
  return html`<header><h1>${WORDS[mode].title}</h1><p class="quiet">${source}</p><p>${WORDS[mode].what}</p><ul class="facts">${facts.map(([value, what]) => html`<li><b>${value}</b> ${what}</li>`)}</ul>${list}</header>`;
}

/** Titles of figures for a person: `recall_at_10` is recall@10. */
function figureTitle(name: string): string {
  return name.replace(/_at_/, '@').replace('map', 'mAP').replace('ndcg', 'nDCG');
}

function figuresTable({ runs, mode }: Evaluation): Html {
  const named = runs.map(({ figures }) => namedFigures(figures));
  const names = [...(named[0] as ReadonlyMap<string, number>).keys()].filter((name) => mode !== 'altered' || !name.startsWith('hit')); // with one right answer both are the same
  const highest = new Map(names.map((name) => [name, Math.max(...named.map((figures) => figures.get(name) as number))]));
  const cell = (name: string, value: number): Html => html`<td${new Html(runs.length > 1 && value === highest.get(name) ? ' class="best"' : '')}>${value.toFixed(4)}</td>`;
  return html`<h2>How good</h2><div class="scroll" role="region" aria-label="How good" tabindex="0"><table><caption>Means over the queries, from 0 to 1; higher is better${runs.length > 1 ? ', and the highest are set off' : ''}.</caption><thead><tr><th scope="col">Model</th><th scope="col" class="text">Index</th>${names.map((name) => html`<th scope="col">${figureTitle(name)}</th>`)}</tr></thead><tbody>${runs.map(({ run }, i) => html`<tr><th scope="row">${run.model}</th><td class="text">${run.algorithm}</td>${names.map((name) => cell(name, (named[i] as ReadonlyMap<string, number>).get(name) as number))}</tr>`)}</tbody></table></div>`;
}

function partsTable(evaluation: Evaluation): Html {
  const { mode, runs, places } = evaluation;
  const k = mode === 'altered' ? places[0] : depthOf(places);
  const parts = rankParts(evaluation);
  const what = mode === 'altered' ? `Share of the copies whose original is among the first ${k === 1 ? '' : k}` : `Mean average precision of the first ${k}`;
  const title = mode === 'altered' ? 'By alteration' : mode === 'labelled' ? 'By class' : 'By group';
  const rest = parts.length > PARTS_SHOWN ? `; the worst ${PARTS_SHOWN} of ${parts.length}` : '';
  return html`<h2>${title}</h2><div class="scroll" role="region" aria-label="${title}" tabindex="0"><table><caption>${mode === 'altered' && k === 1 ? 'Share of the copies whose original comes first' : what}${rest}. The hardest${runs.length > 1 ? ' for the first model' : ''} at the top.</caption><thead><tr><th scope="col">${title.replace('By ', '').replace(/^./, (letter) => letter.toUpperCase())}</th><th scope="col">Queries</th>${runs.map(({ run }) => html`<th scope="col">${run.model}<br>${run.algorithm}</th>`)}</tr></thead><tbody>${parts.slice(0, PARTS_SHOWN).map((part) => html`<tr><th scope="row">${part.title}</th><td>${part.queries}</td>${part.figures.map((figure) => html`<td class="bar" style="--share: ${(figure * 100).toFixed(1)}%">${figure.toFixed(3)}</td>`)}</tr>`)}</tbody></table></div>`;
}

function costsTable({ runs }: Evaluation): Html {
  const milliseconds = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(0));
  return html`<h2>What it costs</h2><div class="scroll" role="region" aria-label="What it costs" tabindex="0"><table><caption>Milliseconds of one call at a time on this machine: half of the calls, and 95 of 100, took no longer. Memory is the index's own.</caption><thead><tr><th scope="col">Model</th><th scope="col" class="text">Index</th><th scope="col">Numbers</th><th scope="col">Embed p50</th><th scope="col">p95</th><th scope="col">Search p50</th><th scope="col">p95</th><th scope="col">Memory, kB</th><th scope="col">Bytes an image</th></tr></thead><tbody>${runs.map(({ run: { model, algorithm, dim, embed, search, memoryBytes, vectors } }) => html`<tr><th scope="row">${model}</th><td class="text">${algorithm}</td><td>${dim}</td><td>${milliseconds(embed.p50Ms)}</td><td>${milliseconds(embed.p95Ms)}</td><td>${milliseconds(search.p50Ms)}</td><td>${milliseconds(search.p95Ms)}</td><td>${(memoryBytes / 1000).toFixed(0)}</td><td>${Math.round(memoryBytes / vectors)}</td></tr>`)}</tbody></table></div>`;
}

function comparisonSection({ a, b, overlap, wins, ties }: Comparison, { evaluation: { queries, places }, list }: { readonly evaluation: Evaluation; readonly list: Html }): Html {
  const share = (count: number): string => `${((100 * count) / queries.length).toFixed(2)}%`;
  const entry = (swatch: string, text: string): Html => html`<li><span class="swatch" style="background: ${swatch}"></span>${text}</li>`;
  return html`<section><h3>${runName(a)} and ${runName(b)}</h3><p>Of their first ${depthOf(places)} answers they have ${(overlap * 100).toFixed(1)} % in common. A query is won by the higher average precision.</p><div class="split" role="img" aria-label="${wins.a} won by ${runName(a)}, ${ties} alike, ${wins.b} won by ${runName(b)}"><i class="a" style="width: ${share(wins.a)}"></i><i style="width: ${share(ties)}"></i><i class="b" style="width: ${share(wins.b)}"></i></div><ul class="legend">${entry('var(--accent)', `${wins.a} won by ${runName(a)}`)}${entry('var(--sunk)', `${ties} alike`)}${entry('var(--second)', `${wins.b} won by ${runName(b)}`)}</ul>${wins.a + wins.b === 0 ? '' : list}</section>`;
}

function footer({ runs, places }: Evaluation, made: string): Html {
  const depth = depthOf(places);
  return html`<footer><h2>What the figures mean</h2><p><b>recall@k</b>: how much of what is right is among the first k. <b>hit@k</b>: whether anything right is. <b>mAP@${depth}</b>: the mean of the precision at each right place among the first ${depth}, over as many as could be there. <b>nDCG@${depth}</b>: the same with places discounted by the logarithm.</p><p class="quiet">${[...new Map(runs.map(({ run }) => [run.model, run.modelVersion]))].map(([model, version]) => html`${model}, version ${version.slice(0, 12)}. `)}${made}</p></footer>`;
}
