/** For each alert, series of metrics under which it fires, and those under which it does not; a sample a minute. */
import { FAILURES } from '../../../k8s/monitoring/objectives.js';

/** Of each series its values, as promtool writes them: `0+60x90` is 0, 60, 120… */
export type Series = Readonly<Record<string, string>>;

export interface AlertCase {
  readonly alert: string;
  readonly at: string;
  readonly firing: Series;
  /** Of the alert, without its severity. */
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
  /** By what they are. */
  readonly quiet: Readonly<Record<string, Series>>;
}

const SHARD = 'model="m",shard="0/2"';
const POD = `${SHARD},job="index",instance="10.0.0.1:8080"`;
const JOBS = ['gateway', 'wrapper', 'index', 'worker', 'rabbitmq', 'prometheus'];

const up = (jobs: readonly string[]): Series => Object.fromEntries(jobs.map((job) => [`up{job="${job}",instance="a"}`, '1x60']));

/** Searches a minute, by outcome. */
const searches = (perMinute: Readonly<Record<string, number>>): Series => Object.fromEntries(Object.entries(perMinute).map(([outcome, count]) => [`eis_search_total{model="m",outcome="${outcome}"}`, `0+${count}x120`]));

/** 60 answers a minute, of which so many are in time. */
const answers = (inTime: number): Series => ({
  ...searches({ ok: 60 }),
  'eis_search_duration_seconds_bucket{model="m",stage="total",le="2.5"}': `0+${inTime}x120`,
  'eis_search_duration_seconds_count{model="m",stage="total"}': '0+60x120',
});

/** Calls of a gateway a minute, within and beyond a second. */
const calls = (fast: number, slow: number): Series => Object.fromEntries([['1', fast], ['2.5', fast + slow], ['+Inf', fast + slow]].map(([le, count]) => [`eis_embed_call_duration_seconds_bucket{model="m",role="gateway",le="${le}"}`, `0+${count}x60`]));

const embeds = (perMinute: Readonly<Record<string, number>>, role = 'gateway'): Series => Object.fromEntries(Object.entries(perMinute).map(([outcome, count]) => [`eis_embed_calls_total{model="m",role="${role}",outcome="${outcome}"}`, `0+${count}x60`]));

const requests = (refused: number, route = '/search'): Series => ({
  'eis_requests_refused_total{bound="requests"}': `0+${refused}x60`,
  'eis_http_request_duration_seconds_count{role="gateway",route="/search",status="200"}': '0+60x60',
  [`eis_http_request_duration_seconds_count{role="gateway",route="${route}",status="429"}`]: '0+60x60',
});

/** Searches a minute of a shadow: by outcome, and those that were left out. */
const shadowed = (perMinute: Readonly<Record<string, number>>, dropped = 0): Series => ({
  ...Object.fromEntries(Object.entries(perMinute).map(([outcome, count]) => [`eis_shadow_searches_total{model="m",shadow="n",outcome="${outcome}"}`, `0+${count}x90`])),
  'eis_shadow_dropped_total{model="m",shadow="n",reason="function"}': `0+${dropped}x90`,
});

/** What the autoscaler says of a Deployment that has so many pods, from a time on. */
const scaled = (deployment: string, pods: number, signal: number): Series => ({
  [`eis_autoscale_replicas{deployment="${deployment}",model="m"}`]: `${pods}x90`,
  [`eis_autoscale_signal{deployment="${deployment}",model="m"}`]: `${signal}x90`,
});
const DECIDED = 'eis_autoscale_last_decision_timestamp_seconds{deployment="worker-m",model="m"}';
const NOT_DECIDED = 'eis_autoscale_failures_total{deployment="worker-m",model="m",code="EIS_PROMETHEUS"}';

export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: 'EisTargetDown', at: '10m',
    firing: { 'up{job="index",instance="a"}': '0x10', 'up{job="index",instance="b"}': '1x10' },
    labels: { job: 'index', instance: 'a' },
    summary: 'index at a has not answered Prometheus for five minutes.',
    quiet: { 'all are up': up(JOBS), 'one was away for two minutes': { 'up{job="index",instance="a"}': '1x5 0x1 1x10' } },
  },
  {
    alert: 'EisRoleGone', at: '10m',
    firing: up(JOBS.filter((job) => job !== 'worker')),
    labels: { job: 'worker' },
    summary: 'No pod of worker answers Prometheus.',
    quiet: { 'one of each is up': { ...up(JOBS), 'up{job="worker",instance="b"}': '0x60' } },
  },
  {
    alert: 'EisRestarts', at: '20m',
    firing: { 'eis_process_start_time_seconds{job="worker",instance="a"}': '100x4 200x4 300x4 400x20' },
    labels: { job: 'worker', instance: 'a' },
    summary: 'worker at a has started 3 times within half an hour.',
    quiet: { 'it was rolled out once': { 'eis_process_start_time_seconds{job="worker",instance="a"}': '100x4 200x30' } },
  },
  {
    alert: 'EisSearchFailuresFast', at: '60m',
    firing: searches({ ok: 54, EIS_SHARD_TIMEOUT: 6 }),
    labels: { model: 'm' },
    summary: '10% of the searches of model m fail: the budget of 30 days is gone within days.',
    quiet: {
      'few fail': searches({ ok: 58.5, [FAILURES[0]!]: 1.5 }),
      'the images and their hosts are at fault': searches({ ok: 30, EIS_IMAGE_INVALID: 20, EIS_URL_FAILED: 10 }),
      'it is over': { 'eis_search_total{model="m",outcome="ok"}': '0+54x120', 'eis_search_total{model="m",outcome="EIS_SHARD_TIMEOUT"}': '0+6x20 120x100' },
      'nearly nobody searches': { 'eis_search_total{model="m",outcome="EIS_SHARD_TIMEOUT"}': '0+0.1x120' },
    },
  },
  {
    alert: 'EisSearchFailuresSteady', at: '40m',
    firing: searches({ ok: 59.4, EIS_FUNCTION_TIMEOUT: 0.6 }),
    labels: { model: 'm' },
    summary: '1% of the searches of model m fail, for days: the budget of 30 days is used up.',
    quiet: { 'as few fail as may': searches({ ok: 59.76, EIS_FUNCTION_TIMEOUT: 0.24 }) },
  },
  {
    alert: 'EisSearchSlowFast', at: '60m',
    firing: answers(48),
    labels: { model: 'm' },
    summary: '20% of the searches of model m take longer than 2.5 s: the budget of 30 days is gone within days.',
    quiet: { 'few are slow': answers(57) },
  },
  {
    alert: 'EisSearchSlowSteady', at: '40m',
    firing: answers(58.8),
    labels: { model: 'm' },
    summary: '2% of the searches of model m take longer than 2.5 s, for days: the budget of 30 days is used up.',
    quiet: { 'as few are slow as may': answers(59.7) },
  },
  {
    alert: 'EisSearchPartial', at: '20m',
    firing: searches({ ok: 57, partial: 3 }),
    labels: { model: 'm' },
    summary: '5% of the answers of model m lack the images of a shard.',
    quiet: { 'nearly all are whole': searches({ ok: 59.7, partial: 0.3 }) },
  },
  {
    alert: 'EisGatewayShedding', at: '20m',
    firing: requests(12),
    labels: {},
    summary: 'Gateways refuse 10% of the requests with 429, because they hold as much as they may.',
    quiet: { 'few are refused': requests(3), 'one client sends more than it may': requests(0) },
  },
  {
    alert: 'EisFunctionSaturated', at: '20m',
    firing: searches({ ok: 54, EIS_OVERLOADED: 6 }),
    labels: { model: 'm' },
    summary: '10% of the searches of model m are refused with 429: its function has as much to do as it answers in time.',
    quiet: { 'few are refused': searches({ ok: 59, EIS_OVERLOADED: 1 }) },
  },
  {
    alert: 'EisFunctionRefusing', at: '20m',
    firing: embeds({ ok: 54, EIS_OVERLOADED: 6 }),
    labels: { model: 'm' },
    summary: 'The function of model m refuses 10% of the calls of gateways with 429.',
    quiet: { 'it refuses few': embeds({ ok: 59, EIS_OVERLOADED: 1 }), 'it refuses workers, who wait': { ...embeds({ ok: 60 }), ...embeds({ EIS_OVERLOADED: 60 }, 'worker') } },
  },
  {
    alert: 'EisFunctionSlow', at: '30m',
    firing: calls(50, 10),
    labels: { model: 'm' },
    summary: 'One in twenty calls of the function of model m takes gateways longer than 2.05s.',
    quiet: { 'few calls are slow': calls(59, 1) },
  },
  {
    alert: 'EisShardEjected', at: '10m',
    firing: { [`eis_shard_replicas{${SHARD},state="ejected",instance="a"}`]: '0x1 1x20', [`eis_shard_replicas{${SHARD},state="ejected",instance="b"}`]: '0x20' },
    labels: { model: 'm', shard: '0/2' },
    summary: 'Gateways have put 1 replica(s) of shard 0/2 of model m aside, because they fail.',
    quiet: { 'it was taken back': { [`eis_shard_replicas{${SHARD},state="ejected",instance="a"}`]: '0x4 1x2 0x20' } },
  },
  {
    alert: 'EisShardGone', at: '5m',
    firing: { [`eis_shard_replicas{${SHARD},state="well",instance="a"}`]: '2x1 0x9', [`eis_shard_replicas{${SHARD},state="well",instance="b"}`]: '2x9' },
    labels: { model: 'm', shard: '0/2' },
    summary: 'No replica of shard 0/2 of model m answers a gateway: its images are in no answer.',
    quiet: { 'one is left': { [`eis_shard_replicas{${SHARD},state="well",instance="a"}`]: '2x1 1x9' } },
  },
  {
    alert: 'EisIndexStale', at: '20m',
    firing: { [`eis_index_freshness_seconds{${POD}}`]: '0+60x30' },
    labels: { model: 'm', shard: '0/2', job: 'index', instance: '10.0.0.1:8080' },
    summary: 'Shard 0/2 of model m at 10.0.0.1:8080 does not know what the store took in for 20m 0s.',
    quiet: { 'it follows': { [`eis_index_freshness_seconds{${POD}}`]: '0.5x30' } },
  },
  {
    alert: 'EisSnapshotOld', at: '40m',
    firing: { [`eis_index_unsaved_seconds{${POD}}`]: '0+60x60' },
    labels: { model: 'm', shard: '0/2', job: 'index', instance: '10.0.0.1:8080' },
    summary: 'Shard 0/2 of model m at 10.0.0.1:8080 holds changes of 40m 0s in no snapshot; its next start takes longer.',
    quiet: { 'it was saved in time': { [`eis_index_unsaved_seconds{${POD}}`]: '0 60 120 180 240 300 0 60 120 180 240 300 0x40' } },
  },
  {
    alert: 'EisQueueOld', at: '60m',
    firing: { 'eis_queue_oldest_age_seconds{model="m",instance="a"}': '0+60x90', 'eis_queue_oldest_age_seconds{model="m",instance="b"}': '0+60x90' },
    labels: { model: 'm' },
    summary: 'The foremost image in the queue of model m has waited for 1h 0m 0s.',
    quiet: { 'it is worked off': { 'eis_queue_oldest_age_seconds{model="m",instance="a"}': '120x90' } },
  },
  {
    alert: 'EisDeadLetters', at: '10m',
    firing: { 'eis_queue_depth{model="m",state="dead",instance="a"}': '0x1 3x20' },
    labels: { model: 'm' },
    summary: '3 images of model m were given up after every attempt failed.',
    quiet: { 'all that is there waits its turn': { 'eis_queue_depth{model="m",state="ready",instance="a"}': '500x20', 'eis_queue_depth{model="m",state="dead",instance="a"}': '0x20' } },
  },
  {
    alert: 'EisBrokerFull', at: '10m',
    firing: { 'rabbitmq_alarms_free_disk_space_watermark{job="rabbitmq",instance="a"}': '0x2 1x20', 'rabbitmq_alarms_memory_used_watermark{job="rabbitmq",instance="a"}': '0x30' },
    labels: {},
    summary: 'RabbitMQ takes in no more images, because a node is short of memory or disk.',
    quiet: { 'it has both': { 'rabbitmq_alarms_free_disk_space_watermark{job="rabbitmq",instance="a"}': '0x30', 'rabbitmq_alarms_memory_used_watermark{job="rabbitmq",instance="a"}': '0x30' } },
  },
  {
    alert: 'EisWorkerWaiting', at: '20m',
    firing: { 'eis_ingest_waiting{model="m",part="store",instance="a"}': '1x30', 'eis_ingest_waiting{model="m",part="function",instance="a"}': '0x30' },
    labels: { model: 'm', part: 'store' },
    summary: 'Workers of model m take no images, because they wait for the store.',
    quiet: { 'the store was away for a moment': { 'eis_ingest_waiting{model="m",part="store",instance="a"}': '1x3 0x30' } },
  },
  {
    alert: 'EisShadowFailing', at: '60m',
    firing: shadowed({ ok: 4, EIS_FUNCTION_UNAVAILABLE: 12 }),
    labels: { model: 'm', shadow: 'n' },
    summary: '75% of the searches that model n answers unseen beside m fail.',
    quiet: { 'few fail': shadowed({ ok: 12, EIS_FUNCTION_UNAVAILABLE: 4 }), 'a shard of either model is away': shadowed({ ok: 2, partial: 10 }), 'nobody searches': shadowed({ ok: 0, EIS_FUNCTION_UNAVAILABLE: 0 }) },
  },
  {
    alert: 'EisShadowDropped', at: '60m',
    firing: shadowed({ ok: 4 }, 12),
    labels: { model: 'm', shadow: 'n' },
    summary: 'More than half of the searches that model n should answer unseen beside m are left out.',
    quiet: { 'most are answered': shadowed({ ok: 12 }, 4), 'nobody searches': shadowed({}, 0), 'a gateway closed': { 'eis_shadow_dropped_total{model="m",shadow="n",reason="closing"}': '0+5x90' } },
  },
  {
    alert: 'EisAutoscaleFailing', at: '30m',
    firing: { [DECIDED]: '100x90', [NOT_DECIDED]: '0x2 0+4x90' },
    labels: { deployment: 'worker-m', model: 'm', code: 'EIS_PROMETHEUS' },
    summary: 'The autoscaler decides nothing for worker-m any more (EIS_PROMETHEUS), which keeps the pods that it has.',
    quiet: { 'some rounds fail, and others decide': { [DECIDED]: '0+60x90', [NOT_DECIDED]: '0+1x90' }, 'it is over': { [DECIDED]: '0x10 600+60x90', [NOT_DECIDED]: '0+4x10 40x90' } },
  },
  {
    alert: 'EisAutoscaleAtMaximum', at: '60m',
    firing: { ...scaled('worker-m', 10, 300), ...scaled('gateway-m', 4, 20) },
    labels: { deployment: 'worker-m', model: 'm' },
    summary: 'worker-m has had as many pods as it may for half an hour, and they do not suffice.',
    quiet: { 'it may have more': scaled('worker-m', 9, 300), 'they suffice': { ...scaled('worker-m', 10, 30), ...scaled('gateway-m', 4, 32) } },
  },
];
