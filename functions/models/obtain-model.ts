/** Brings the file of a model here: from a path it is there already, from a URL it is downloaded, once. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ProxySettings } from '../../common/environment.js';
import { isEisError } from '../../common/errors.js';
import { tryParseJson } from '../../common/read-bounded.js';
import type { DownloadProgress, DownloadRetry } from './download.js';
import { MAIN } from './download-plan.js';
import { containerOf, readHead } from './file-signature.js';
import { failModel } from './model.js';
import { isUrl, type ResolvedModel } from './registry.js';
import { parseManifest } from './weights.js';

export interface ObtainOptions {
  /** Downloaded models are kept below it. */
  readonly dataDir: string;
  readonly proxy?: ProxySettings | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Told why a file is tried again, before it is. */
  readonly onRetry?: ((retry: DownloadRetry) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is here of a model. */
export interface FoundModel {
  readonly path: string;
  /** Of the main file and its weights; undefined: its weights cannot be told from it, or are not there. */
  readonly bytes: number | undefined;
  /** It was downloaded and is no longer what it was: `obtainModel` downloads it again. */
  readonly isDamaged: boolean;
}

/**
 * The path of a model's main file; a download, where it needs one, is finished then.
 *
 * @throws EisError EIS_MODEL_FILE when it is not where the configuration says; EIS_MODEL_DOWNLOAD
 */
export async function obtainModel(model: ResolvedModel, options: ObtainOptions): Promise<string> {
  if (!isUrl(model.location)) return findFile(model);
  const { proxy, onProgress, onRetry, signal } = options;
  const { downloadModel } = await import('./download.js'); // whose HTTP client would take every start 150 ms
  try {
    return await downloadModel({ ...downloadOf(model, options.dataDir), proxy, onProgress, onRetry, signal });
  } catch (error) {
    if (model.absence !== undefined && isEisError(error) && error.code === 'EIS_MODEL_DOWNLOAD' && !signal?.aborted) error.message += ` ${model.absence}`;
    throw error;
  }
}

/** What is here of a model already, undefined for nothing. Never touches the network. */
export async function findModel(model: ResolvedModel, dataDir: string): Promise<FoundModel | undefined> {
  if (isUrl(model.location)) {
    const { findDownloaded } = await import('./download.js');
    return findDownloaded(downloadOf(model, dataDir));
  }
  const path = await findFile(model).catch(() => undefined);
  return path === undefined ? undefined : { path, bytes: await measure(path).catch(() => undefined), isDamaged: false };
}

function downloadOf({ location, sha256 }: ResolvedModel, dataDir: string): { readonly url: string; readonly sha256: string | undefined; readonly folder: string } {
  return { url: location, sha256, folder: join(dataDir, 'models') };
}

/** Models that are one file, as they are named. */
const SINGLE_FILE = /\.(keras|h5|hdf5)$/i;

/** The file of a path that names it or its folder. */
async function findFile({ name, location, absence }: ResolvedModel): Promise<string> {
  const place = await stat(location).catch((cause: unknown) => failModel(location, absence ?? 'there is no such file or folder.', cause));
  if (!place.isDirectory()) return location;
  const names = await readdir(location);
  if (names.includes(MAIN)) return join(location, MAIN);
  const singles = names.filter((name) => SINGLE_FILE.test(name));
  if (singles.length > 1) failModel(location, `the folder holds several models: ${singles.slice(0, 5).join(', ')}${singles.length > 5 ? ', …' : ''}. Name one of them in "model_url".`);
  return singles.length === 1 ? join(location, singles[0] as string) : failModel(join(location, MAIN), `there is no such file. The folder of the model ${JSON.stringify(name)} should hold a model.json and its weight files, or one .keras or .h5 file.`);
}

async function measure(path: string): Promise<number> {
  const sizes = await Promise.all((await listModelFiles(path)).map(async (file) => (await stat(join(dirname(path), file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * The files of a model, its main file first, relative to the folder of that.
 *
 * @param path of its main file
 * @throws EisError EIS_MODEL_FILE when its weights cannot be told from it
 */
export async function listModelFiles(path: string): Promise<readonly string[]> {
  if (containerOf(await readHead(path)) !== undefined) return [basename(path)];
  const groups = parseManifest((tryParseJson(await readFile(path, 'utf8')) as { weightsManifest?: unknown } | undefined)?.weightsManifest, path);
  return [basename(path), ...new Set(groups.flatMap((group) => group.paths))];
}
