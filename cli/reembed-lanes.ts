/** Where the lanes of a model are, for `eis reembed`: what it asks their functions and index pods. */
import { openBucket } from '../common/bucket/open-bucket.js';
import type { Config } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import type { Lane } from '../common/lanes.js';
import { createSafeFetch } from '../common/safe-fetch.js';
import type { LiveVersion, RecallMeasurement } from '../common/store/store.js';
import { createIndexClient } from '../gateway/index-client.js';
import type { ReembedParts } from '../ingest/reembed/parts.js';
import { openFunction } from './evaluate-function.js';
import { lanePlaces } from './lane-view.js';
import { COPIES_IN_FLIGHT, measureRecall } from './reembed-recall.js';

export interface Place {
  readonly config: Config;
  readonly environment: Environment;
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
    const { functionUrl, shards } = lanePlaces(lane, { model, config, environment });
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
