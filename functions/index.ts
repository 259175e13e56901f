/**
 * The entry point of the function: functions-framework, and Cloud Run through it, loads this module and serves what it
 * registers under the target `embed`. MODEL names the model of the configuration that is served here.
 */
import type { Server } from 'node:http';
import { join } from 'node:path';
import { http } from '@google-cloud/functions-framework';
import { loadConfig, modelConfig, readEnvironment, type Config, type ModelConfig } from '../common/config.js';
import { settledWithin } from '../common/deadline.js';
import { EisError } from '../common/errors.js';
import type { Environment } from '../common/environment.js';
import { grantedCpus } from '../common/granted-cpus.js';
import { closeIdleConnections } from '../common/idle-connections.js';
import { closeOnSignal, runMain } from '../common/lifecycle.js';
import { createLog, type Log } from '../common/log.js';
import { startTracing } from '../common/tracing.js';
import { admit } from './admission.js';
import type { Embedder } from './embed.js';
import { startInferencePool } from './engines/inference-pool.js';
import { guardFramework } from './framework-guard.js';
import { Lingering } from './lingering.js';
import { Leaving } from './leaving.js';
import { loadModel } from './models/load-model.js';
import type { DownloadRetry } from './models/download.js';
import type { LoadedModel } from './models/model.js';
import { everyTenth } from './models/progress.js';
import type { Serving } from './serve.js';
import { Slots, slotBounds } from './slots.js';

/** Refused clients whose connections are kept while they go on sending: sockets without memory of ours. */
const LINGERING_MAX = 1_000;
/** So long a model may keep this thread to itself, before what answers requests is loaded: most are read by then. */
const MODEL_FIRST_MS = 500;
/** Between two lines of the log about one download. */
const PROGRESS_INTERVAL_MS = 3_000;

runMain(async () => {
  const environment = readEnvironment();
  const { limits } = environment;
  const cpus = grantedCpus();
  const model = chooseModel(loadConfig(environment.configFile), environment.model);
  const log = createLog({ role: 'function', level: environment.logLevel, bindings: { model: model.name } });
  const tracing = startTracing({ role: 'function', environment: { ...environment, model: model.name }, log });
  const closing = new AbortController();
  const state: { embedder?: Embedder; serving?: Serving; server?: Server } = {};
  const reading = readModel(model, environment, { log, signal: closing.signal });
  const starting = startInferencePool({ model: reading, choice: model.engine, log, cpus, cacheDir: environment.isCloudRun ? undefined : join(environment.dataDir, 'engines'), onCall: (call) => state.serving?.observeCall(call) });
  const loading = Promise.all([reading, starting]).then(([read, pool]) => ({ model: read, pool }));
  const slots = new Slots(slotBounds(limits));
  const leaving = new Leaving();
  const lingering = new Lingering({ timeoutMs: limits.functionTimeoutMs, bytesMax: 2 * limits.imageBytesMax, clientsMax: LINGERING_MAX });
  const serving = settledWithin(reading, MODEL_FIRST_MS).then(() => import('./serve.js')).then(({ createServing }) => (state.serving = createServing({ environment, model: model.name, cpus, embedder: loading, ready: () => state.embedder, slots, log })));

  http('embed', async (request, response) => (await serving).handle(request, response));
  guardFramework({
    admit: (request) => admit(request, limits),
    slots,
    lingering,
    bodyTimeoutMs: limits.functionTimeoutMs,
    leaving,
    host: environment.host,
    onRefused: (request, error) => void serving.then((loaded) => loaded.noteRefusal(request, error)),
    onListening: (server) => {
      state.server = server;
      log.info({ address: server.address(), sinceStartMs: sinceStartMs() }, 'listening');
    },
  });
  closeOnSignal([{ drain: () => leaving.begin(), close: async () => closing.abort() }, { close: () => closeServer(state.server, lingering) }, { close: async () => (await serving).close() }, { close: async () => (await loading.catch(() => undefined))?.pool.close() }, tracing], { log, limits });
  try {
    [state.embedder] = await Promise.all([loading, serving]);
    log.info({ sinceStartMs: sinceStartMs() }, 'ready');
  } catch (error) {
    if (!closing.signal.aborted) throw error;
  }
});

/** Since Node began to start. */
function sinceStartMs(): number {
  return Math.round(performance.now());
}

/**
 * The model that is served here: the one that MODEL names, or the configuration's only one.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID, EIS_MODEL_UNKNOWN
 */
function chooseModel(config: Config, name: string | undefined): ModelConfig {
  if (name !== undefined) return modelConfig(config, name);
  const [only, ...others] = config.models;
  if (only && others.length === 0) return only;
  throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MODEL', detail: `it is not set, and ${config.file} has several models: ${config.models.map((model) => model.name).join(', ')}. Set it to one of them.` });
}

/** The model's file, downloaded if need be, which the log follows. `signal` ends the download. */
function readModel(config: ModelConfig, { dataDir, modelMirror, proxy }: Environment, { log, signal }: { readonly log: Log; readonly signal: AbortSignal }): Promise<LoadedModel> {
  const onProgress = everyTenth(({ receivedBytes, totalBytes, isElsewhere = false }) => log.info({ receivedBytes, totalBytes }, isElsewhere ? 'another process is fetching the model' : 'fetching the model'), PROGRESS_INTERVAL_MS);
  const onRetry = (retry: DownloadRetry): void => log.warn(retry, 'fetching the model: trying again');
  return loadModel(config, { dataDir, mirror: modelMirror, proxy, onProgress, onRetry, signal });
}

/** Takes no more connections, and waits for the requests that are under way; kept-alive connections are not waited for. */
async function closeServer(server: Server | undefined, lingering: Lingering): Promise<void> {
  if (!server) return;
  lingering.close();
  const closed = closeIdleConnections(server);
  await new Promise((resolve) => server.close(resolve));
  closed();
}
