/** Prometheus, with its targets by name: discovery through the API would need rights that nobody has to give here. */
import { stringify } from 'yaml';
import { imageOf } from './images.js';
import { HTTP_PORT, type Component, type Workload } from './names.js';
import type { Manifest } from './objects.js';
import { configMount, HTTP_PROBES, scratch, type RenderContext } from './pod.js';
import { RABBITMQ_METRICS_PORT } from './rabbitmq.js';
import { contentName } from './role-config.js';
import { scrapeName } from './roles.js';
import { DISKS } from './sizes.js';
import { renderConfigMap, renderService, renderStatefulSet } from './workloads.js';

const FOLDER = '/etc/prometheus';
const DATA = '/prometheus';
const PORTS = { http: 9090 };
const RETENTION = '15d';
const PROBES = {
  startup: { httpGet: { path: '/-/healthy', port: 'http' }, periodSeconds: 3, failureThreshold: 40 },
  readiness: { ...HTTP_PROBES.readiness, httpGet: { path: '/-/ready', port: 'http' } },
  liveness: { ...HTTP_PROBES.liveness, httpGet: { path: '/-/healthy', port: 'http' } },
};

/** Every pod of a role is an address of its headless service. */
export function renderScrapeConfig({ config }: RenderContext): object {
  const job = (name: string, host: string, port: number): object => ({ job_name: name, dns_sd_configs: [{ names: [host], type: 'A', port, refresh_interval: '15s' }] });
  const roles: Component[] = ['gateway', 'wrapper', 'index', ...(config.extractWorkers.size > 0 ? (['worker'] as const) : [])];
  return {
    global: { scrape_interval: '15s', evaluation_interval: '15s' },
    rule_files: [`${FOLDER}/rules.yml`],
    scrape_configs: [...roles.map((role) => job(role, scrapeName(role), HTTP_PORT)), job('rabbitmq', 'rabbitmq-nodes', RABBITMQ_METRICS_PORT), { job_name: 'prometheus', static_configs: [{ targets: ['localhost:9090'] }] }],
  };
}

/** Recording and alerting rules. */
export function renderRules(): object {
  return {
    groups: [
      {
        name: 'targets',
        rules: [
          {
            alert: 'EisTargetDown',
            expr: 'up == 0',
            for: '5m',
            labels: { severity: 'warning' },
            annotations: { summary: '{{ $labels.job }} at {{ $labels.instance }} has not answered Prometheus for five minutes.' },
          },
        ],
      },
    ],
  };
}

export function renderPrometheus(context: RenderContext): Manifest[] {
  const { config: { platform, prometheus: { pods } } } = context;
  const workload: Workload = { component: 'prometheus', name: 'prometheus' };
  const files = { 'prometheus.yml': stringify(renderScrapeConfig(context)), 'rules.yml': stringify(renderRules()) };
  const configMap = contentName(workload.name, ...Object.values(files));
  const container = {
    name: 'main',
    image: imageOf('prometheus', platform),
    command: ['/bin/prometheus', `--config.file=${FOLDER}/prometheus.yml`, `--storage.tsdb.path=${DATA}`, `--storage.tsdb.retention.time=${RETENTION}`],
    ports: PORTS,
    probes: PROBES,
    mounts: [configMount(configMap, FOLDER), { path: DATA, volume: { name: 'data', claim: true as const } }, scratch('tmp', '/tmp')],
  };
  return [
    renderConfigMap(workload, configMap, files),
    renderService(workload, { ports: PORTS }),
    ...renderStatefulSet({ workload, pods: { min: pods, max: pods }, serviceName: workload.name, disk: { name: 'data', gibibytes: DISKS.prometheus, keep: true }, containers: [container] }, context),
  ];
}
