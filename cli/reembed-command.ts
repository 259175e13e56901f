/**
 * `eis reembed`: moves a model to other weights while it is searched. It works on the store and the queue themselves: on one
 * machine those in EIS_DATA_DIR, on a cluster where MONGODB_URI and AMQP_URL are set, as in the wrapper's pods.
 */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { resolveDefinition } from '../common/config-defaults.js';
import { loadConfig, modelConfig, type Config } from '../common/config.js';
import { variableSuffix, type Environment } from '../common/environment.js';
import { SILENT_LOG } from '../common/log.js';
import { openStore } from '../common/store/open-store.js';
import type { Reembedding } from '../common/store/store.js';
import { openQueue } from '../ingest/queue/open-queue.js';
import { finish, rollBack } from '../ingest/reembed/end.js';
import { stopped, type ReembedParts } from '../ingest/reembed/parts.js';
import { reembed } from '../ingest/reembed/reembed.js';
import { demandConfig } from './reembed-config.js';
import { measureInLanes, viewOf } from './reembed-lanes.js';

export interface ReembedCommandOptions {
  /** A URL, or a path from where the user is. */
  readonly to?: string;
  readonly minOverlap: number;
  readonly maxMissing: number;
  readonly maxRecallLoss: number;
  readonly rollback?: boolean;
  readonly finish?: boolean;
  readonly writeConfig?: boolean;
  readonly json: boolean;
}

/** @throws EisError EIS_REEMBED where it stops, with how to go on */
export async function reembedCommand(model: string, environment: Environment, options: ReembedCommandOptions): Promise<void> {
  const config = loadConfig(environment.configFile);
  modelConfig(config, model);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort(stopped(model, 'interrupted. The same command goes on from here.')));
  const store = await openStore(environment);
  const queue = await openQueue({ environment, models: [...config.extractWorkers.keys()], log: SILENT_LOG });
  try {
    const lanes = { main: viewOf(model, 'main', { config, environment }), next: viewOf(model, 'next', { config, environment }) };
    const { signal } = interrupted;
    const parts: ReembedParts = {
      store, queue, lanes, signal,
      measureRecall: (versions) => measureInLanes(model, versions, { config, environment, store, signal }),
      onNotice: (notice) => process.stderr.write(`${notice}\n`),
    };
    const job = await run(model, { config, environment, options, parts });
    process.stdout.write(`${options.json ? JSON.stringify(toJson(model, job)) : describe(model, job)}\n`);
  } finally {
    await Promise.all([queue.close(), store.close()]);
  }
}

interface Run {
  readonly config: Config;
  readonly environment: Environment;
  readonly options: ReembedCommandOptions;
  readonly parts: ReembedParts;
}

/** @returns the re-embedding as it is then; undefined: it is finished */
async function run(model: string, { config, environment, options, parts }: Run): Promise<Reembedding | undefined> {
  if (options.rollback) return rollBack(model, parts);
  if (options.finish) {
    await finish(model, (to) => demandConfig(model, to, { file: config.file, isWritten: options.writeConfig ?? false }), parts);
    return undefined;
  }
  const to = options.to === undefined ? (modelConfig(config, model).next ?? (await parts.store.reembeddings.get(model))?.to) : resolveDefinition({ model_url: options.to }, environment.workingDir);
  if (!to) throw stopped(model, 'to what? Name the new weights with --to PLACE, a path or a URL, or under "next" of the model in config.json.');
  const namesake = config.models.find(({ name }) => variableSuffix(name) === variableSuffix(model, 'next'));
  const { modelUrl } = to;
  const isRemote = environment.functionUrl(model, 'next') !== undefined || modelUrl === undefined || !isAbsolute(modelUrl);
  if (!isRemote && !existsSync(modelUrl)) throw stopped(model, `there is no file or folder ${modelUrl}. Name the new weights by a path from here, or by a URL.`);
  if (namesake) throw stopped(model, `its second lane would be called as model ${namesake.name} is. Rename that one in config.json first.`);
  return reembed({ model, to, gates: options }, parts);
}

function toJson(model: string, job: Reembedding | undefined): object {
  const { step = 'finished', from, version, missing, agreement, recall } = job ?? {};
  return { model, step, ...(from && { from_version: from.version }), ...(version && { version: version.version }), ...(missing !== undefined && { missing }), ...(agreement && { agreement }), ...(recall && { recall }) };
}

function describe(model: string, job: Reembedding | undefined): string {
  if (!job) return `${model}: finished. The version that is searched is the only one.`;
  if (job.step === 'rolled_back') return `${model}: version ${job.from.version.slice(0, 8)} is searched, as before. "eis reembed ${model}" goes on with the new weights, "eis reembed ${model} --finish" ends it and removes what was embedded with them.`;
  return `${model}: version ${job.version?.version.slice(0, 8)} is searched now. The former one, ${job.from.version.slice(0, 8)}, is kept and goes on getting new images: "eis reembed ${model} --rollback" goes back to it at once, "eis reembed ${model} --finish" removes it.`;
}
