/**
 * Reads config.json, the single description of a deployment, and the environment, which holds only what differs by
 * place or is secret. Everything is validated, completed with defaults and frozen here; no other file reads either.
 */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { AUTOSCALING, DefinitionFile, ENGINES, INDEX_ALGORITHMS, ModelFile, PREPROCESSING, PodsConfig, ServiceFile } from './config-schema.js';
import { findRelationProblems, findSchemaProblems, kubernetesName, serviceOf, type ConfigFile } from './config-validate.js';
import { EisError } from './errors.js';
import { parseEnvironment, type Environment } from './environment.js';

export type Preprocess = (typeof PREPROCESSING)[number];
export type EngineChoice = (typeof ENGINES)[number];
export type IndexAlgorithm = (typeof INDEX_ALGORITHMS)[number];

/** What a model is: where its file is, and how it is used. Two that are equal give the same version. */
export interface ModelDefinition {
  /** An absolute path or a URL; undefined: the name says where it comes from. */
  readonly modelUrl: string | undefined;
  readonly sha256: string | undefined;
  readonly layer: string | undefined;
  readonly inputSize: number | undefined;
  readonly preprocess: Preprocess | undefined;
  readonly engine: EngineChoice;
}

export interface ModelConfig extends ModelDefinition {
  readonly name: string;
  /** The name as Kubernetes takes it: `_` becomes `-`. */
  readonly kubernetesName: string;
  /** What it is to be embedded with from now on: it has a second lane (`lanes.ts`). */
  readonly next?: ModelDefinition | undefined;
}

export interface Pods {
  readonly min: number;
  readonly max: number;
}

export interface IndexingConfig {
  readonly shards: number;
  readonly pods: Pods;
  readonly algorithm: IndexAlgorithm;
  readonly connectivity: number;
  readonly expansionAdd: number;
  readonly expansionSearch: number;
}

/** Of `hnsw`, where the configuration says nothing. */
export const GRAPH_DEFAULTS = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 };

export interface ServingConfig {
  readonly pods: Pods;
  /** Share of the searches that name no model, relative to the other models'. */
  readonly weight: number;
  /** The model that answers a share (0 to 1) of its searches as well, unseen. */
  readonly shadow: { readonly model: string; readonly share: number } | undefined;
}

export interface FunctionConfig {
  readonly memory: string;
  readonly cpu: number;
  readonly concurrency: number;
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly timeoutS: number;
}

/** Where functions are deployed; what is undefined is gcloud's own setting. */
export interface FunctionsPlace {
  readonly project: string | undefined;
  readonly region: string | undefined;
  /** The service account that they run as. */
  readonly serviceAccount: string | undefined;
  /** The service account that gateways and workers call them as. */
  readonly invoker: string | undefined;
}

export interface Config {
  /** The file it was read from. */
  readonly file: string;
  readonly models: readonly ModelConfig[];
  /** By model name; a model that is not a key is not covered by the service. */
  readonly extractWorkers: ReadonlyMap<string, { readonly pods: Pods }>;
  readonly indexing: ReadonlyMap<string, IndexingConfig>;
  readonly serving: ReadonlyMap<string, ServingConfig>;
  readonly functions: ReadonlyMap<string, FunctionConfig>;
  readonly functionsPlace: FunctionsPlace;
  readonly nginx: { readonly pods: Pods; readonly sticky: boolean };
  readonly wrapper: { readonly pods: Pods };
  readonly rabbitmq: { readonly pods: number };
  readonly prometheus: { readonly pods: number };
  /** Undefined: near-duplicates are not looked for by the clock. */
  readonly dedupe: { readonly schedule: string } | undefined;
  readonly mongo: { readonly configPods: number; readonly routerPods: Pods; readonly shards: number; readonly podsPerShard: number };
  readonly platform: {
    readonly namespace: string;
    readonly imageRegistry: string | undefined;
    readonly quota: { readonly pods: number | undefined; readonly cpuPerPod: number | undefined };
    /** Undefined: nothing is traced. */
    readonly tracing: { readonly endpoint: string; readonly sample: number } | undefined;
    readonly autoscaling: (typeof AUTOSCALING)[number];
    /** What `eis` autoscaling aims at. */
    readonly autoscale: { readonly inFlightPerPod: number; readonly queueAgeS: number; readonly cooldownS: number };
  };
}

/**
 * Reads and resolves a configuration file.
 *
 * @throws EisError EIS_CONFIG_INVALID listing every problem with its path in the file
 */
export function loadConfig(file: string): Config {
  const absolute = resolve(file);
  let text: string;
  try {
    text = readFileSync(absolute, 'utf8');
  } catch (cause) {
    throw new EisError('EIS_CONFIG_INVALID', { file: absolute, problems: ['it cannot be read. Name another with EIS_CONFIG.'] }, { cause });
  }
  return parseConfig(text, absolute);
}

/** The same from text; `file` is named in errors, and relative `model_url`s resolve from its folder. */
export function parseConfig(text: string, file: string): Config {
  const fail = (problems: readonly string[], cause?: unknown): never => {
    throw new EisError('EIS_CONFIG_INVALID', { file, problems }, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    return fail([`it is not JSON: ${describeSyntaxError(text, cause as Error)}`], cause);
  }
  const problems = findSchemaProblems(value);
  if (problems.length > 0) fail(problems);
  const contents = value as ConfigFile;
  const relations = findRelationProblems(contents);
  if (relations.length > 0) fail(relations);
  return freezeDeep(resolveConfig(contents, file));
}

function describeSyntaxError(text: string, error: Error): string {
  const position = /position (\d+)/.exec(error.message)?.[1];
  if (position === undefined) return error.message;
  const before = text.slice(0, Number(position)).split('\n');
  return `line ${before.length}, column ${(before.at(-1) as string).length + 1}: ${error.message}`;
}

// ── Defaults ────────────────────────────────────────────────────────────────────────────────────────────────────────

function resolvePods(pods: PodsConfig | undefined): Pods {
  if (pods === undefined) return { min: 1, max: 1 };
  return typeof pods === 'number' ? { min: pods, max: pods } : pods;
}

/** Entries of a service by model: those it lists, or, when the service is left out of the file, every model. */
function byModel<Entry extends { name: string }, Out>(file: ConfigFile, listed: readonly Entry[] | undefined, resolveEntry: (entry: Partial<Entry>, name: string) => Out): Map<string, Out> {
  const entries: readonly (Partial<Entry> & { name: string })[] = listed ?? file.models.map(({ name }) => ({ name }) as Partial<Entry> & { name: string });
  return new Map(entries.map((entry) => [entry.name, resolveEntry(entry, entry.name)]));
}

function resolveConfig(file: ConfigFile, path: string): Config {
  const weights = serviceOf(file, 'nginx')?.serving_weights;
  const weightOf = (name: string): number => (weights ? (weights.find((entry) => entry.name === name)?.weight ?? 0) : 1);
  return {
    file: path,
    models: file.models.map((model) => resolveModel(model, dirname(path))),
    extractWorkers: byModel(file, serviceOf(file, 'extract_worker')?.models, ({ pods }) => ({ pods: resolvePods(pods) })),
    indexing: byModel(file, serviceOf(file, 'indexing')?.models, (entry) => ({
      shards: entry.num_indexes ?? 1,
      pods: resolvePods(entry.pods),
      algorithm: entry.index_algorithm ?? 'brute',
      connectivity: entry.connectivity ?? GRAPH_DEFAULTS.connectivity,
      expansionAdd: entry.expansion_add ?? GRAPH_DEFAULTS.expansionAdd,
      expansionSearch: entry.expansion_search ?? GRAPH_DEFAULTS.expansionSearch,
    })),
    serving: byModel(file, serviceOf(file, 'serving')?.models, ({ pods, shadow }, name) => ({ pods: resolvePods(pods), weight: weightOf(name), shadow })),
    functions: byModel(file, withEveryModel(file, serviceOf(file, 'functions')?.models), (entry) => ({
      memory: entry.memory ?? '2Gi',
      cpu: entry.cpu ?? 2,
      concurrency: entry.concurrency ?? 16,
      minInstances: entry.min_instances ?? 0,
      maxInstances: entry.max_instances ?? 100,
      timeoutS: entry.timeout_s ?? 60,
    })),
    functionsPlace: resolveFunctionsPlace(serviceOf(file, 'functions')),
    nginx: { pods: resolvePods(serviceOf(file, 'nginx')?.pods), sticky: serviceOf(file, 'nginx')?.sticky ?? false },
    wrapper: { pods: resolvePods(serviceOf(file, 'rabbitmq_wrapper')?.pods) },
    rabbitmq: { pods: serviceOf(file, 'rabbitmq')?.pods ?? 3 },
    prometheus: { pods: serviceOf(file, 'prometheus')?.pods ?? 1 },
    dedupe: resolveDedupe(serviceOf(file, 'dedupe')),
    mongo: resolveMongo(serviceOf(file, 'mongo')),
    platform: {
      namespace: file.platform?.namespace ?? 'elastic-image-search',
      imageRegistry: file.platform?.image_registry,
      quota: { pods: file.platform?.quota?.pods, cpuPerPod: file.platform?.quota?.cpu_per_pod },
      tracing: file.platform?.tracing && { sample: 1, ...file.platform.tracing },
      autoscaling: file.platform?.autoscaling ?? 'none',
      autoscale: { inFlightPerPod: file.platform?.autoscale?.in_flight_per_pod ?? 16, queueAgeS: file.platform?.autoscale?.queue_age_s ?? 60, cooldownS: file.platform?.autoscale?.cooldown_s ?? 120 },
    },
  };
}

/** A model cannot be used without its function: one that `functions` does not list has one with defaults. */
function withEveryModel<Entry extends { name: string }>(file: ConfigFile, listed: readonly Entry[] | undefined): Entry[] | undefined {
  return listed && file.models.map(({ name }) => listed.find((entry) => entry.name === name) ?? ({ name } as Entry));
}

function resolveFunctionsPlace(functions: ServiceFile['functions'] | undefined): FunctionsPlace {
  return { project: functions?.project, region: functions?.region, serviceAccount: functions?.service_account, invoker: functions?.invoker };
}

function resolveModel(model: ModelFile, folder: string): ModelConfig {
  return { name: model.name, kubernetesName: kubernetesName(model.name), ...resolveDefinition(model, folder), next: model.next && resolveDefinition(model.next, folder) };
}

/** @param folder that a relative `model_url` is relative to */
export function resolveDefinition(model: DefinitionFile, folder: string): ModelDefinition {
  const isUrl = model.model_url !== undefined && /^[a-z][a-z0-9+.-]*:\/\//i.test(model.model_url);
  return {
    modelUrl: model.model_url === undefined || isUrl || isAbsolute(model.model_url) ? model.model_url : resolve(folder, model.model_url),
    sha256: model.sha256,
    layer: model.layer,
    inputSize: model.input_size,
    preprocess: model.preprocess,
    engine: model.engine ?? 'auto',
  };
}

function resolveDedupe(dedupe: ServiceFile['dedupe'] | undefined): Config['dedupe'] {
  return dedupe && { schedule: dedupe.schedule ?? '47 2 * * *' };
}

function resolveMongo(mongo: ServiceFile['mongo'] | undefined): Config['mongo'] {
  const parts = mongo?.services ?? [];
  const part = <N extends (typeof parts)[number]['name']>(name: N) => parts.find((entry): entry is Extract<(typeof parts)[number], { name: N }> => entry.name === name);
  const shard = part('shard');
  return { configPods: part('config_db')?.pods ?? 3, routerPods: resolvePods(part('router')?.pods ?? 2), shards: shard?.shards ?? 1, podsPerShard: shard?.pods ?? 3 };
}

function freezeDeep<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !(value instanceof Map)) {
    Object.values(value).forEach(freezeDeep);
    Object.freeze(value);
  }
  return value;
}

/**
 * The configuration of one model.
 *
 * @throws EisError EIS_MODEL_UNKNOWN when the file has no such model
 */
export function modelConfig(config: Config, name: string): ModelConfig {
  const model = config.models.find((candidate) => candidate.name === name);
  if (!model) throw new EisError('EIS_MODEL_UNKNOWN', { model: name, known: config.models.map((candidate) => candidate.name) });
  return model;
}

/** The environment of this process, validated: see `parseEnvironment`. */
export function readEnvironment(): Environment {
  return parseEnvironment(process.env);
}
