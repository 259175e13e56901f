/** Fetches the files of models, and shows how far it is: a bar on a terminal, else a line now and then. On stderr. */
import ora from 'ora';
import type { Environment } from '../common/environment.js';
import type { DownloadProgress, DownloadRetry } from '../functions/models/download.js';
import { displayAddress } from '../functions/models/download-failure.js';
import { obtainModel, findModel } from '../functions/models/obtain-model.js';
import { everyTenth } from '../functions/models/progress.js';
import { isUrl, resolveModel, type ModelRequest, type ResolvedModel } from '../functions/models/registry.js';
import { drawBar, formatBytes } from './layout.js';

export interface FetchModelsOptions {
  readonly environment: Pick<Environment, 'dataDir' | 'modelMirror' | 'proxy'>;
  /** What was fetched until then is kept. */
  readonly signal: AbortSignal;
}

/** Between two lines where there is no terminal. */
const LINE_INTERVAL_MS = 2_000;

/**
 * Fetches what is not here yet of some models, one after the other; says nothing of what is.
 *
 * @throws EisError EIS_MODEL_FILE, before anything is fetched when a name has no address or a path leads nowhere;
 *   EIS_MODEL_DOWNLOAD
 */
export async function fetchModels(requests: readonly ModelRequest[], options: FetchModelsOptions): Promise<void> {
  const models = requests.map((request) => resolveModel(request, { mirror: options.environment.modelMirror }));
  const isRemote = ({ location }: ResolvedModel): boolean => isUrl(location);
  for (const model of models.filter((each) => !isRemote(each))) await obtainModel(model, options.environment);
  for (const model of models.filter(isRemote)) await fetchWithProgress(model, options);
}

/**
 * The path of a model's file, as `obtainModel` says, with its progress where it has to be downloaded.
 *
 * @throws EisError EIS_MODEL_FILE, EIS_MODEL_DOWNLOAD
 */
export async function fetchWithProgress(model: ResolvedModel, { environment: { dataDir, proxy }, signal }: FetchModelsOptions): Promise<string> {
  if (!isUrl(model.location) || (await findModel(model, dataDir))?.isDamaged === false) return obtainModel(model, { dataDir, proxy, signal });
  const display = process.stderr.isTTY && process.stderr.columns > 0 ? displayBar(model) : displayLines(model);
  try {
    const path = await obtainModel(model, { dataDir, proxy, signal, onProgress: display.update, onRetry: display.retry });
    display.end('fetched');
    return path;
  } catch (error) {
    display.end(signal.aborted ? 'interrupted; what was fetched is kept' : 'not fetched');
    throw error;
  }
}

interface ProgressDisplay {
  readonly update: (progress: DownloadProgress) => void;
  readonly retry: (retry: DownloadRetry) => void;
  readonly end: (outcome: string) => void;
}

function displayBar({ name, location }: ResolvedModel): ProgressDisplay {
  const spinner = ora({ text: `${name}: fetching it from ${hostOf(location)}`, stream: process.stderr, discardStdin: false }).start();
  return {
    update: (progress) => {
      spinner.text = progress.isElsewhere ? `${name}: ${ELSEWHERE}, ${describeBytes(progress)}` : `${name} ${describeShare(progress)}`;
    },
    retry: (retry) => {
      spinner.text = `${name}: ${describeRetry(retry)}`;
    },
    end: (outcome) => {
      if (outcome === 'fetched') spinner.succeed(`${name}: ${outcome}`);
      else spinner.fail(`${name}: ${outcome}`);
    },
  };
}

function displayLines({ name, location }: ResolvedModel): ProgressDisplay {
  const say = (text: string): void => console.error(`${name}: ${text}`);
  say(`fetching it from ${hostOf(location)}`);
  const sayShare = everyTenth((progress) => say(describeBytes(progress)), LINE_INTERVAL_MS);
  let wasElsewhere = false;
  return {
    update: (progress) => {
      const { isElsewhere = false, totalBytes } = progress;
      if (isElsewhere && !wasElsewhere) say(ELSEWHERE);
      wasElsewhere = isElsewhere;
      if (!isElsewhere || totalBytes !== undefined) sayShare(progress);
    },
    retry: (retry) => say(describeRetry(retry)),
    end: say,
  };
}

const ELSEWHERE = 'another process is fetching it';

function describeRetry({ reason, attempt, attemptsMax }: DownloadRetry): string {
  return `${reason}; trying again (${attempt} of ${attemptsMax})`;
}

/** The host alone: what else a URL holds can be long, or a signature. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : displayAddress(url);
}

function describeShare(progress: DownloadProgress): string {
  const { receivedBytes, totalBytes } = progress;
  return `${drawBar(totalBytes === undefined ? 0 : receivedBytes / totalBytes)} ${describeBytes(progress)}`;
}

function describeBytes({ receivedBytes, totalBytes }: DownloadProgress): string {
  if (totalBytes === undefined) return formatBytes(receivedBytes);
  return `${Math.floor((100 * receivedBytes) / Math.max(1, totalBytes))} %, ${formatBytes(receivedBytes)} of ${formatBytes(totalBytes)}`;
}
