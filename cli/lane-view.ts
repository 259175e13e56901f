/** A lane of a model as `eis reembed` looks at it: what its function and all of its index pods say. */
import { request } from 'undici';
import type { Config } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { askFunctionVersion } from '../common/function-version.js';
import type { Lane } from '../common/lanes.js';
import type { IndexStats } from '../common/wire.js';
import { replicasAt, type ResolveHost } from '../gateway/shard-addresses.js';
import type { LaneView } from '../ingest/reembed/parts.js';
import { localLane } from '../local/processes.js';

const ASK_TIMEOUT_MS = 2_000;

export interface LaneOf {
  readonly model: string;
  readonly config: Config;
  readonly environment: Environment;
  /** Default: the system's. */
  readonly resolve?: ResolveHost;
}

/** By the addresses in the environment, else those that `npm start` gives. */
export function lanePlaces(lane: Lane, { model, config, environment }: Omit<LaneOf, 'resolve'>): { readonly functionUrl: string; readonly shards: readonly (readonly string[])[] } {
  const local = localLane(config, environment, { model, lane });
  return { functionUrl: environment.functionUrl(model, lane) ?? local.functionUrl, shards: environment.indexUrls(model, lane) ?? local.indexUrls.map((url) => [url]) };
}

/**
 * At its `lanePlaces`. A name, such as a headless service's, stands for
 * every replica behind it, and each of them is asked.
 */
export function viewLane(lane: Lane, { model, config, environment, resolve }: LaneOf): LaneView {
  const { functionUrl, shards } = lanePlaces(lane, { model, config, environment });
  return {
    functionVersion: () => askFunctionVersion(functionUrl).catch(() => undefined),
    async index() {
      const stats = await askAll(shards.flat(), resolve).catch(() => []);
      const version = stats[0]?.model_version;
      if (version === undefined || stats.some(({ model_version }) => model_version !== version)) return undefined;
      return { version, vectors: sumByShard(stats) };
    },
  };
}

async function askAll(urls: readonly string[], resolve: ResolveHost | undefined): Promise<IndexStats[]> {
  const replicas = (await Promise.all(urls.map((url) => replicasAt(url, resolve)))).flat();
  return Promise.all(replicas.map(askStats));
}

async function askStats(url: string): Promise<IndexStats> {
  const { statusCode, body } = await request(`${url}/stats`, { headersTimeout: ASK_TIMEOUT_MS, bodyTimeout: ASK_TIMEOUT_MS });
  const stats = (await body.json()) as IndexStats;
  if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  return stats;
}

/** Of several replicas of a shard the one that has least counts. */
function sumByShard(stats: readonly IndexStats[]): number {
  const shards = new Map<string, number>();
  for (const { shard, vectors } of stats) shards.set(shard, Math.min(vectors, shards.get(shard) ?? Infinity));
  return [...shards.values()].reduce((sum, vectors) => sum + vectors, 0);
}
