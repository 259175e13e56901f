/** Starts one worker, for the model that MODEL names. */
import { openBucket } from '../common/bucket/open-bucket.js';
import { loadConfig, modelConfig, readEnvironment } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { createEmbedClient } from '../common/embed-client.js';
import { variableSuffix } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { laneQueue } from '../common/lanes.js';
import { closeOnSignal, listen, runMain } from '../common/lifecycle.js';
import { createLog } from '../common/log.js';
import { createMeasureEmbeds } from '../common/measured-embeds.js';
import { Metrics } from '../common/metrics.js';
import { openStore } from '../common/store/open-store.js';
import { startTracing } from '../common/tracing.js';
import { createVersionProbe, probeFunction } from './function-probe.js';
import { openQueue } from './queue/open-queue.js';
import { SecondLaneWorker } from './second-lane-worker.js';
import { createWorkerApp } from './worker-app.js';
import { createWorkerMetrics } from './worker-metrics.js';
import { Worker } from './worker.js';

const DEFAULT_PORT = 8082;

function readTarget(environment: Environment): { readonly model: string; readonly functionUrl: string } {
  const { model, lane } = environment;
  if (model === undefined) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MODEL', detail: 'a worker extracts for one model; name it.' });
  modelConfig(loadConfig(environment.configFile), model);
  const functionUrl = environment.functionUrl(model, lane);
  if (functionUrl === undefined) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: `FUNCTION_URL_${variableSuffix(model, lane)}`, detail: `the address of the function that embeds for model ${model} is missing.` });
  return { model, functionUrl };
}

async function main(): Promise<void> {
  const environment = readEnvironment();
  const { model, functionUrl } = readTarget(environment);
  const { limits, host, lane } = environment;
  const name = laneQueue(model, lane);
  const log = createLog({ role: 'worker', level: environment.logLevel, bindings: { model: name } });
  const tracing = startTracing({ role: 'worker', environment, log });
  const metrics = new Metrics('worker', { model: name }).collectProcess();
  const queue = await openQueue({ environment, models: [name], log });
  const [store, bucket] = await Promise.all([openStore(environment, { log }), openBucket(environment)]);
  const client = createMeasureEmbeds(metrics)(name, createEmbedClient({ model, url: functionUrl, timeoutMs: limits.functionTimeoutMs, connections: limits.workerEmbedsMax }));
  const workerMetrics = createWorkerMetrics(metrics, { model: name, queue });
  const create = (): Worker => new Worker({ model, lane, queue, store, bucket, client, isFunctionReady: () => probeFunction(functionUrl), functionVersion: createVersionProbe(functionUrl), limits, metrics: workerMetrics, log });
  const worker = lane === 'next' ? new SecondLaneWorker({ model, store, create, log }) : create();
  const app = createWorkerApp({ worker, metrics, log });
  await worker.start();
  await listen(app, { host, port: environment.port ?? DEFAULT_PORT, log });
  closeOnSignal([worker, app, queue, client, store, bucket, tracing], { log, limits: { ...limits, drainMs: 0 } }); // nobody sends to a worker
}

runMain(main);
