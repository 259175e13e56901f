/** Where the lanes of a model are, for `eis reembed`: what it asks their functions and index pods. */
import { request } from 'undici';
import { openBucket } from '../common/bucket/open-bucket.js';
import type { Config } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { askFunctionVersion } from '../common/function-version.js';
import type { Lane } from '../common/lanes.js';
import { createSafeFetch } from '../common/safe-fetch.js';
import type { LiveVersion, RecallMeasurement } from '../common/store/store.js';
import type { IndexStats } from '../common/wire.js';
import { createIndexClient } from '../gateway/index-client.js';
import type { LaneView, ReembedParts } from '../ingest/reembed/parts.js';
import { localLane } from '../local/processes.js';
import { openFunction } from './evaluate-function.js';
import { COPIES_IN_FLIGHT, measureRecall } from './reembed-recall.js';

export interface Place {
  readonly config: Config;
  readonly environment: Environment;
}

const ASK_TIMEOUT_MS = 2_000;

/** By the addresses in the environment, else those that `npm start` gives. */
function placesOf(model: string, lane: Lane, { config, environment }: Place): { readonly functionUrl: string; readonly shards: readonly (readonly string[])[] } {
  const local = localLane(config, environment, { model, lane });
  return { functionUrl: environment.functionUrl(model, lane) ?? local.functionUrl, shards: environment.indexUrls(model, lane) ?? local.indexUrls.map((url) => [url]) };
}

/** Through the functions and the index pods of both lanes. */
export async function measureInLanes(model: string, [former, next]: readonly [LiveVersion, LiveVersion], { config, environment, store, signal }: Place & Pick<ReembedParts, 'store' | 'signal'>): Promise<RecallMeasurement> {
  const { limits } = environment;
  const closing: { close(): Promise<unknown> }[] = [];
  const kept = <T extends { close(): Promise<unknown> }>(part: T): T => {
    closing.push(part);
    return part;
  };
  const open = async (lane: Lane, version: LiveVersion) => {
    const { functionUrl, shards } = placesOf(model, lane, { config, environment });
    return {
      collection: store.collection(model, version),
      fn: kept(await openFunction(model, { config, environment, url: functionUrl, scratch: environment.dataDir, signal })),
      shards: shards.map(([url], i) => kept(createIndexClient({ shard: `${i}/${shards.length}`, url: url as string, connections: COPIES_IN_FLIGHT, connectTimeoutMs: limits.indexTimeoutMs }))),
    };
  };
  try {
    const lanes = { former: await open('main', former), next: await open('next', next) };
    const bucket = kept(await openBucket(environment));
    const fetcher = kept(createSafeFetch({ limits, from: environment.fetchFrom }));
    return await measureRecall({ ...lanes, bucket, fetcher, limits, signal });
  } finally {
    await Promise.all(closing.map((part) => part.close()));
  }
}

/** A lane as the steps of a re-embedding ask it. */
export function viewOf(model: string, lane: Lane, run: Place): LaneView {
  const { functionUrl, shards } = placesOf(model, lane, run);
  const indexUrls = shards.flat();
  return {
    functionVersion: () => askFunctionVersion(functionUrl).catch(() => undefined),
    async index() {
      const stats = await Promise.all(indexUrls.map(askStats)).catch(() => []);
      const version = stats[0]?.model_version;
      if (version === undefined || stats.some(({ model_version }) => model_version !== version)) return undefined;
      return { version, vectors: sumByShard(stats) };
    },
  };
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
