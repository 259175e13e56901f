#!/usr/bin/env node
/** `npm start`: every role of config.json on this machine, each in its own process, with embedded queue, store and bucket. */
import { realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchModels } from './cli/fetch-models.js';
import { loadConfig, readEnvironment, type Config } from './common/config.js';
import type { Environment } from './common/environment.js';
import { settledWithin } from './common/deadline.js';
import { EisError, toEisError } from './common/errors.js';
import { runMain } from './common/lifecycle.js';
import { SILENT_LOG } from './common/log.js';
import { openStore } from './common/store/open-store.js';
import { backfill } from './ingest/backfill.js';
import { drawGallery } from './ingest/gallery/draw.js';
import { openQueue } from './ingest/queue/open-queue.js';
import { newSubmissionId } from './ingest/submission-id.js';
import { ingest } from './ingest/upload.js';
import { catchUp } from './local/catch-up.js';
import { lockDataFolder } from './local/data-lock.js';
import { forgetGallery, ingestGalleryIfEmpty } from './local/first-images.js';
import { findTakenPorts } from './local/ports.js';
import { localUrl, planProcesses, planSecondLane, type ProcessSpec } from './local/processes.js';
import { SecondLanes } from './local/second-lanes.js';
import { explainFailure, Supervisor } from './local/supervisor.js';
import { describeCoverage, HELP, welcome } from './local/words.js';

export interface StartOptions {
  /** A folder of images to ingest once everything runs. */
  readonly images?: string | undefined;
}

/** Everything is stopped within 5 s. */
const KILL_AFTER_MS = 4_200;
/** Processes of a start that was killed need a moment to end: their ports are waited for. */
const PORTS_WAIT_MS = 5_000;
const PARENT_CHECK_MS = 500;
/** How soon a second lane is started that a command asks for. */
const LANES_EVERY_MS = 500;

interface Start {
  readonly config: Config;
  readonly environment: Environment;
  readonly specs: readonly ProcessSpec[];
  readonly gatewayUrl: string;
  readonly signal: AbortSignal;
}

const notice = (text: string): void => console.error(text);

/** Starts everything and returns when it serves and its first images are in; the processes run until Ctrl-C. */
export async function start({ images }: StartOptions): Promise<void> {
  const environment = readEnvironment();
  const config = loadConfig(environment.configFile);
  const folder = images === undefined ? undefined : requireFolder(resolve(environment.workingDir, images));
  const specs = planProcesses(config, environment);
  const lock = lockDataFolder(environment.dataDir);
  const interrupted = new AbortController();
  const { signal } = interrupted;
  const parts: { fetching?: Promise<void>; supervisor?: Supervisor; lanes?: Promise<void> } = {};
  const stop = async (): Promise<void> => {
    if (parts.fetching) await settledWithin(parts.fetching, KILL_AFTER_MS);
    await parts.supervisor?.stop();
    interrupted.abort(new Error('stopping'));
    await parts.lanes;
    lock.release();
  };
  stopOnSignal(stop, interrupted, environment.isNpmScript);
  try {
    await requirePorts(specs);
    parts.fetching = fetchModels(config.models, { environment, signal });
    await parts.fetching;
    signal.throwIfAborted();
    parts.supervisor = new Supervisor(specs, { logFolder: join(environment.dataDir, 'logs'), killAfterMs: KILL_AFTER_MS, onNotice: notice });
    parts.supervisor.start();
    parts.lanes = keepSecondLanes(parts.supervisor, { config, environment, signal }).catch((error: unknown) => notice(`Second lanes are not looked after: ${toEisError(error).message}`));
    await parts.supervisor.ready();
    await fill({ config, environment, specs, gatewayUrl: gatewayUrl(specs), signal }, folder);
  } catch (error) {
    if (signal.aborted) return;
    await stop();
    throw error;
  }
}

/** Until the signal is aborted. */
async function keepSecondLanes(supervisor: Supervisor, { config, environment, signal }: Pick<Start, 'config' | 'environment' | 'signal'>): Promise<void> {
  const store = await openStore(environment);
  const lanes = new SecondLanes({
    store,
    supervisor,
    readConfig: () => loadConfig(config.file),
    plan: (lane) => planSecondLane(config, environment, lane),
    folder: join(environment.dataDir, 'lanes'),
    onNotice: notice,
  });
  while (!signal.aborted) {
    await lanes.look().catch((error: unknown) => notice(`Second lanes could not be looked after: ${toEisError(error).message}`));
    await sleep(LANES_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  await store.close();
}

/** The sample gallery comes before the welcome, so that the line to try finds something; everything larger after it. */
async function fill(started: Start, folder: string | undefined): Promise<void> {
  const { config, environment, gatewayUrl } = started;
  if (folder === undefined) await ingestGalleryIfEmpty({ config, environment, draw: drawGallery, ingest: (gallery) => ingestFolder(gallery, started) });
  else forgetGallery(environment);
  for (const sentence of describeCoverage(config)) notice(sentence);
  console.log(welcome({ models: [...config.serving.keys()], dataDir: environment.dataDir, url: gatewayUrl }));
  await catchUpAll(started);
  if (folder !== undefined) await ingestFolder(folder, started);
}

async function ingestFolder(folder: string, { environment, gatewayUrl, signal }: Start): Promise<void> {
  const summary = await ingest({ sources: [folder], gatewayUrl, apiKey: environment.apiKey, wait: true, signal, imageBytesMax: environment.limits.imageBytesMax, journalFolder: join(environment.dataDir, 'ingest') });
  console.log(`${folder}: ${summary.stored} stored, ${summary.duplicates} known already, ${summary.rejected.length} rejected, ${summary.skipped} other files skipped.`);
  for (const { source, message } of summary.rejected.slice(0, 10)) notice(`  ${source}: ${message}`);
}

async function catchUpAll({ config, environment, specs, signal }: Start): Promise<void> {
  const [store, queue] = await Promise.all([openStore(environment), openQueue({ environment, models: [...config.extractWorkers.keys()], log: SILENT_LOG })]);
  const models = specs.flatMap(({ role, model, port }) => (role === 'function' && model !== undefined && config.extractWorkers.has(model) ? [{ name: model, functionUrl: localUrl(port) }] : []));
  try {
    await catchUp({
      store,
      models,
      newSubmissionId,
      onNotice: notice,
      signal,
      backfill: async (options) => {
        let published = 0;
        for await (const progress of backfill({ store, queue, signal, ...options })) ({ published } = progress);
        return published;
      },
    });
  } finally {
    await Promise.all([queue.close(), store.close()]);
  }
}

function requireFolder(folder: string): string {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return folder;
  throw new EisError('EIS_SOURCE_UNREADABLE', { source: folder, detail: 'there is no such folder. Name one with images after --images.' });
}

async function requirePorts(specs: readonly ProcessSpec[]): Promise<void> {
  if (specs.some(({ port }) => port === 0)) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'PORT', detail: '0 lets the system choose a port, which nobody would know. Name one.' });
  const repeated = specs.find(({ port }, i) => specs.findIndex((other) => other.port === port) < i);
  if (repeated) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'PORT', detail: `port ${repeated.port} is the ${specs.find(({ port }) => port === repeated.port)?.name}'s; the ${repeated.name} cannot have it too. Choose another.` });
  const deadline = Date.now() + PORTS_WAIT_MS;
  let [taken] = await findTakenPorts(specs);
  while (taken && Date.now() < deadline) {
    await sleep(100);
    [taken] = await findTakenPorts(specs);
  }
  if (!taken) return;
  const variable = taken.role === 'gateway' ? 'PORT' : 'EIS_BASE_PORT';
  throw new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `port ${taken.port}, for the ${taken.name}, is taken by another program (is it running already?). Stop that, or choose other ports with EIS_BASE_PORT=9080.` });
}

function gatewayUrl(specs: readonly ProcessSpec[]): string {
  return localUrl((specs.find(({ role }) => role === 'gateway') as ProcessSpec).port);
}

function stopOnSignal(stop: () => Promise<void>, interrupted: AbortController, isNpmScript: boolean): void {
  const end = (): void => {
    if (interrupted.signal.aborted) return;
    interrupted.abort(new Error('stopping'));
    void stop().then(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  if (isNpmScript) onParentGone(end);
}

/** npm that is told to end ends its shell, and the shell does not tell us. */
function onParentGone(end: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    end();
  }, PARENT_CHECK_MS);
}

function readOptions(): { images?: string | undefined; help?: boolean | undefined } {
  try {
    return parseArgs({ options: { images: { type: 'string' }, help: { type: 'boolean', short: 'h' } } }).values;
  } catch (error) {
    throw new EisError('EIS_BAD_REQUEST', { detail: `${(error as Error).message}\n\n${HELP}` });
  }
}

async function main(): Promise<void> {
  const { images, help } = readOptions();
  if (help) console.log(HELP);
  else await start({ images }).catch((error: unknown) => Promise.reject(explainFailure(error)));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) runMain(main);
