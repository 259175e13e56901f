/** What a configuration file that is valid says, and what holds where it says nothing. */
import { dirname, isAbsolute, resolve } from 'node:path';
import type { DefinitionFile, ModelFile, PodsConfig, ServiceFile } from './config-schema.js';
import { kubernetesName, serviceOf, type ConfigFile } from './config-validate.js';
import type { Config, FunctionsPlace, ModelConfig, ModelDefinition, Pods } from './config.js';
import { parseEnvironment } from './environment.js';

/** Of `hnsw`, where the configuration says nothing. */
export const GRAPH_DEFAULTS = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 };

function resolvePods(pods: PodsConfig | undefined): Pods {
  if (pods === undefined) return { min: 1, max: 1 };
  return typeof pods === 'number' ? { min: pods, max: pods } : pods;
}

/** Entries of a service by model: those it lists, or, when the service is left out of the file, every model. */
function byModel<Entry extends { name: string }, Out>(file: ConfigFile, listed: readonly Entry[] | undefined, resolveEntry: (entry: Partial<Entry>, name: string) => Out): Map<string, Out> {
  const entries: readonly (Partial<Entry> & { name: string })[] = listed ?? file.models.map(({ name }) => ({ name }) as Partial<Entry> & { name: string });
  return new Map(entries.map((entry) => [entry.name, resolveEntry(entry, entry.name)]));
}

/**
 * The configuration that a file says.
 *
 * @param path of the file: a relative `model_url` resolves from its folder
 */
export function resolveConfig(file: ConfigFile, path: string): Config {
  const environment = Object.fromEntries(Object.entries(file.platform?.environment ?? {}).map(([name, value]) => [name, String(value)]));
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
      environment,
      limits: parseEnvironment(environment).limits,
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

/** A definition as a file has it: the inverse of `resolveDefinition`. What a store gave back may have null for undefined. */
export function definitionFile({ modelUrl, sha256, layer, inputSize, preprocess, engine }: ModelDefinition): DefinitionFile {
  const entries = Object.entries({ model_url: modelUrl, sha256, layer, input_size: inputSize, preprocess, engine });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== null));
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
