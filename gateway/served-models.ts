/** The models that this gateway serves, and its connections to their functions and index pods. */
import type { Config } from '../common/config.js';
import { createEmbedClient, type EmbedClient } from '../common/embed-client.js';
import { variableSuffix, type Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { createIndexClient, type IndexClient } from './index-client.js';
import { Replicas } from './replicas.js';

export type Shard = Replicas<IndexClient>;

export interface ServedModel {
  readonly name: string;
  /** Share of the searches that name no model, relative to the others'. */
  readonly weight: number;
  readonly embedClient: EmbedClient;
  /** In the order of their slots: shard i owns the i-th range of `slotRange`. */
  readonly shards: readonly Shard[];
}

export type ServedModels = ReadonlyMap<string, ServedModel>;

/** Part of an index call's time that connecting may take, so that the next replica can still be asked. */
const CONNECT_SHARE = 0.25;

/**
 * Connects to the parts of every served model; with `MODEL` set, of that one alone, whose weight then does not count.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID naming the variable that is missing or does not fit config.json
 */
export function connectModels(config: Config, environment: Environment): ServedModels {
  const served = [...config.serving].filter(([name]) => environment.model === undefined || name === environment.model);
  if (served.length === 0) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MODEL', detail: `${JSON.stringify(environment.model)} is not served according to ${config.file}. Choose one of: ${[...config.serving.keys()].join(', ')}; or unset it to serve them all.` });
  }
  return new Map(served.map(([name, { weight }]) => [name, { name, weight: environment.model === undefined ? weight : 1, embedClient: connectFunction(name, environment), shards: connectShards(name, config, environment) }]));
}

function connectFunction(model: string, environment: Environment): EmbedClient {
  const url = environment.functionUrl(model);
  if (url === undefined) throw missing(`FUNCTION_URL_${variableSuffix(model)}`, `the address of the function that embeds images for model ${model}, for example http://127.0.0.1:8090`);
  return createEmbedClient({ model, url, timeoutMs: environment.limits.functionTimeoutMs, connections: environment.limits.inFlightMax });
}

function connectShards(model: string, config: Config, environment: Environment): Shard[] {
  const variable = `INDEX_URLS_${variableSuffix(model)}`;
  const urls = environment.indexUrls(model);
  if (urls === undefined) throw missing(variable, `the addresses of the index pods of model ${model}: shards separated by ";", replicas of one by ",", for example "http://127.0.0.1:8100;http://127.0.0.1:8101"`);
  const expected = config.indexing.get(model)?.shards;
  if (urls.length !== expected) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `it names ${urls.length} shard(s) and ${config.file} has num_indexes ${expected ?? 'nowhere'} for model ${model}. Name every shard once, separated by ";".` });
  }
  const { inFlightMax, indexTimeoutMs } = environment.limits;
  return urls.map((replicas, i) => {
    const name = `${i}/${urls.length}`;
    return new Replicas({ name, pods: replicas.map((url) => createIndexClient({ shard: name, url, connections: inFlightMax, connectTimeoutMs: Math.ceil(indexTimeoutMs * CONNECT_SHARE) })) });
  });
}

/** The error for a variable that has no default because only the place where the gateway runs can know it. */
export function missing(variable: string, meaning: string): EisError {
  return new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `it is not set. Give it ${meaning}. ("npm start" sets it for one machine.)` });
}

/** Closes every connection. */
export async function closeModels(models: ServedModels): Promise<void> {
  await Promise.all([...models.values()].flatMap(({ embedClient, shards }) => [embedClient.close(), ...shards.flatMap(({ pods }) => pods.map((pod) => pod.close()))]));
}
