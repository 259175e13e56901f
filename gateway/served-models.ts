/** The models that this gateway serves, and its connections to their functions and index pods. */
import type { Config } from '../common/config.js';
import { createEmbedClient } from '../common/embed-client.js';
import { variableSuffix, type Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { askFunctionVersion } from '../common/function-version.js';
import { laneQueue, type Lane } from '../common/lanes.js';
import type { Log } from '../common/log.js';
import { createMeasureEmbeds, type MeasureEmbeds } from '../common/measured-embeds.js';
import type { Metrics } from '../common/metrics.js';
import type { SearchAnswer } from '../common/wire.js';
import { ConcurrencyLimit } from './concurrency-limit.js';
import { createEmbedMetrics, type CreateEmbedMetrics } from './embed-metrics.js';
import { Embedder } from './embedder.js';
import { EmbeddingCache } from './embedding-cache.js';
import { FunctionCalls } from './function-calls.js';
import { createIndexClient, type Call, type IndexClient } from './index-client.js';
import { Lanes, type LaneIndex, type LaneProbe } from './lanes.js';
import { createReplicaMetrics, type ReplicaMetrics } from './replica-metrics.js';
import { Replicas } from './replicas.js';
import { SpareEmbedder } from './spare-embedder.js';
import { ShardAddresses, type ResolveHost } from './shard-addresses.js';

export type Shard = Replicas<IndexClient>;

/** A model as one search sees it: one function, and the index of what that embedded. */
export interface SearchedModel {
  readonly name: string;
  readonly embedder: ModelEmbedder;
  /** For searches that nobody waits for. */
  readonly spareEmbedder: ModelEmbedder;
  /** In the order of their slots: shard i owns the i-th range of `slotRange`. */
  readonly shards: readonly Shard[];
}

/** What a search needs of a model. */
export interface Searchable {
  readonly name: string;
  /** Does a search in one of the model's lanes: see `Lanes.search`. */
  inOneLane(work: (lane: SearchedModel) => Promise<SearchAnswer>): Promise<SearchAnswer>;
}

/** A model with its connections. */
export interface ConnectedModel extends Searchable {
  /** Of the lane that searches go to now. */
  readonly shards: readonly Shard[];
  /** Whether it is known which of its lanes is searched. */
  readonly isDecided: boolean;
  /** Closes every connection. */
  close(): Promise<void>;
}

export interface ServedModel extends ConnectedModel {
  /** Share of the searches that name no model, relative to the others'. */
  readonly weight: number;
  /** The model that answers a share (0 to 1) of its searches as well, unseen. */
  readonly shadow: Shadow | undefined;
}

export interface Shadow {
  readonly model: ConnectedModel;
  readonly share: number;
}

/** An image to its embedding. */
export type ModelEmbedder = Pick<Embedder, 'embed' | 'forgetVersion'>;

export type ServedModels = ReadonlyMap<string, ServedModel>;

export interface ConnectionParts {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Default: the system's. */
  readonly resolve?: ResolveHost | undefined;
}

/** Part of an index call's time that connecting may take, so that the next replica can still be asked. */
const CONNECT_SHARE = 0.25;
/** How late a gateway may notice that another version is searched: until then it answers by the one of before, as a whole. */
const LANES_EVERY_MS = 1_000;
/** As long as one that has just started does not know it. */
const LANES_FIRST_EVERY_MS = 100;

interface Wiring {
  readonly config: Config;
  readonly environment: Environment;
  readonly log: Log;
  readonly resolve: ResolveHost | undefined;
  readonly embedMetrics: CreateEmbedMetrics;
  readonly measureEmbeds: MeasureEmbeds;
  readonly replicaMetrics: ReplicaMetrics;
}

/**
 * Connects to the parts of every served model and of its shadow; with `MODEL` set, of that one alone, whose weight then does not count.
 * Host names of index pods have been asked for once when it resolves.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID naming the variable that is missing or does not fit config.json
 */
export async function connectModels(config: Config, environment: Environment, { metrics, log, resolve }: ConnectionParts): Promise<ServedModels> {
  const served = [...config.serving].filter(([name]) => environment.model === undefined || name === environment.model);
  if (served.length === 0) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'MODEL', detail: `${JSON.stringify(environment.model)} is not served according to ${config.file}. Choose one of: ${[...config.serving.keys()].join(', ')}; or unset it to serve them all.` });
  }
  const wiring: Wiring = { config, environment, log, resolve, embedMetrics: createEmbedMetrics(metrics), measureEmbeds: createMeasureEmbeds(metrics), replicaMetrics: createReplicaMetrics(metrics, log) };
  const names = new Set(served.flatMap(([name, { shadow }]) => [name, ...(shadow ? [shadow.model] : [])]));
  const models = new Map(await Promise.all([...names].map(async (name) => [name, await connectModel(name, wiring)] as const)));
  const connected = (name: string): ConnectedModel => models.get(name) as ConnectedModel;
  return new Map(served.map(([name, { weight, shadow }]) => [
    name,
    serve(connected(name), { weight: environment.model === undefined ? weight : 1, shadow: shadow && { model: connected(shadow.model), share: shadow.share } }),
  ]));
}

function serve(model: ConnectedModel, settings: Pick<ServedModel, 'weight' | 'shadow'>): ServedModel {
  return {
    ...model,
    ...settings,
    get shards() {
      return model.shards; // those of another lane, when the searches go there
    },
    get isDecided() {
      return model.isDecided;
    },
  };
}

async function connectModel(name: string, wiring: Wiring): Promise<ConnectedModel> {
  const main = await connectLane(name, 'main', wiring);
  const next = wiring.environment.functionUrl(name, 'next') === undefined ? undefined : await connectLane(name, 'next', wiring);
  const lanes = new Lanes({
    main,
    next,
    patienceMs: wiring.environment.limits.lanesWaitMaxMs,
    onMoved: (version) => wiring.log.info({ model: name, version }, 'searches go to the lane of another version'),
    onGivenUp: () => wiring.log.warn({ model: name }, 'no lane says that it holds the version that is searched: searches go to the main lane'),
  });
  await lanes.choose();
  const loop = setInterval(() => void lanes.choose(), LANES_EVERY_MS).unref();
  const first = setInterval(() => (lanes.isDecided ? clearInterval(first) : void lanes.choose()), LANES_FIRST_EVERY_MS).unref();
  return {
    name,
    get shards() {
      return lanes.current.shards;
    },
    get isDecided() {
      return lanes.isDecided;
    },
    inOneLane: (work) => lanes.search(work),
    async close() {
      clearInterval(loop);
      clearInterval(first);
      await Promise.all([main.close(), next?.close()]);
    },
  };
}

/** A lane, with the connections to its parts. */
interface ConnectedLane extends SearchedModel, LaneProbe {
  close(): Promise<void>;
}

async function connectLane(name: string, lane: Lane, wiring: Wiring): Promise<ConnectedLane> {
  const { url, closeClient, ...embedders } = connectFunction(name, lane, wiring);
  const connections = connectShards(name, lane, wiring);
  await Promise.all(connections.map(({ addresses }) => addresses.start()));
  const shards = connections.map(({ replicas }) => replicas);
  return {
    name,
    ...embedders,
    shards,
    index: () => askIndex(shards, wiring.environment.limits.indexTimeoutMs),
    functionVersion: () => askFunctionVersion(url).then((live) => live?.version, () => undefined),
    async close() {
      for (const { addresses, replicas } of connections) {
        addresses.close();
        replicas.close();
      }
      await Promise.all([closeClient(), ...connections.map(({ whenClosed }) => whenClosed())]);
    },
  };
}

/** What every replica of every shard says alike; undefined when one does not answer, or says something else. */
async function askIndex(shards: readonly Shard[], timeoutMs: number): Promise<LaneIndex | undefined> {
  const call: Call = { signal: AbortSignal.timeout(timeoutMs), requestId: 'lanes', timeoutMs };
  if (shards.some(({ pods }) => pods.length === 0)) return undefined;
  const stats = await Promise.all(shards.flatMap(({ pods }) => pods.map((pod) => pod.stats(call)))).catch(() => []);
  const [first] = stats;
  // Before a pod has asked the store it says the same as one of a model that has no images.
  if (first?.model_version === '' && !(await areReady(shards, call))) return undefined;
  if (!first || stats.some((each) => each.model_version !== first.model_version || each.live_version !== first.live_version)) return undefined;
  return { version: first.model_version, live: first.live_version ?? first.model_version };
}

async function areReady(shards: readonly Shard[], call: Call): Promise<boolean> {
  return Promise.all(shards.flatMap(({ pods }) => pods.map((pod) => pod.ready(call)))).then(() => true, () => false);
}

function connectFunction(model: string, lane: Lane, { environment, embedMetrics, measureEmbeds }: Wiring): Pick<SearchedModel, 'embedder' | 'spareEmbedder'> & { readonly url: string; readonly closeClient: () => Promise<void> } {
  const url = environment.functionUrl(model, lane);
  if (url === undefined) throw missing(`FUNCTION_URL_${variableSuffix(model, lane)}`, `the address of the function that embeds images for model ${model}, for example http://127.0.0.1:8090`);
  const { functionTimeoutMs: timeoutMs, inFlightMax, functionQueueTimeMaxMs: queueTimeMaxMs, embeddingCacheBytesMax } = environment.limits;
  const name = laneQueue(model, lane);
  const connection = createEmbedClient({ model, url, timeoutMs, connections: inFlightMax });
  const client = measureEmbeds(name, connection);
  const limit = new ConcurrencyLimit({ model, callsMax: inFlightMax, queueTimeMaxMs });
  const cache = new EmbeddingCache(embeddingCacheBytesMax);
  const metrics = embedMetrics(name, { cache, limit });
  const calls = new FunctionCalls({ client, limit, timeoutMs, onRepeated: (code) => metrics.repeated(code) });
  return { embedder: new Embedder({ calls, cache, metrics }), spareEmbedder: new SpareEmbedder({ model, client: connection, limit }), url, closeClient: () => connection.close() };
}

interface ShardConnection {
  readonly addresses: ShardAddresses;
  readonly replicas: Shard;
  /** Resolves when the connections of all pods that were let go are closed. */
  readonly whenClosed: () => Promise<unknown>;
}

function connectShards(model: string, lane: Lane, wiring: Wiring): ShardConnection[] {
  const { config, environment } = wiring;
  const variable = `INDEX_URLS_${variableSuffix(model, lane)}`;
  const urls = environment.indexUrls(model, lane);
  if (urls === undefined) throw missing(variable, `the addresses of the index pods of model ${model}: shards separated by ";", replicas of one by ",", for example "http://127.0.0.1:8100;http://127.0.0.1:8101"`);
  const expected = config.indexing.get(model)?.shards;
  if (urls.length !== expected) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `it names ${urls.length} shard(s) and ${config.file} has num_indexes ${expected ?? 'nowhere'} for model ${model}. Name every shard once, separated by ";".` });
  }
  return urls.map((replicas, i) => connectShard(laneQueue(model, lane), { name: `${i}/${urls.length}`, urls: replicas }, wiring));
}

/** @param model as it is counted: a second lane by the name of its queue */
function connectShard(model: string, { name, urls }: { readonly name: string; readonly urls: readonly string[] }, { environment: { limits }, resolve, replicaMetrics }: Wiring): ShardConnection {
  const { inFlightMax, indexTimeoutMs, dnsRefreshMs } = limits;
  const closing = new Set<Promise<void>>();
  const replicas: Shard = new Replicas({
    name,
    connect: (url) => createIndexClient({ shard: name, url, connections: inFlightMax, connectTimeoutMs: Math.ceil(indexTimeoutMs * CONNECT_SHARE) }),
    disconnect(pod) {
      const closed = pod.close().finally(() => closing.delete(closed));
      closing.add(closed);
    },
    probe: (pod) => pod.ready({ signal: AbortSignal.timeout(indexTimeoutMs), requestId: 'probe', timeoutMs: indexTimeoutMs }),
    observer: replicaMetrics.observer(model, name),
  });
  replicaMetrics.watch(model, replicas);
  const addresses = new ShardAddresses({ urls, onAddresses: (found) => replicas.set(found), onFailed: (hostname, error) => replicaMetrics.unresolved(hostname, error), refreshMs: dnsRefreshMs, ...(resolve ? { resolve } : {}) });
  return { addresses, replicas, whenClosed: () => Promise.all(closing) };
}

/** The error for a variable that has no default because only the place where the gateway runs can know it. */
export function missing(variable: string, meaning: string): EisError {
  return new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail: `it is not set. Give it ${meaning}. ("npm start" sets it for one machine.)` });
}

/** Closes every connection. */
export async function closeModels(models: ServedModels): Promise<void> {
  const byName = new Map([...models.values()].flatMap((model): ConnectedModel[] => [model, ...(model.shadow ? [model.shadow.model] : [])]).map((model) => [model.name, model]));
  await Promise.all([...byName.values()].map((model) => model.close()));
}
