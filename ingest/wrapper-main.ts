/** Starts the wrapper. */
import { openBucket } from '../common/bucket/open-bucket.js';
import { loadConfig, readEnvironment } from '../common/config.js';
import { EisError } from '../common/errors.js';
import { closeOnSignal, listen, runMain } from '../common/lifecycle.js';
import { lanesOfModels } from '../common/model-lanes.js';
import { createLog } from '../common/log.js';
import { Metrics } from '../common/metrics.js';
import { askFunctionVersion } from '../common/function-version.js';
import { openStore } from '../common/store/open-store.js';
import type { LiveVersion } from '../common/store/store.js';
import { startTracing } from '../common/tracing.js';
import { openQueue } from './queue/open-queue.js';
import { createWrapperApp } from './wrapper-app.js';

const DEFAULT_PORT = 8081;

async function main(): Promise<void> {
  const environment = readEnvironment();
  const config = loadConfig(environment.configFile);
  const ingestModels = [...config.extractWorkers.keys()];
  if (ingestModels.length === 0) throw new EisError('EIS_CONFIG_INVALID', { file: config.file, problems: ['services: "extract_worker" lists no model, so nobody would take what comes in. List one, or leave the service out to have all.'] });
  const log = createLog({ role: 'wrapper', level: environment.logLevel });
  const tracing = startTracing({ role: 'wrapper', environment, log });
  const metrics = new Metrics('wrapper').collectProcess();
  const queue = await openQueue({ environment, models: ingestModels, log });
  const [store, bucket] = await Promise.all([openStore(environment, { log }), openBucket(environment)]);
  const models = config.models.map(({ name }) => name);
  const functionVersion = async (model: string): Promise<LiveVersion | undefined> => {
    const url = environment.functionUrl(model);
    if (url === undefined) return undefined;
    const version = await askFunctionVersion(url).catch(() => undefined);
    if (!version) throw new EisError('EIS_NOT_READY', { detail: `The function of model ${model} does not say which version it runs; it may be starting. Try again in a moment.` }, { retryAfterS: 2 });
    return version;
  };
  const queues = lanesOfModels(config, ingestModels).map(({ laneName }) => laneName);
  const app = await createWrapperApp({ queue, store, bucket, ingestModels, queues, models, functionVersion, limits: environment.limits, metrics, log });
  await listen(app, { host: environment.host, port: environment.port ?? DEFAULT_PORT, log });
  closeOnSignal([app, queue, store, bucket, tracing], { log, limits: environment.limits });
}

runMain(main);
