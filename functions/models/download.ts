/**
 * Downloads models, once. A model lies in a folder named after its URL; it is filled under another name and renamed when
 * whole, so that there is never half a model, and processes that download the same one at once do each other no harm.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Agent, interceptors, request } from 'undici';
import { EisError, isEisError } from '../../common/errors.js';
import { refuseHdf5 } from './model.js';
import { groupBytes, parseManifest } from './weights.js';

export interface DownloadOptions {
  /** http(s):// or gs://, of a model.json or its folder. Chosen by the operator, so any host will do. */
  readonly url: string;
  /** Of the file that the URL names. */
  readonly sha256: string | undefined;
  /** Where models are kept. */
  readonly folder: string;
  readonly bytesMax?: number;
  readonly timeoutMs?: number;
}

const REDIRECTS_MAX = 5;
const MODEL_BYTES_MAX = 2 * 1024 ** 3;
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;

/**
 * The path of a model's main file, downloaded with its weights unless it has been before.
 *
 * @throws EisError EIS_MODEL_DOWNLOAD when it cannot be fetched whole, within bytes and time; EIS_MODEL_FILE when what
 *   came is not the file that `sha256` means, or names weights outside its folder
 */
export async function downloadModel(options: DownloadOptions): Promise<string> {
  const url = mainFileUrl(options.url);
  const key = createHash('sha256').update(`${url.href}\n${options.sha256 ?? ''}`).digest('hex').slice(0, 32);
  const target = join(options.folder, key);
  const main = join(target, 'model.json');
  if (await exists(main)) return main;
  const unfinished = `${target}.${randomUUID()}.part`;
  const signal = AbortSignal.timeout(options.timeoutMs ?? DOWNLOAD_TIMEOUT_MS);
  try {
    await fetchModel(url, unfinished, { ...options, signal });
    await rename(unfinished, target).catch(async (error: unknown) => {
      if (!(await exists(main))) throw error;
    });
  } catch (thrown) {
    throw isEisError(thrown) ? thrown : downloadError(options.url, thrown, signal.aborted);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return main;
}

/** The https:// URL of the file itself. */
function mainFileUrl(text: string): URL {
  if (!URL.canParse(text)) throw new EisError('EIS_MODEL_DOWNLOAD', { url: text, detail: 'it is not a URL.' });
  const given = new URL(text);
  const url = given.protocol === 'gs:' ? new URL(`https://storage.googleapis.com/${given.host}${given.pathname}`) : given;
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new EisError('EIS_MODEL_DOWNLOAD', { url: text, detail: 'models come from http://, https:// or gs:// URLs, or from paths.' });
  refuseHdf5(url.pathname);
  if (!url.pathname.endsWith('.json')) url.pathname = `${url.pathname.replace(/\/+$/, '')}/model.json`;
  return url;
}

async function fetchModel(url: URL, folder: string, options: DownloadOptions & { readonly signal: AbortSignal }): Promise<void> {
  const { signal, bytesMax = MODEL_BYTES_MAX } = options;
  const budget = { bytes: bytesMax };
  const agent = new Agent({ connect: { timeout: 10_000 } });
  const fetchTo = (from: URL, path: string): Promise<void> => fetchFile(from, path, { agent, signal, budget });
  try {
    const main = join(folder, 'model.json');
    await fetchTo(url, main);
    const bytes = await readFile(main);
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (options.sha256 !== undefined && actual !== options.sha256) throw new EisError('EIS_MODEL_FILE', { file: options.url, detail: `its sha256 is ${actual}, and config.json says ${options.sha256}. It is not the file that was meant.` });
    const groups = parseManifest(readManifest(bytes, options.url), options.url);
    const announced = groups.reduce((sum, group) => sum + groupBytes(group), 0);
    if (announced > bytesMax) throw new EisError('EIS_MODEL_DOWNLOAD', { url: options.url, detail: `its weights are ${announced} bytes; at most ${bytesMax} are downloaded.` });
    for (const path of new Set(groups.flatMap((group) => group.paths))) await fetchTo(weightUrl(url, path), join(folder, path));
  } finally {
    await agent.destroy();
  }
}

function readManifest(bytes: Buffer, url: string): unknown {
  try {
    return (JSON.parse(bytes.toString('utf8')) as { weightsManifest?: unknown } | null)?.weightsManifest;
  } catch (cause) {
    throw new EisError('EIS_MODEL_FILE', { file: url, detail: 'what its host sent is not JSON. Does the URL name a TF.js model.json, or its folder?' }, { cause });
  }
}

/** Beside the main file, with its query (signed URLs carry one). */
function weightUrl(main: URL, path: string): URL {
  const url = new URL(path.split('/').map(encodeURIComponent).join('/'), main);
  url.search = main.search;
  return url;
}

interface Transfer {
  readonly agent: Agent;
  readonly signal: AbortSignal;
  /** Bytes that the whole model may still have. */
  readonly budget: { bytes: number };
}

async function fetchFile(url: URL, path: string, { agent, signal, budget }: Transfer): Promise<void> {
  const { statusCode, body } = await request(url, { dispatcher: agent.compose(interceptors.redirect({ maxRedirections: REDIRECTS_MAX })), signal });
  if (statusCode !== 200) {
    body.on('error', () => undefined).destroy();
    throw new EisError('EIS_MODEL_DOWNLOAD', { url: url.href, detail: `its host answered ${statusCode}.` });
  }
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      budget.bytes -= chunk.length;
      if (budget.bytes < 0) done(new EisError('EIS_MODEL_DOWNLOAD', { url: url.href, detail: 'the model is larger than what is downloaded.' }));
      else done(null, chunk);
    },
  });
  await mkdir(dirname(path), { recursive: true });
  await pipeline(body as Readable, bounded, createWriteStream(path), { signal });
}

function downloadError(url: string, cause: unknown, isTimeout: boolean): EisError {
  return new EisError('EIS_MODEL_DOWNLOAD', { url, detail: isTimeout ? 'it took too long.' : 'its host does not answer, or the transfer broke off. Check the URL and the network.' }, { cause });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
