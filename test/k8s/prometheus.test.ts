/** What Prometheus and Grafana are given: promtool takes it, every alert fires when it should, and every metric is one that a role exports. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createAutoscaleMetrics } from '../../autoscale/autoscale-metrics.js';
import { parseConfig } from '../../common/config.js';
import { ERRORS, type ErrorCode } from '../../common/errors.js';
import { createService } from '../../common/http.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { createMeasureEmbeds } from '../../common/measured-embeds.js';
import { LATENCY_BUCKETS_S, Metrics } from '../../common/metrics.js';
import { limitAdmission } from '../../gateway/admission.js';
import { createEmbedMetrics } from '../../gateway/embed-metrics.js';
import { createReplicaMetrics } from '../../gateway/replica-metrics.js';
import { createSearchMetrics } from '../../gateway/search-metrics.js';
import { createShadowMetrics } from '../../gateway/shadow-metrics.js';
import { createIndexMetrics } from '../../indexer/index-metrics.js';
import { createWorkerMetrics } from '../../ingest/worker-metrics.js';
import { dashboardRows, renderDashboard } from '../../k8s/monitoring/dashboard.js';
import { FAILURES, LATENCY_S } from '../../k8s/monitoring/objectives.js';
import { optionalParts, type OptionalParts } from '../../k8s/monitoring/optional-parts.js';
import type { Alert, Recording } from '../../k8s/monitoring/rule.js';
import { renderRules } from '../../k8s/monitoring/rules.js';
import { PROMETHEUS_MISSING, promtool } from '../support/prometheus-tools.js';
import { tempFolder } from '../support/temp-folder.js';
import { ALERT_CASES, type AlertCase, type Series } from './support/alert-cases.js';
import { manifestsOf, seedText, serviceIn } from './support/deployments.js';

const JOBS = ['gateway', 'wrapper', 'index', 'worker', 'rabbitmq', 'prometheus'];
/** As a config.json with all that may be left out. */
const OPTIONAL: OptionalParts = { hasShadow: true, scaled: [{ deployment: 'gateway-m', podsMax: 4, signalMax: 32 }, { deployment: 'worker-m', podsMax: 10, signalMax: 60 }] };
const { groups } = renderRules(JOBS, { optional: OPTIONAL });
const rules = groups.flatMap((group) => group.rules);
/** Those that every config.json has. */
const always = renderRules(JOBS).groups.flatMap((group) => group.rules);
const alerts = rules.filter((rule): rule is Alert => 'alert' in rule);
const recordings = rules.filter((rule): rule is Recording => 'record' in rule);
const expressions = [...rules.map(({ expr }) => expr), ...dashboardRows(OPTIONAL).flatMap(({ panels }) => panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)))];

/** The files of the ConfigMap, in a folder. */
function writeFiles(): string {
  const folder = tempFolder();
  const configMap = manifestsOf(seedText()).find(({ kind, metadata: { name } }) => kind === 'ConfigMap' && name.startsWith('prometheus-')) as { data: Record<string, string> };
  for (const [name, text] of Object.entries(configMap.data)) writeFileSync(join(folder, name), text.replaceAll('/etc/prometheus', folder));
  return folder;
}

describe.skipIf(PROMETHEUS_MISSING !== undefined)(`promtool${PROMETHEUS_MISSING ? ` (${PROMETHEUS_MISSING})` : ''}`, () => {
  it('takes the configuration and the rules', async () => {
    const folder = writeFiles();
    expect(await promtool('check', 'config', join(folder, 'prometheus.yml'))).toContain(`SUCCESS: ${always.length} rules found`);
    expect(await promtool('check', 'rules', join(folder, 'rules.yml'))).toContain(`SUCCESS: ${always.length} rules found`);
  });

  it.each(groups.map(({ name, rules }) => ({ name, rules })))('finds that every alert of the group $name fires when it should, in words that name what is wrong, and is quiet when not', async ({ name: group, rules: own }) => {
    const folder = tempFolder();
    const toTest = (name: string, { alert, at }: AlertCase, series: Series, expected: object[]): object => ({ name, interval: '1m', input_series: Object.entries(series).map(([key, values]) => ({ series: key, values })), alert_rule_test: [{ eval_time: at, alertname: alert, exp_alerts: expected }] });
    const tests = ALERT_CASES.flatMap((each) => {
      const rule = own.find((one): one is Alert => 'alert' in one && one.alert === each.alert);
      if (!rule) return [];
      const expected = { exp_labels: { ...each.labels, ...rule.labels }, exp_annotations: { ...rule.annotations, summary: each.summary } };
      return [toTest(`${each.alert} fires`, each, each.firing, [expected]), ...Object.entries(each.quiet).map(([why, series]) => toTest(`${each.alert} is quiet: ${why}`, each, series, []))];
    });
    writeFileSync(join(folder, 'rules.yml'), stringify({ groups: [{ name: group, rules: own }] }));
    writeFileSync(join(folder, 'tests.yml'), stringify({ rule_files: ['rules.yml'], evaluation_interval: '1m', tests }));
    expect(await promtool('test', 'rules', join(folder, 'tests.yml'))).toContain('SUCCESS');
  }, 120_000);

  it('finds fault with what is none, so that these tests can fail', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'rules.yml'), stringify({ groups: [{ name: 'g', rules: [{ alert: 'A', expr: 'sum by (' }] }] }));
    await expect(promtool('check', 'rules', join(folder, 'rules.yml'))).rejects.toThrow('FAILED');
  });
});

describe('alerts', () => {
  it('have each a case in which they fire and one in which they do not', () => {
    expect(ALERT_CASES.map(({ alert }) => alert)).toEqual(alerts.map(({ alert }) => alert));
    for (const { quiet } of ALERT_CASES) expect(Object.keys(quiet).length).toBeGreaterThan(0);
  });

  it('count as failures of a search all that is ours, and nothing of its image', () => {
    const elsewhere: readonly ErrorCode[] = ['EIS_URL_FAILED', 'EIS_URL_TIMEOUT', 'EIS_WRAPPER_UNAVAILABLE', 'EIS_QUEUE_UNAVAILABLE', 'EIS_QUEUE_FULL', 'EIS_STORE_UNAVAILABLE', 'EIS_STORE_REFUSED', 'EIS_SNAPSHOT_INVALID', 'EIS_CONFIG_INVALID', 'EIS_ENVIRONMENT_INVALID', 'EIS_GATEWAY_UNREACHABLE', 'EIS_DELIVERY_LIMIT', 'EIS_BUNDLE', 'EIS_FUNCTION_DEPLOY', 'EIS_PROMETHEUS', 'EIS_CLUSTER_API'];
    const servers = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].statusCode >= 500 && !code.startsWith('EIS_DEPLOY_'));
    expect([...FAILURES, ...elsewhere].sort()).toEqual([...servers, 'EIS_MODEL_VERSION'].sort());
  });

  it('measure time by a bound that searches are counted under, written alike by every Prometheus', () => {
    expect(LATENCY_BUCKETS_S).toContain(LATENCY_S);
    expect(Number.isInteger(LATENCY_S)).toBe(false);
  });
});

/** The labels of every series that a role exports, by its name. */
async function exportedLabels(): Promise<Map<string, Set<string>>> {
  const autoscaler = new Metrics('autoscaler');
  const [gateway, indexer, worker] = [new Metrics('gateway').collectProcess(), new Metrics('indexer', { model: 'm', shard: '0/1' }), new Metrics('worker', { model: 'm' })];
  const app = createService({ log: SILENT_LOG, metrics: gateway, readiness: () => ({ ready: true, detail: '' }), bodyBytesMax: 1 });
  await limitAdmission(app, { limits: DEFAULT_LIMITS, metrics: gateway });
  await app.close();
  createSearchMetrics(gateway);
  createShadowMetrics(gateway, () => 0);
  createAutoscaleMetrics(autoscaler, []);
  createReplicaMetrics(gateway, SILENT_LOG);
  createEmbedMetrics(gateway);
  createMeasureEmbeds(gateway);
  createIndexMetrics(indexer, () => ({ vectors: 0, memoryBytes: 0, freshnessS: 0, unsavedS: 0 }));
  createWorkerMetrics(worker, { model: 'm', queue: undefined as never });
  createMeasureEmbeds(worker);
  const exported = new Map([['up', new Set(['job', 'instance'])], ['ALERTS', new Set(['alertname', 'alertstate', 'severity'])]]);
  for (const [{ registry }, own] of [[gateway, []], [autoscaler, []], [indexer, ['model', 'shard']], [worker, ['model']]] as const) {
    for (const { name, type, labelNames } of registry.getMetricsAsArray() as unknown as { name: string; type: string; labelNames: string[] }[]) {
      const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      for (const suffix of suffixes) exported.set(name + suffix, new Set(['job', 'instance', 'role', ...own, ...labelNames, ...(suffix === '_bucket' ? ['le'] : [])]));
    }
  }
  // RabbitMQ's own (its plugin rabbitmq_prometheus).
  for (const alarm of ['memory_used', 'free_disk_space']) exported.set(`rabbitmq_alarms_${alarm}_watermark`, new Set(['job', 'instance']));
  for (const { record } of recordings) exported.set(record, new Set(['model']));
  return exported;
}

describe('expressions', () => {
  it('are of metrics that the roles export, and of labels that these have', async () => {
    const exported = await exportedLabels();
    for (const expr of expressions) {
      const names = [...expr.replaceAll(/"[^"]*"/g, '""').matchAll(/(?<![\w:])(?:model:\w+:\w+|eis_\w+|rabbitmq_\w+|up|ALERTS)\b/g)].map(([name]) => name);
      expect(names, expr).not.toEqual([]);
      for (const name of names) expect([...exported.keys()], expr).toContain(name);
      for (const [, name, matchers] of expr.matchAll(/([\w:]+)\{([^}]*)\}/g)) {
        for (const [, label] of matchers!.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)) expect([...exported.get(name!)!], `${name} in ${expr}`).toContain(label);
      }
      for (const [, labels] of expr.matchAll(/by \(([^)]*)\)/g)) {
        for (const label of labels!.split(', ')) expect(names.flatMap((name) => [...exported.get(name)!]), expr).toContain(label);
      }
    }
  });

  it('of recorded series have no duplicates', () => {
    expect(new Set(recordings.map(({ record }) => record)).size).toBe(recordings.length);
  });
});

describe('what may be left out of config.json', () => {
  const optionalOf = (edit: Parameters<typeof seedText>[0]): OptionalParts => optionalParts(parseConfig(seedText(edit), 'config.json'));

  it('is watched where it is, and its alerts and panels are left out where it is not', () => {
    expect(optionalOf(undefined)).toEqual({ hasShadow: false, scaled: [] });
    expect(always.map((rule) => ('alert' in rule ? rule.alert : rule.record)).join()).not.toMatch(/Shadow|Autoscale/);
    expect(dashboardRows().map(({ title }) => title).join()).not.toMatch(/Shadow|Autoscaler/);
  });

  it('is asked of Deployments by their names, most pods and what these should do', () => {
    const optional = optionalOf((config) => {
      config.platform = { ...config.platform, autoscaling: 'eis', autoscale: { in_flight_per_pod: 5, queue_age_s: 90 } };
      for (const service of ['serving', 'extract_worker']) for (const model of serviceIn(config, service).models) model['pods'] = { min: 1, max: 3 };
    });
    const [gateway] = optional.scaled;
    expect(gateway).toEqual({ deployment: expect.stringMatching(/^gateway-/) as string, podsMax: 3, signalMax: 15 });
    expect(optional.scaled.at(-1)).toEqual({ deployment: expect.stringMatching(/^worker-/) as string, podsMax: 3, signalMax: 90 });
  });
});

describe('the dashboard', () => {
  interface Placed { id: number; type: string; title: string; gridPos: { x: number; y: number; w: number; h: number }; datasource?: { uid: string }; targets?: { refId: string; expr: string }[] }
  const { panels } = renderDashboard(OPTIONAL) as { panels: Placed[] };

  it('has its panels side by side, none over another', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const [i, { gridPos: a, title }] of panels.entries()) {
      expect(a.x + a.w, title).toBeLessThanOrEqual(24);
      for (const { gridPos: b } of panels.slice(i + 1)) expect(a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h, title).toBe(false);
    }
  });

  it('asks the Prometheus that is provisioned, each panel something', () => {
    const objects = manifestsOf(seedText());
    const dataOf = (name: string): string => Object.values((objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name) as { data: Record<string, string> }).data)[0]!;
    expect(JSON.parse(dataOf('grafana-dashboards'))).toEqual(renderDashboard());
    for (const { datasource, targets, title } of panels.filter(({ type }) => type !== 'row')) {
      expect(dataOf('grafana-datasources'), title).toContain(`uid: ${datasource!.uid}\n`);
      expect(targets!.map(({ refId }) => refId), title).toEqual(['A', 'B', 'C'].slice(0, targets!.length));
    }
    expect(dataOf('grafana-datasources')).toContain('url: http://prometheus:9090');
  });
});
