/**
 * `eis reembed`: moves a model to other weights while it is searched. It works on the store and the queue themselves: on one
 * machine those in EIS_DATA_DIR, on a cluster where MONGODB_URI and AMQP_URL are set, as in the wrapper's pods.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { definitionFile, resolveDefinition } from '../common/config-defaults.js';
import { loadConfig, modelConfig, type Config, type ModelConfig, type ModelDefinition } from '../common/config.js';
import type { DefinitionFile, ModelFile } from '../common/config-schema.js';
import { variableSuffix, type Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { SILENT_LOG } from '../common/log.js';
import { isSameDefinition } from '../common/model-lanes.js';
import { openStore } from '../common/store/open-store.js';
import type { Reembedding } from '../common/store/store.js';
import { openQueue } from '../ingest/queue/open-queue.js';
import { finish, rollBack } from '../ingest/reembed/end.js';
import { stopped, type ReembedParts } from '../ingest/reembed/parts.js';
import { reembed } from '../ingest/reembed/reembed.js';
import { viewLane } from './lane-view.js';

export interface ReembedCommandOptions {
  /** A URL, or a path from where the user is. */
  readonly to?: string;
  readonly minOverlap: number;
  readonly maxMissing: number;
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
  process.once('SIGINT', () => interrupted.abort(new Error('Interrupted. The same command goes on from here.')));
  const store = await openStore(environment);
  const queue = await openQueue({ environment, models: [...config.extractWorkers.keys()], log: SILENT_LOG });
  try {
    const lanes = { main: viewLane('main', { model, config, environment }), next: viewLane('next', { model, config, environment }) };
    const parts: ReembedParts = { store, queue, lanes, signal: interrupted.signal, onNotice: (notice) => process.stderr.write(`${notice}\n`) };
    const job = await run(model, { config, environment, options, parts });
    process.stdout.write(options.json ? `${JSON.stringify({ model, step: job?.step ?? 'finished', ...(job?.version && { version: job.version.version }), ...(job?.agreement && { agreement: job.agreement }), ...(job?.missing !== undefined && { missing: job.missing }) })}\n` : `${describe(modelConfig(config, model), job)}\n`);
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
    await finish(model, (to) => demandConfig(model, to, { file: config.file, isWritten: options.writeConfig ?? false, isDeployed: environment.functionUrl(model) !== undefined }), parts);
    return undefined;
  }
  const to = options.to === undefined ? (modelConfig(config, model).next ?? (await parts.store.reembeddings.get(model))?.to) : resolveDefinition({ model_url: options.to }, environment.workingDir);
  if (!to) throw stopped(model, 'to what? Name the new weights with --to, or under "next" of the model in config.json.');
  const namesake = config.models.find(({ name }) => variableSuffix(name) === variableSuffix(model, 'next'));
  if (namesake) throw stopped(model, `its second lane would be called as model ${namesake.name} is. Rename that one in config.json first.`);
  return reembed({ model, to, gates: options }, parts);
}

function describe({ name: model, next }: ModelConfig, job: Reembedding | undefined): string {
  if (!job) return `${model}: finished. The version that is searched is the only one.${next ? ' Take "next" of it out of config.json now.' : ''}`;
  if (job.step === 'rolled_back') return `${model}: version ${job.from.version.slice(0, 8)} is searched, as before. Give the command with --to again to go on, or --finish to remove the new version.`;
  return `${model}: version ${job.version?.version.slice(0, 8)} is searched now. The former one is kept: --rollback goes back to it at once, --finish removes it.`;
}

// ── config.json ─────────────────────────────────────────────────────────────────────────────────────────────────────

interface ConfigPlace {
  readonly file: string;
  readonly isWritten: boolean;
  /** Whether it is the one of a deployment, which tells where functions are: there, a second lane runs for as long as it is named. */
  readonly isDeployed: boolean;
}

/**
 * Sees that config.json names the new weights as the model's own, or writes it so.
 *
 * @throws EisError EIS_REEMBED saying what to write there
 */
function demandConfig(model: string, to: ModelDefinition, { file, isWritten, isDeployed }: ConfigPlace): void {
  const { next, ...standing } = modelConfig(loadConfig(file), model);
  if (isSameDefinition(standing, to) && (next ? isSameDefinition(next, to) : !isDeployed)) return;
  if (isDeployed) {
    const definition = toFile(to, dirname(file));
    throw stopped(model, `config.json has to name the new weights before the former version goes, and "next" has to stay until its second lane is not searched any more. Write this as the entry of ${model} (paths as you have them), apply it, and give --finish again; its function is to be deployed anew then, too:\n  ${JSON.stringify({ name: model, ...definition, next: definition })}`);
  }
  const entry = { name: model, ...toFile(to) };
  if (!isWritten) throw stopped(model, `config.json has to name the new weights before the former version goes. Write this as the entry of ${model} in ${file} (or give --write-config), then give --finish again:\n  ${JSON.stringify(entry)}`);
  const contents = JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, '')) as { models: ModelFile[] };
  const changed = { ...contents, models: contents.models.map((each) => (each.name === model ? entry : each)) };
  try {
    writeFileSync(`${file}.new`, `${JSON.stringify(changed, null, 2)}\n`);
    renameSync(`${file}.new`, file);
  } catch (cause) {
    throw new EisError('EIS_REEMBED', { model, detail: `${relative('.', resolve(file))} cannot be written: ${(cause as Error).message}` }, { cause });
  }
}

/** What is its default is left out. @param folder as of `definitionFile` */
function toFile(to: ModelDefinition, folder?: string): DefinitionFile {
  const { engine, ...definition } = definitionFile(to, folder);
  return { ...definition, ...(engine === 'auto' ? {} : { engine }) };
}
