/**
 * Fills the folder of an unfinished download:
 *
 *   model/      whole files, in their places; model.json among them is what the others belong to
 *   incoming/   beginnings of files (`PartialFile`)
 *   main.json   which version of model.json stands in model/
 *   fresh       the main file as it was fetched last, on its way to model/
 *
 * The main file of a Keras model is the whole of it: what it is tells its content, not its address.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { tryParseJson } from '../../common/read-bounded.js';
import { TransferFailure } from './download-failure.js';
import { fetchFile, type Transfer } from './download-file.js';
import { decode } from './download-http.js';
import type { FileVersion } from './download-partial.js';
import { fileBytes, folderBytes, type DownloadProgress, type ProgressReport } from './download-progress.js';
import { MAIN, SINGLE_MAIN, planWeights } from './download-plan.js';
import { containerOf, endsAsItShould, readHead, type Container } from './file-signature.js';
import { sha256Of } from './model-file.js';
import { failModel } from './model.js';
import { groupBytes, parseManifest, type WeightGroup } from './weights.js';

export interface ModelDownload {
  /** Of the main file. */
  readonly url: URL;
  /** The same, as errors name it. */
  readonly name: string;
  readonly sha256: string | undefined;
  readonly unfinished: string;
  readonly bytesMax: number;
  readonly transfer: Transfer;
  readonly progress: ProgressReport;
}

/** Of a model.json, which is read into memory. */
const JSON_BYTES_MAX = 100 * 1024 ** 2;

/**
 * Brings what is missing of a model.
 *
 * @returns the folder in which it is whole
 * @throws EisError EIS_MODEL_DOWNLOAD, EIS_MODEL_FILE; TransferFailure
 */
export async function fetchModel(download: ModelDownload): Promise<string> {
  const { unfinished, progress } = download;
  const { path, version } = await fetchMain(download);
  const container = containerOf(await readHead(path));
  if (container !== undefined) return placeSingleFile(path, container, download);
  const bytes = await readFile(path);
  const groups = planWeights(bytes, download.name);
  const totalBytes = bytes.length + announcedBytes(groups);
  if (totalBytes > download.bytesMax) throw tooLarge(totalBytes, download.bytesMax);
  await discardOtherVersion(unfinished, bytes, version);
  const model = join(unfinished, 'model');
  const wholeBytes = await folderBytes(model);
  await checkSpace(totalBytes - wholeBytes - (await folderBytes(join(unfinished, 'incoming'))), download.transfer.folder);
  progress.begin(totalBytes, wholeBytes);
  for (const group of groups) await fetchGroup(group, model, download);
  progress.end();
  return model;
}

/** Puts a model of one file in its place, under a name that says what it is. */
async function placeSingleFile(path: string, container: Container, { unfinished, name, progress }: ModelDownload): Promise<string> {
  if (!(await endsAsItShould(path, container))) failModel(name, 'what its host sent is cut short; nothing of it was kept. Start again, or tell whoever keeps the file.');
  const bytes = (await fileBytes(path)) ?? 0;
  const model = join(unfinished, 'model');
  await rm(model, { recursive: true, force: true });
  await mkdir(model, { recursive: true });
  await rename(path, join(model, SINGLE_MAIN[container]));
  progress.begin(bytes, bytes);
  progress.end();
  return model;
}

/** How much of a model has come, and how much there is of it, as far as the folder of its unfinished download tells. */
export async function measureUnfinished(unfinished: string): Promise<DownloadProgress> {
  const receivedBytes = (await folderBytes(join(unfinished, 'model'))) + (await folderBytes(join(unfinished, 'incoming')));
  const main = await readFile(join(unfinished, 'model', MAIN)).catch(() => undefined);
  const totalBytes = main && main.length + announcedBytes(parseManifest((tryParseJson(main) as { weightsManifest?: unknown } | undefined)?.weightsManifest, MAIN));
  return { file: MAIN, receivedBytes: Math.min(receivedBytes, totalBytes ?? Infinity), totalBytes, isElsewhere: true };
}

function announcedBytes(groups: readonly WeightGroup[]): number {
  return groups.reduce((sum, group) => sum + groupBytes(group), 0);
}

function tooLarge(bytes: number, bytesMax: number): TransferFailure {
  return new TransferFailure(`the model is larger than what is downloaded: it has at least ${bytes} bytes, and at most ${bytesMax} are downloaded`, 'Download the model yourself and set "model_url" to its path.', { isUseless: true });
}

// ── The main file ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Fetched each time, since it says what the rest belongs to, and is small; where it is the whole model, an interrupted transfer goes on. */
async function fetchMain({ url, name, sha256, unfinished, bytesMax, transfer, progress }: ModelDownload): Promise<{ readonly path: string; readonly version: FileVersion }> {
  const path = freshPath(unfinished);
  const partial = partialPath(unfinished, MAIN);
  const file = decode(posix.basename(url.pathname));
  const onHead = async (head: Buffer, bytes: number | undefined): Promise<number> => {
    if (containerOf(head) === undefined) return Math.min(bytesMax, JSON_BYTES_MAX);
    if (bytes === undefined || bytes > bytesMax) return bytesMax;
    progress.begin(bytes, 0);
    await checkSpace(bytes - ((await fileBytes(partial)) ?? 0), transfer.folder);
    return bytesMax;
  };
  const version = await fetchFile({ file, url, path, partial, bytesMax, onHead, refuseSize: tooLarge, onBytes: (bytes) => progress.update(file, bytes) }, transfer);
  const actual = sha256 === undefined ? undefined : await sha256Of(path);
  if (actual !== sha256) failModel(name, `its sha256 is ${actual}, and config.json says ${sha256}. It is not the file that was meant; nothing of it was kept. Correct "sha256" or "model_url".`);
  return { path, version };
}

function freshPath(unfinished: string): string {
  return join(unfinished, 'fresh');
}

function partialPath(unfinished: string, file: string): string {
  return join(unfinished, 'incoming', createHash('sha256').update(file).digest('hex').slice(0, 32));
}

/** Puts the fresh main file in its place; whatever belongs to another one goes. */
async function discardOtherVersion(unfinished: string, bytes: Buffer, version: FileVersion): Promise<void> {
  const model = join(unfinished, 'model');
  const noted = join(unfinished, 'main.json');
  const earlier = await readFile(join(model, MAIN)).catch(() => undefined);
  const earlierVersion = tryParseJson(await readFile(noted).catch(() => '')) as FileVersion | undefined;
  if (earlier?.equals(bytes) && earlierVersion?.etag === version.etag && earlierVersion?.lastModified === version.lastModified) return;
  await rm(model, { recursive: true, force: true });
  await rm(join(unfinished, 'incoming'), { recursive: true, force: true });
  await writeFile(noted, JSON.stringify(version));
  await mkdir(model, { recursive: true });
  await rename(freshPath(unfinished), join(model, MAIN));
}

async function checkSpace(neededBytes: number, folder: string): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(folder);
  const isKnown = blocks > 0;
  if (!isKnown || neededBytes <= bavail * bsize) return;
  const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)} MB`;
  throw new TransferFailure(`it needs ${megabytes(neededBytes)} more, and the disk of ${folder} has ${megabytes(bavail * bsize)} left`, 'Make room there, or set EIS_DATA_DIR to a larger disk.');
}

// ── The weights ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Brings those files of a group that are not here, and holds them to what the manifest announces. */
async function fetchGroup(group: WeightGroup, model: string, { url, name, unfinished, transfer, progress }: ModelDownload): Promise<void> {
  const announced = groupBytes(group);
  const sizes = new Map<string, number>();
  const here = (): number => group.paths.reduce((sum, path) => sum + (sizes.get(path) ?? 0), 0);
  const mismatch = (bytes: number): never => failModel(name, `its weights (${describePaths(group.paths)}) are ${bytes} bytes where model.json announces ${announced}. These files do not belong together; nothing of them was kept. Start again, or tell whoever keeps them.`);
  for (const path of group.paths) {
    const size = await fileBytes(join(model, path));
    if (size !== undefined) sizes.set(path, size);
  }
  for (const path of new Set(group.paths)) {
    if (sizes.has(path)) continue;
    const place = join(model, path);
    await fetchFile(
      { file: path, url: weightUrl(url, path), path: place, partial: partialPath(unfinished, path), bytesMax: announced - here(), refuseSize: (bytes) => mismatch(here() + bytes), onBytes: (bytes) => progress.update(path, bytes) },
      transfer,
    );
    sizes.set(path, (await fileBytes(place)) ?? 0);
    progress.add(sizes.get(path) ?? 0);
  }
  if (here() !== announced) mismatch(here());
}

function describePaths(paths: readonly string[]): string {
  return paths.length <= 3 ? paths.join(', ') : `${paths.length} files, ${paths[0]} and on`;
}

/** Beside the main file, with its query (signed URLs carry one). */
function weightUrl(main: URL, path: string): URL {
  const url = new URL(path.split('/').map(encodeURIComponent).join('/'), main);
  url.search = main.search;
  return url;
}
