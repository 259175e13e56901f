#!/usr/bin/env node
/** `npm start`: every role of config.json on this machine, each in its own process, with embedded queue, store and bucket. */
import { realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadConfig, readEnvironment, type Config } from './common/config.js';
import type { Environment } from './common/environment.js';
import { EisError, toEisError } from './common/errors.js';
import { runMain } from './common/lifecycle.js';
import { drawGallery } from './ingest/gallery/draw.js';
import { ingest } from './ingest/upload.js';
import { ingestGalleryIfEmpty } from './local/first-images.js';
import { findTakenPorts } from './local/ports.js';
import { planProcesses, type ProcessSpec } from './local/processes.js';
import { ProcessFailure, Supervisor } from './local/supervisor.js';

export interface StartOptions {
  /** A folder of images to ingest once everything runs. */
  readonly images?: string | undefined;
}

/** Everything is stopped within 5 s. */
const KILL_AFTER_MS = 4_200;
const PORTS_WAIT_MS = 5_000;

const HELP = `npm start -- [--images DIR]

Starts the whole system on this machine: gateway, functions, index pods, workers.
  --images DIR   ingest the images in DIR once it runs (what is known already is not ingested again)

Settings: EIS_CONFIG (config.json), EIS_DATA_DIR (./data), EIS_BASE_PORT (8080), PORT (of the gateway), LOG_LEVEL.
`;

/** Starts everything and returns when it serves and its first images are in; the processes run until `stop` or Ctrl-C. */
export async function start({ images }: StartOptions): Promise<void> {
  const environment = readEnvironment();
  const config = loadConfig(environment.configFile);
  if (images !== undefined) checkFolder(images);
  const specs = planProcesses(config, environment);
  await checkPorts(specs);
  const supervisor = new Supervisor(specs, { logFolder: join(environment.dataDir, 'logs'), killAfterMs: KILL_AFTER_MS, onNotice: (notice) => console.error(notice) });
  const interrupted = new AbortController();
  stopOnSignal(supervisor, interrupted);
  supervisor.start();
  try {
    await supervisor.ready();
    await fill({ config, environment, images, gatewayUrl: gatewayUrl(specs), signal: interrupted.signal });
    console.log(welcome(config, environment, gatewayUrl(specs)));
  } catch (error) {
    if (interrupted.signal.aborted) return;
    await supervisor.stop();
    throw error;
  }
}

function checkFolder(folder: string): void {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new EisError('EIS_SOURCE_UNREADABLE', { source: resolve(folder), detail: 'there is no such folder. Name one with images after --images.' });
}

/** Processes of a start that was killed need a moment to end: their ports are waited for. */
async function checkPorts(specs: readonly ProcessSpec[]): Promise<void> {
  const deadline = Date.now() + PORTS_WAIT_MS;
  let [taken] = await findTakenPorts(specs);
  while (taken && Date.now() < deadline) {
    await sleep(100);
    [taken] = await findTakenPorts(specs);
  }
  if (!taken) return;
  const variable = taken.name === 'gateway' ? 'PORT' : 'EIS_BASE_PORT';
  throw new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `port ${taken.port}, for the ${taken.name}, is taken by another program (is it running already?). Stop that, or choose other ports with EIS_BASE_PORT=9080.` });
}

function gatewayUrl(specs: readonly ProcessSpec[]): string {
  return `http://127.0.0.1:${(specs.find(({ name }) => name === 'gateway') as ProcessSpec).port}`;
}

interface FillOptions extends StartOptions {
  readonly config: Config;
  readonly environment: Environment;
  readonly gatewayUrl: string;
  readonly signal: AbortSignal;
}

async function fill({ config, environment, images, gatewayUrl, signal }: FillOptions): Promise<void> {
  const ingestFolder = async (folder: string): Promise<void> => {
    const summary = await ingest({ sources: [folder], gatewayUrl, wait: true, signal });
    console.log(`${folder}: ${summary.stored} stored, ${summary.duplicates} known already, ${summary.rejected.length} rejected, ${summary.skipped} other files skipped.`);
    for (const { source, message } of summary.rejected.slice(0, 10)) console.error(`  ${source}: ${message}`);
  };
  if (images === undefined) await ingestGalleryIfEmpty({ config, environment, draw: drawGallery, ingest: ingestFolder });
  else await ingestFolder(resolve(images));
}

function welcome(config: Config, environment: Environment, url: string): string {
  const models = [...config.serving.keys()].join(', ');
  return [
    '',
    `  Image search is running: ${url}`,
    `  Try it:   curl -s --data-binary @photo.jpg -H 'Content-Type: image/jpeg' '${url}/search?top=5'`,
    `  Add:      npm run eis -- ingest FOLDER`,
    `  Models:   ${models}`,
    `  Data:     ${environment.dataDir} (logs in ${join(environment.dataDir, 'logs')})`,
    `  Stop:     Ctrl-C`,
    '',
  ].join('\n');
}

function stopOnSignal(supervisor: Supervisor, interrupted: AbortController): void {
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    interrupted.abort(new Error('stopping'));
    void supervisor.stop().then(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
}

/** What a person is told of an error of starting. */
export function explainFailure(error: unknown): EisError {
  if (!(error instanceof ProcessFailure)) return toEisError(error);
  return new EisError('EIS_NOT_READY', { detail: `${error.message}\n${error.lines.map((line) => `  ${line}`).join('\n')}` }, { cause: error });
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { images: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help) {
    console.log(HELP);
    return;
  }
  await start({ images: values.images }).catch((error: unknown) => Promise.reject(explainFailure(error)));
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) runMain(main);
