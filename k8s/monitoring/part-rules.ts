/** What searches are made of: the function as gateways measure it, and the index shards. */
import type { Limits } from '../../common/limits.js';
import { alert, type Alert, type RuleGroup } from './rule.js';

const STALE_S = 60;
/** Snapshots that were due. */
const SNAPSHOTS_MISSED = 4;

export function partRules(limits: Limits): RuleGroup {
  return {
    name: 'function and index',
    rules: [
      { record: 'model:eis_embed_call_duration_seconds:p95_rate5m', expr: 'histogram_quantile(0.95, sum by (model, le) (rate(eis_embed_call_duration_seconds_bucket{role="gateway"}[5m])))' },
      ...functionAlerts(),
      ...indexAlerts(limits),
    ],
  };
}

function functionAlerts(): Alert[] {
  return [
    alert('EisFunctionSaturated', {
      severity: 'warning',
      lasting: '5m',
      expr: 'sum by (model) (rate(eis_search_total{outcome="EIS_OVERLOADED"}[5m]))\n/ sum by (model) (rate(eis_search_total[5m])) > 0.05',
      summary: '{{ $value | humanizePercentage }} of the searches of model {{ $labels.model }} are refused with 429: its function has as much to do as it answers in time.',
      action: 'Raise max_instances (or cpu) of the function under "functions" and deploy it again; look at its quota, if it does not grow to what it may.',
    }),
    alert('EisFunctionRefusing', {
      severity: 'warning',
      lasting: '5m',
      expr: 'sum by (model) (rate(eis_embed_calls_total{role="gateway",outcome="EIS_OVERLOADED"}[5m]))\n/ sum by (model) (rate(eis_embed_calls_total{role="gateway"}[5m])) > 0.05',
      summary: 'The function of model {{ $labels.model }} refuses {{ $value | humanizePercentage }} of the calls of gateways with 429.',
      action: 'Raise max_instances of the function under "functions" and deploy it again. While much is ingested, fewer workers leave it to searches.',
    }),
    alert('EisFunctionSlow', {
      severity: 'warning',
      lasting: '15m',
      expr: 'model:eis_embed_call_duration_seconds:p95_rate5m > 1',
      summary: 'One in twenty calls of the function of model {{ $labels.model }} takes gateways longer than {{ $value | humanizeDuration }}.',
      action: 'Cold starts (slow calls after quiet times) ask for min_instances, slow calls under load for max_instances or cpu. Neither: see what its /ready says of the engine, which may have fallen back to a slower one.',
    }),
  ];
}

function indexAlerts({ snapshotEveryMs }: Limits): Alert[] {
  return [
    alert('EisShardEjected', {
      severity: 'warning',
      lasting: '5m',
      expr: 'max by (model, shard) (eis_shard_replicas{state="ejected"}) > 0',
      summary: 'Gateways have put {{ $value }} replica(s) of shard {{ $labels.shard }} of model {{ $labels.model }} aside, because they fail.',
      action: 'The logs of the gateway name the address ("a replica failed and is put aside"): find its pod (oc get pods -o wide), read its logs, and delete it if nothing is plain; its next start loads the shard anew.',
    }),
    alert('EisShardGone', {
      severity: 'critical',
      lasting: '1m',
      expr: 'min by (model, shard) (eis_shard_replicas{state="well"}) == 0',
      summary: 'No replica of shard {{ $labels.shard }} of model {{ $labels.model }} answers a gateway: its images are in no answer.',
      action: 'See why its pods (StatefulSet index-MODEL-N-SHARD) are not ready: oc get pods, oc describe, oc logs. If only one gateway misses them (eis_shard_replicas by instance), restart that.',
    }),
    alert('EisIndexStale', {
      severity: 'warning',
      lasting: '5m',
      expr: `eis_index_freshness_seconds > ${STALE_S}`,
      summary: 'Shard {{ $labels.shard }} of model {{ $labels.model }} at {{ $labels.instance }} does not know what the store took in for {{ $value | humanizeDuration }}.',
      action: 'All shards: the store does not answer, so look at mongo-router and the shards of MongoDB. One: read its logs ("following the store failed"); while it loads a new version (eis_index_loads_total) it is behind until that is done.',
    }),
    alert('EisSnapshotOld', {
      severity: 'warning',
      lasting: '5m',
      expr: `eis_index_unsaved_seconds > ${(SNAPSHOTS_MISSED * snapshotEveryMs) / 1000}`,
      summary: 'Shard {{ $labels.shard }} of model {{ $labels.model }} at {{ $labels.instance }} holds changes of {{ $value | humanizeDuration }} in no snapshot; its next start takes longer.',
      action: 'Read why in its logs ("the snapshot could not be written"): mostly its disk is full, which needs room for the vectors and two snapshots (DISKS in k8s/manifests/sizes.ts).',
    }),
  ];
}
