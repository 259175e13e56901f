/** `eis evaluate`: how good models and indexes are at images of one's own, as a table, JSON, a report, and runs of MLflow. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import ora from 'ora';
import type { IndexAlgorithm, ModelConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { packageVersion } from '../common/package-root.js';
import { alter, ALTERATION_NAMES, decodePixels } from '../evaluation/alterations.js';
import { checkCollection, queriesOfCopies, queriesOfLabels, type EvaluatedImage } from '../evaluation/collection.js';
import { evaluate, toJson, type Evaluation, type Material, type Mode, type Plan } from '../evaluation/evaluation.js';
import { toLoggedRuns } from '../evaluation/mlflow-runs.js';
import { chooseExamples, picturesOf, type ReportExamples, type Thumbnails } from '../evaluation/report-examples.js';
import { renderReport } from '../evaluation/report-page.js';
import { depthOf, type Places, type Run } from '../evaluation/runs.js';
import { toThumbnail } from '../evaluation/thumbnails.js';
import { openFunction } from './evaluate-function.js';
import { findImages, type FoundImages } from './evaluate-images.js';
import { logToMlflow } from './evaluate-mlflow.js';
import { embedImages, searchImages, type OnProgress } from './evaluate-model.js';
import { chooseModels, type ChosenModels } from './evaluate-models.js';
import { describeEvaluation } from './evaluate-words.js';
import { fetchModels } from './fetch-models.js';
import { drawBar, terminalWidth } from './layout.js';

export interface EvaluateCommandOptions {
  readonly mode: Mode;
  /** As the person named it. */
  readonly source: string;
  /** Names, paths or URLs; none: every model of the configuration. */
  readonly models: readonly string[];
  /** None: the one that the configuration has for each model. */
  readonly algorithms: readonly IndexAlgorithm[];
  /** Ascending. */
  readonly places: Places;
  readonly seed: number;
  readonly limit: number | undefined;
  /** Of a function that runs somewhere. */
  readonly functionUrl: string | undefined;
  /** A folder. */
  readonly report: string | undefined;
  readonly json: boolean;
}

interface Session {
  readonly environment: Environment;
  readonly options: EvaluateCommandOptions;
  /** A folder of this command's own. */
  readonly scratch: string;
  readonly signal: AbortSignal;
  readonly show: (text: string) => void;
}

const REPORT_FILE = 'index.html';

/** @returns the exit code @throws EisError what is wrong with the images, the models, or their functions */
export async function evaluateCommand(environment: Environment, options: EvaluateCommandOptions): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new Error('interrupted'));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, interrupt); // not once: the spinner's exit hook ends the process when it finds no other listener
  const scratch = mkdtempSync(join(tmpdir(), 'eis-evaluate-'));
  const spinner = ora({ text: 'Looking for images…', isSilent: options.json, stream: process.stderr, discardStdin: false });
  try {
    await run({ environment, options, scratch, signal: interrupted.signal, show: (text) => void (spinner.isSpinning ? (spinner.text = text) : spinner.start(text)) }, () => spinner.stop());
    return 0;
  } catch (error) {
    spinner.stop();
    if (!interrupted.signal.aborted) throw error;
    process.stderr.write('Interrupted. Nothing was evaluated.\n');
    return 130;
  } finally {
    for (const name of signals) process.off(name, interrupt);
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function run(session: Session, hideProgress: () => void): Promise<void> {
  const { environment, options, signal, show } = session;
  const startedAt = Date.now();
  show('Looking for images…');
  const found = await findImages({ mode: options.mode, path: resolve(environment.workingDir, options.source), imageBytesMax: environment.limits.imageBytesMax, limit: options.limit, seed: options.seed, signal });
  checkImages(found.images, options);
  const chosen = chooseModels(options.models, environment, session.scratch);
  if (options.functionUrl !== undefined && chosen.models.length !== 1) throw new EisError('EIS_BAD_REQUEST', { detail: `--function is the address of one model's function, and there are ${chosen.models.length} models. Name one with --model.` });
  hideProgress();
  if (options.functionUrl === undefined) await fetchModels(chosen.models, { environment, signal });
  const { material, runs } = await evaluateModels(found, chosen, session);
  const evaluation = evaluate(planOf(options), material, runs);
  const page = options.report === undefined && environment.mlflow.trackingUri === undefined ? undefined : await makeReport(evaluation, session);
  hideProgress();
  await publish(evaluation, page, { session, startedAt });
}

function planOf({ mode, source, seed, limit, places }: EvaluateCommandOptions): Plan {
  return { mode, source, seed, limit, places };
}

function checkImages(images: readonly EvaluatedImage[], { mode, places }: EvaluateCommandOptions): void {
  checkCollection(images, { depth: depthOf(places), isLabelled: mode !== 'altered' });
}

/** One model after the other, so that none slows another down. What the first one's function refuses, the others are not asked for. */
async function evaluateModels(found: FoundImages, chosen: ChosenModels, session: Session): Promise<{ readonly material: Material; readonly runs: Run[] }> {
  let material: Material = { ...found, queries: [] };
  const runs: Run[] = [];
  for (const [i, model] of chosen.models.entries()) {
    const searched = await evaluateModel(model, chosen, { session, material, isFirst: i === 0 });
    material = searched.material;
    runs.push(...searched.runs);
  }
  return { material, runs };
}

interface ModelStep {
  readonly session: Session;
  readonly material: Material;
  readonly isFirst: boolean;
}

async function evaluateModel(model: ModelConfig, { config }: ChosenModels, { session, material, isFirst }: ModelStep): Promise<{ readonly material: Material; readonly runs: readonly Run[] }> {
  const { environment, options, scratch, signal, show } = session;
  const { mode, places, seed, functionUrl: url } = options;
  show(`${model.name}: starting its function…`);
  const fn = await openFunction(model.name, { config, environment, scratch, url, signal });
  try {
    const task = { model: model.name, fn, signal, onProgress: showProgress(model.name, show) };
    const embedded = await embedImages(material.images, task);
    if (!isFirst && embedded.rejected.length > 0) throw new EisError('EIS_EVALUATION', { detail: `the function of model ${model.name} does not take ${embedded.rejected[0]?.name}, which the first model's took: ${embedded.rejected[0]?.message}` });
    const images = material.images.filter(({ id }) => embedded.vectors.has(id));
    checkImages(images, options);
    const queries = isFirst ? (mode === 'altered' ? queriesOfCopies(images, ALTERATION_NAMES) : queriesOfLabels(images)) : material.queries;
    const algorithms = options.algorithms.length > 0 ? options.algorithms : [config.indexing.get(model.name)?.algorithm ?? 'brute'];
    const { runs, unaltered } = await searchImages(embedded, { ...task, config, algorithms, images, queries, depth: depthOf(places), seed, imagePixelsMax: environment.limits.imagePixelsMax, scratch });
    const answered = queries.filter(({ id }) => runs[0]?.answers.has(id));
    if (answered.length === 0) throw new EisError('EIS_EVALUATION', { detail: `of none of the images could altered copies be made; ${unaltered[0]?.name}, for one: ${unaltered[0]?.message}` });
    return { runs, material: { ...material, images, queries: answered, unreadable: [...material.unreadable, ...embedded.rejected, ...unaltered] } };
  } finally {
    await fn.close();
  }
}

/** Where there is no terminal every text is a line: then only the last one of each part. */
function showProgress(model: string, show: Session['show']): OnProgress {
  return (part, done, of) => {
    if (process.stderr.isTTY || done === of) show(`${model} ${drawBar(done / of)} ${part === 'originals' ? `${done} of ${of} images embedded` : `${done} of ${of} searches`}`);
  };
}

async function makeReport(evaluation: Evaluation, { environment, show, signal }: Session): Promise<string> {
  show('Writing the report…');
  const examples = chooseExamples(evaluation);
  const thumbnails = await drawThumbnails(evaluation, examples, { pixelsMax: environment.limits.imagePixelsMax, signal });
  return renderReport(evaluation, { examples, thumbnails, made: `eis evaluate ${packageVersion()}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC.` });
}

async function drawThumbnails({ images, seed }: Evaluation, examples: ReportExamples, { pixelsMax, signal }: { readonly pixelsMax: number; readonly signal: AbortSignal }): Promise<Thumbnails> {
  const thumbnails = new Map<string, string>();
  const { queries, imageIds } = picturesOf(examples);
  for (const { id, path } of images.filter((image) => imageIds.has(image.id))) {
    signal.throwIfAborted();
    thumbnails.set(id, await toThumbnail(await readFile(path), pixelsMax));
  }
  for (const { id, image, alteration } of queries) {
    signal.throwIfAborted();
    const bytes = await readFile(image.path);
    thumbnails.set(id, await toThumbnail(alteration === undefined ? bytes : await alter(await decodePixels(bytes, pixelsMax), { name: alteration, imageId: image.id, seed }), pixelsMax));
  }
  return thumbnails;
}

async function publish(evaluation: Evaluation, page: string | undefined, { session: { environment, options, signal }, startedAt }: { readonly session: Session; readonly startedAt: number }): Promise<void> {
  const notes: string[] = [];
  if (page !== undefined && options.report !== undefined) notes.push(`Report: ${writeReport(page, resolve(environment.workingDir, options.report))}`);
  process.stdout.write(options.json ? `${JSON.stringify(toJson(evaluation))}\n` : `${describeEvaluation(evaluation, terminalWidth(process.stdout)).join('\n')}\n`);
  if (page !== undefined && environment.mlflow.trackingUri !== undefined) {
    notes.push(...(await logToMlflow({ environment, runs: toLoggedRuns(evaluation, { startedAt, endedAt: Date.now() }), report: { fileName: 'report.html', type: 'text/html', content: Buffer.from(page) }, signal })));
  }
  for (const note of notes) console.error(note);
}

/** @throws EisError EIS_EVALUATION when it cannot be written */
function writeReport(page: string, folder: string): string {
  const file = join(folder, REPORT_FILE);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, page);
  } catch (cause) {
    throw new EisError('EIS_EVALUATION', { detail: `the report cannot be written to ${file} (${(cause as Error).message}). Name another folder with --report.` }, { cause });
  }
  return file;
}
