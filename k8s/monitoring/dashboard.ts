/** The dashboard: searches from the outside inwards, then what comes in, then the processes. */
import { FAILED, LATENCY_S, shareOf, SLOW } from './objectives.js';
import { NO_OPTIONAL_PARTS, type OptionalParts } from './optional-parts.js';
import { DATASOURCE, layOut, type Query, type Row } from './panels.js';

const RATE = '$__rate_interval';
/** Only of the models that are chosen above the panels. */
const MODEL = 'model=~"$model"';

const rate = (by: string, series: string): string => `sum by (${by}) (rate(${series}[${RATE}]))`;
const p95 = (by: string, series: string): string => `histogram_quantile(0.95, sum by (${by}, le) (rate(${series}[${RATE}])))`;
const one = (expr: string, legend: string): readonly Query[] => [{ expr, legend }];

const SEARCHES: Row = {
  title: 'Searches',
  panels: [
    { title: 'Searches', unit: 'reqps', description: 'By outcome: ok, partial (a shard is missing), or the code of the error.', queries: one(rate('model, outcome', `eis_search_total{${MODEL}}`), '{{model}} {{outcome}}') },
    { title: 'Time of answers', unit: 's', queries: [50, 95, 99].map((percent) => ({ expr: `model:eis_search_duration_seconds:p${percent}_rate5m{${MODEL}}`, legend: `{{model}} ${percent} %` })) },
    { title: 'Time by stage, 95 %', unit: 's', queries: one(p95('stage', `eis_search_duration_seconds_bucket{${MODEL}}`), '{{stage}}') },
    { title: 'Share that fails', unit: 'percentunit', description: `Promised: less than ${FAILED.budget * 100} % over 30 days.`, queries: one(`${shareOf(FAILED, '1h')}{${MODEL}}`, '{{model}}') },
    { title: `Share slower than ${LATENCY_S} s`, unit: 'percentunit', description: `Promised: less than ${SLOW.budget * 100} % over 30 days.`, queries: one(`${shareOf(SLOW, '1h')}{${MODEL}}`, '{{model}}') },
    { title: 'Requests refused', unit: 'reqps', description: 'By what was exceeded; every answer 429, whatever for, beside it.', queries: [{ expr: rate('bound', 'eis_requests_refused_total'), legend: '{{bound}}' }, { expr: 'sum(rate(eis_http_request_duration_seconds_count{role="gateway",status="429"}[$__rate_interval]))', legend: 'all 429' }] },
  ],
};

const FUNCTION: Row = {
  title: 'Function, as its callers measure it',
  panels: [
    { title: 'Calls', unit: 'reqps', queries: one(rate('role, outcome', `eis_embed_calls_total{${MODEL}}`), '{{role}} {{outcome}}') },
    { title: 'Time of calls, 95 %', unit: 's', queries: one(p95('model, role', `eis_embed_call_duration_seconds_bucket{${MODEL}}`), '{{model}} {{role}}') },
    { title: 'Calls under way', unit: 'short', description: 'Of all gateways, and how many they found out that it answers in time.', queries: [{ expr: `sum by (model) (eis_embed_calls_in_flight{${MODEL}})`, legend: '{{model}}' }, { expr: `sum by (model) (eis_embed_calls_limit{${MODEL}})`, legend: '{{model}} at most' }] },
    { title: 'Images remembered', unit: 'percentunit', description: 'Share of images whose embedding a gateway still had.', queries: one(`${rate('model', `eis_embedding_cache_lookups_total{${MODEL},result="hit"}`)} / ${rate('model', `eis_embedding_cache_lookups_total{${MODEL}}`)}`, '{{model}}') },
  ],
};

const INDEX: Row = {
  title: 'Index',
  panels: [
    { title: 'Replicas', unit: 'short', description: 'As the gateway sees them that sees fewest well.', queries: [{ expr: `min by (model, shard) (eis_shard_replicas{${MODEL},state="well"})`, legend: '{{model}} {{shard}}' }, { expr: `max by (model, shard) (eis_shard_replicas{${MODEL},state="ejected"})`, legend: '{{model}} {{shard}} put aside' }] },
    { title: 'Failed calls of shards', unit: 'reqps', queries: one(rate('model, shard, code', `eis_shard_failures_total{${MODEL}}`), '{{model}} {{shard}} {{code}}') },
    { title: 'Behind the store', unit: 's', queries: one(`max by (model, shard) (eis_index_freshness_seconds{${MODEL}})`, '{{model}} {{shard}}') },
    { title: 'Vectors', unit: 'short', queries: one(`max by (model, shard) (eis_index_vectors{${MODEL}})`, '{{model}} {{shard}}') },
    { title: 'Memory of the index', unit: 'bytes', queries: one(`max by (model, shard) (eis_index_memory_bytes{${MODEL}})`, '{{model}} {{shard}}') },
    { title: 'Changes in no snapshot', unit: 's', description: 'Age of the oldest.', queries: one(`max by (model, shard) (eis_index_unsaved_seconds{${MODEL}})`, '{{model}} {{shard}}') },
    { title: 'Time of one scan, 95 %', unit: 's', queries: one(p95('model, shard', `eis_index_scan_duration_seconds_bucket{${MODEL}}`), '{{model}} {{shard}}') },
  ],
};

const INGEST: Row = {
  title: 'Ingest',
  panels: [
    { title: 'Images worked off', unit: 'reqps', queries: one(rate('model, outcome', `eis_ingest_outcomes_total{${MODEL}}`), '{{model}} {{outcome}}') },
    { title: 'Queue', unit: 'short', queries: one(`max by (model, state) (eis_queue_depth{${MODEL}})`, '{{model}} {{state}}') },
    { title: 'Age of the foremost image', unit: 's', queries: one(`max by (model) (eis_queue_oldest_age_seconds{${MODEL}})`, '{{model}}') },
    { title: 'Time to write a batch, 95 %', unit: 's', queries: one(p95('model', `eis_ingest_write_seconds_bucket{${MODEL}}`), '{{model}}') },
    { title: 'Attempts repeated', unit: 'reqps', queries: one(rate('model, kind', `eis_ingest_retries_total{${MODEL}}`), '{{model}} {{kind}}') },
    { title: 'Workers that wait', unit: 'short', queries: one(`sum by (model, part) (eis_ingest_waiting{${MODEL}})`, '{{model}} for the {{part}}') },
  ],
};

const PROCESSES: Row = {
  title: 'Processes',
  panels: [
    { title: 'Answering Prometheus', unit: 'short', queries: one('sum by (job) (up)', '{{job}}') },
    { title: 'Memory', unit: 'bytes', description: 'The most of one process.', queries: one('max by (job) (eis_process_resident_memory_bytes)', '{{job}}') },
    { title: 'CPUs', unit: 'short', description: 'The most of one process.', queries: one('max by (job) (rate(eis_process_cpu_seconds_total[$__rate_interval]))', '{{job}}') },
    { title: 'Event loop late, 99 %', unit: 's', queries: one('max by (job) (eis_nodejs_eventloop_lag_p99_seconds)', '{{job}}') },
    { title: 'Starts', unit: 'short', description: 'Of processes within the last hour.', queries: one('sum by (job) (changes(eis_process_start_time_seconds[1h]))', '{{job}}') },
    { title: 'Alerts', unit: 'short', queries: one('sum by (alertname, severity) (ALERTS{alertstate="firing"})', '{{severity}} {{alertname}}') },
  ],
};

const SHADOW: Row = {
  title: 'Shadow: a second model answers as well, unseen',
  panels: [
    { title: 'Overlap@10', unit: 'percentunit', description: 'Share of the first ten results that both models name, on average.', queries: one(`${rate('model, shadow', `eis_shadow_overlap_ratio_sum{${MODEL}}`)} / ${rate('model, shadow', `eis_shadow_overlap_ratio_count{${MODEL}}`)}`, '{{shadow}} beside {{model}}') },
    { title: 'Time of both, 95 %', unit: 's', description: 'Of the searches that both answered. What the gateway remembers took "live" no time to embed.', queries: one(p95('model, shadow, of', `eis_shadow_duration_seconds_bucket{${MODEL},stage="total"}`), '{{of}} ({{shadow}} beside {{model}})') },
    { title: 'Searches of the shadow', unit: 'reqps', description: 'By outcome, and those that were left out, by what was in the way.', queries: [{ expr: rate('shadow, outcome', `eis_shadow_searches_total{${MODEL}}`), legend: '{{shadow}} {{outcome}}' }, { expr: rate('shadow, reason', `eis_shadow_dropped_total{${MODEL}}`), legend: '{{shadow}} left out: {{reason}}' }] },
  ],
};

const AUTOSCALE: Row = {
  title: 'Autoscaler',
  panels: [
    { title: 'Pods', unit: 'short', description: 'That a Deployment is to have, and that the last decision gives it.', queries: [{ expr: `max by (deployment) (eis_autoscale_replicas{${MODEL}})`, legend: '{{deployment}}' }, { expr: `max by (deployment) (eis_autoscale_replicas_wanted{${MODEL}})`, legend: '{{deployment}} wanted' }] },
    { title: 'Signal', unit: 'short', description: 'Of gateways requests that are being answered, of workers seconds for which the foremost message has waited.', queries: one(`max by (deployment) (eis_autoscale_signal{${MODEL}})`, '{{deployment}}') },
    { title: 'Rounds without a decision', unit: 'reqps', queries: one(rate('deployment, code', `eis_autoscale_failures_total{${MODEL}}`), '{{deployment}} {{code}}') },
  ],
};

export function dashboardRows({ hasShadow, scaled }: OptionalParts = NO_OPTIONAL_PARTS): readonly Row[] {
  return [SEARCHES, ...(hasShadow ? [SHADOW] : []), FUNCTION, INDEX, INGEST, ...(scaled.length > 0 ? [AUTOSCALE] : []), PROCESSES];
}

/** The dashboard as Grafana reads it from a file. */
export function renderDashboard(optional: OptionalParts = NO_OPTIONAL_PARTS): object {
  const model = { name: 'model', label: 'Model', type: 'query', datasource: DATASOURCE, query: { query: 'label_values(eis_search_total, model)', refId: 'models' }, definition: 'label_values(eis_search_total, model)', includeAll: true, allValue: '.*', multi: true, refresh: 2, sort: 1, current: { text: ['All'], value: ['$__all'] } };
  return {
    uid: 'elastic-image-search',
    title: 'Elastic image search',
    tags: ['elastic-image-search'],
    schemaVersion: 39,
    editable: false,
    timezone: 'browser',
    time: { from: 'now-3h', to: 'now' },
    refresh: '30s',
    templating: { list: [model] },
    panels: layOut(dashboardRows(optional)),
  };
}
