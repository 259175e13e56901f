/** What the gateway counts of the replicas of its index shards. */
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import type { Replicas, ReplicasObserver } from './replicas.js';

type WatchedReplicas = Pick<Replicas<unknown>, 'name' | 'pods' | 'ejectedCount'>;

export interface ReplicaMetrics {
  observer(model: string, shard: string): ReplicasObserver;
  /** Counts these replicas when Prometheus asks. */
  watch(model: string, replicas: WatchedReplicas): void;
  /** A host's addresses could not be found out. */
  unresolved(hostname: string, error: unknown): void;
}

export function createReplicaMetrics(metrics: Metrics, log: Log): ReplicaMetrics {
  const watched: { readonly model: string; readonly replicas: WatchedReplicas }[] = [];
  metrics.gauge('shard_replicas', 'Replicas of an index shard by state: well or ejected', ['model', 'shard', 'state'], function collect() {
    for (const { model, replicas } of watched) {
      const { name: shard, ejectedCount, pods } = replicas;
      this.set({ model, shard, state: 'ejected' }, ejectedCount);
      this.set({ model, shard, state: 'well' }, pods.length - ejectedCount);
    }
  });
  const hedges = metrics.counter('shard_hedges_total', 'Second requests to another replica beside one that took long, by what came of them: sent, won', ['model', 'shard', 'event']);
  const retries = metrics.counter('shard_retries_total', 'Requests to another replica because one failed', ['model', 'shard']);
  const ejections = metrics.counter('shard_ejections_total', 'Replicas that failed and were put aside', ['model', 'shard']);
  const resolutions = metrics.counter('dns_failures_total', 'Host names of index shards that could not be resolved', ['hostname']);
  return {
    observer: (model, shard) => ({
      hedged: () => hedges.inc({ model, shard, event: 'sent' }),
      hedgeWon: () => hedges.inc({ model, shard, event: 'won' }),
      retried: () => retries.inc({ model, shard }),
      ejected(address, restMs) {
        ejections.inc({ model, shard });
        log.warn({ model, shard, address, restMs }, 'a replica failed and is put aside');
      },
      recovered: (address) => log.info({ model, shard, address }, 'a replica is well again'),
    }),
    watch: (model, replicas) => void watched.push({ model, replicas }),
    unresolved(hostname, error) {
      resolutions.inc({ hostname });
      log.warn({ hostname, err: error }, 'a host name could not be resolved; its addresses stay as they were');
    },
  };
}
