/**
 * The config.json that pods read: of the whole only what their role reads, so that a change of anything else (how many pods
 * there are, another model) restarts none of them. Its ConfigMap is named by its content and never changed: pods of
 * before keep theirs until they are replaced.
 */
import { dirname } from 'node:path';
import { definitionFile } from '../../common/config-defaults.js';
import type { Config } from '../../common/config.js';
import type { ModelFile } from '../../common/config-schema.js';
import { resourceName, shortHash, type Workload } from './names.js';
import type { ConfigMap, EnvVar } from './objects.js';
import { configMount, type Mount } from './pod.js';
import { renderConfigMap } from './workloads.js';

const FOLDER = '/etc/eis';

export interface RoleConfig {
  readonly configMap: ConfigMap;
  readonly env: readonly EnvVar[];
  readonly mounts: readonly Mount[];
}

/**
 * @param models by their names, or as entries of config.json where the role reads more of them
 * @param services as they stand in config.json; one that is left out covers the given models
 */
export function renderRoleConfig(workload: Workload, models: readonly (string | ModelFile)[], services: readonly object[], platform?: object): RoleConfig {
  const file = `${JSON.stringify({ models: models.map((model) => (typeof model === 'string' ? { name: model } : model)), services, platform }, null, 2)}\n`;
  const configMap = renderConfigMap(workload, contentName(workload.name, file), { 'config.json': file });
  return { configMap, env: [{ name: 'EIS_CONFIG', value: `${FOLDER}/config.json` }], mounts: [configMount(configMap.metadata.name, FOLDER)] };
}

/** The name of a ConfigMap by what is in it: another content is another object. */
export function contentName(name: string, ...contents: readonly string[]): string {
  return resourceName(name, shortHash(contents.join('\0')));
}

/**
 * Models for a role that knows their lanes: one that has a second one with what it is in each, the others by their names. Paths
 * stay relative to config.json, so that the same configuration gives the same file wherever it lies.
 */
export function modelEntries(config: Config): (string | ModelFile)[] {
  const folder = dirname(config.file);
  return config.models.map(({ name, next, ...main }) => (next ? { name, ...definitionFile(main, folder), next: definitionFile(next, folder) as NonNullable<ModelFile['next']> } : name));
}

/** The entry of a model under "indexing", without how many pods there are. */
export function indexingService(config: Config, models: readonly string[]): object {
  return {
    name: 'indexing',
    models: models.map((name) => {
      const { shards, algorithm, connectivity, expansionAdd, expansionSearch } = config.indexing.get(name) as NonNullable<ReturnType<Config['indexing']['get']>>;
      return { name, num_indexes: shards, index_algorithm: algorithm, ...(algorithm === 'hnsw' ? { connectivity, expansion_add: expansionAdd, expansion_search: expansionSearch } : {}) };
    }),
  };
}
