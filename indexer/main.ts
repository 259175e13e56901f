/** Starts an index pod: one shard of one model's vectors (env MODEL, SHARD; of its second lane: LANE=next), loaded from the store and following it. */
import { loadConfig, modelConfig, readEnvironment, type Config, type IndexingConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { laneQueue } from '../common/lanes.js';
import { closeOnSignal, listen, runMain } from '../common/lifecycle.js';
import { createLog } from '../common/log.js';
import { Metrics } from '../common/metrics.js';
import { reclaimMemory } from '../common/reclaim.js';
import { slotRange } from '../common/slots.js';
import { openStore } from '../common/store/open-store.js';
import { startTracing } from '../common/tracing.js';
import { createIndexApp } from './app.js';
import { indexFactory, type IndexOptions } from './create-index.js';
import { IndexFolders, removeFolder } from './index-folder.js';
import { IndexHost } from './index-host.js';
import { createIndexMetrics } from './index-metrics.js';
import { startPollLoop } from './poll-loop.js';
import { SnapshotKeeper } from './snapshot-keeper.js';

const POLL_EVERY_MS = 500;
/** When what filled or closed an index holds no reference to it any more; and again, because V8 gives pages back that stayed empty since. */
const RECLAIM_AFTER_MS = [100, 1_500];
const POLL_BACKOFF_MAX_MS = 5_000;
/** From the base port: the gateway has 8080, index pods start at 8100. */
const PORT_OFFSET = 20;

runMain(async () => {
  const environment = readEnvironment();
  const config = loadConfig(environment.configFile);
  const model = readModel(environment, config);
  const indexing = readIndexing(config, model);
  const { check, create, restore } = indexFactory(indexing.algorithm);
  await check?.();
  const { index, of } = environment.shard ?? { index: 0, of: 1 };
  const { lane } = environment;
  const name = laneQueue(model, lane);
  const folders = new IndexFolders({ dataDir: environment.dataDir, model: name, shard: { index, of } });
  const shard = `${index}/${of}`;
  const slots = slotRange(index, of);
  if (!restore) for (const folder of folders.claimLeft()) removeFolder(folder);
  const log = createLog({ role: 'indexer', level: environment.logLevel, bindings: { model: name, shard } });
  if (of !== indexing.shards) log.warn({ shards: of, numIndexes: indexing.shards }, 'SHARD and num_indexes of config.json differ');

  const tracing = startTracing({ role: 'indexer', environment, log });
  const metrics = new Metrics('indexer', { model: name, shard }).collectProcess();
  const indexMetrics = createIndexMetrics(metrics, () => host.stats());
  const store = await openStore(environment, { log });
  const optionsFor = (dim: number): IndexOptions => ({
    ...indexing,
    dim,
    onScan: (scan) => indexMetrics.scanned(scan),
    onFailed: (error) => log.error({ err: error }, 'what makes searches fast could not be made; they go on without it'),
  });
  const host: IndexHost = new IndexHost({
    model,
    lane,
    slots,
    store,
    createIndex: ({ dim }) => create({ ...optionsFor(dim), newFolder: () => folders.create() }),
    snapshots: restore && new SnapshotKeeper({ folders, model, slots, algorithm: indexing.algorithm, log, restoreIndex: ({ live: { dim }, folder }, contents, reader) => restore({ ...optionsFor(dim), folder }, contents, reader) }),
    snapshotEveryMs: environment.limits.snapshotEveryMs,
    filterVerdictBytesMax: environment.limits.filterVerdictBytesMax,
    log,
    observer: indexMetrics,
    reclaim: () => RECLAIM_AFTER_MS.forEach((ms) => setTimeout(reclaimMemory, ms).unref()),
  });
  const app = createIndexApp({ model, shard, algorithm: indexing.algorithm, host, limits: environment.limits, log, metrics, indexMetrics });
  await listen(app, { host: environment.host, port: environment.port ?? environment.basePort + PORT_OFFSET, log });
  const loop = startPollLoop({
    step: () => host.poll(),
    intervalMs: POLL_EVERY_MS,
    backoffMaxMs: POLL_BACKOFF_MAX_MS,
    onFailure(error, waitMs) {
      indexMetrics.followFailed();
      log.error({ err: error, waitMs }, 'following the store failed');
    },
  });
  closeOnSignal([app, { close: () => loop.stop() }, host, store, tracing], { log, limits: environment.limits });
});

function readModel({ model }: Environment, config: Config): string {
  if (model === undefined) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MODEL', detail: `it is not set. Name the model whose vectors this pod holds: ${config.models.map(({ name }) => name).join(', ')}.` });
  return modelConfig(config, model).name;
}

function readIndexing(config: Config, model: string): IndexingConfig {
  const indexing = config.indexing.get(model);
  if (!indexing) throw new EisError('EIS_CONFIG_INVALID', { file: config.file, problems: [`the service "indexing" does not list the model ${JSON.stringify(model)}. Add it there.`] });
  return indexing;
}
