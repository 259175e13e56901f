/** Prometheus, with its targets by name: discovery through the API would need rights that nobody has to give here. */
import { stringify } from 'yaml';
import type { Config } from '../../common/config.js';
import { optionalParts } from '../monitoring/optional-parts.js';
import { renderRules } from '../monitoring/rules.js';
import { renderScrapeConfig, type ScrapeJob } from '../monitoring/scrape.js';
import { renderGrafana } from './grafana.js';
import { imageOf } from './images.js';
import { HTTP_PORT, type Workload } from './names.js';
import type { Manifest } from './objects.js';
import { configMount, HTTP_PROBES, scratch, type RenderContext } from './pod.js';
import { RABBITMQ_METRICS_PORT, RABBITMQ_NODES } from './rabbitmq.js';
import { contentName } from './role-config.js';
import { scrapedComponents, scrapeName } from './roles.js';
import { DISKS } from './sizes.js';
import { renderConfigMap, renderService, renderStatefulSet } from './workloads.js';

const FOLDER = '/etc/prometheus';
const DATA = '/prometheus';
const PORTS = { http: 9090 };
const RETENTION = '15d';
/** Before the disk is full, which would end it for good. */
const RETENTION_MB = DISKS.prometheus * 1024 * 0.8;
const EVERY_S = 15;
const PROBES = {
  startup: { httpGet: { path: '/-/healthy', port: 'http' }, periodSeconds: 3, failureThreshold: 40 },
  readiness: { ...HTTP_PROBES.readiness, httpGet: { path: '/-/ready', port: 'http' } },
  liveness: { ...HTTP_PROBES.liveness, httpGet: { path: '/-/healthy', port: 'http' } },
};

/** Whom it asks: every pod of a role is an address of its headless service. The function in the cloud, MongoDB and nginx are seen by their callers. */
export function scrapeJobs(config: Config): ScrapeJob[] {
  return [
    ...scrapedComponents(config).map((role) => ({ name: role, targets: { host: scrapeName(role), port: HTTP_PORT } })),
    { name: 'rabbitmq', targets: { host: RABBITMQ_NODES, port: RABBITMQ_METRICS_PORT } },
    { name: 'prometheus', targets: [`localhost:${PORTS.http}`] },
  ];
}

export function renderPrometheus(context: RenderContext): Manifest[] {
  const { config } = context;
  const { platform, prometheus: { pods } } = config;
  const workload: Workload = { component: 'prometheus', name: 'prometheus' };
  const jobs = scrapeJobs(config);
  const optional = optionalParts(config);
  const files = {
    'prometheus.yml': stringify(renderScrapeConfig({ jobs, rulesFile: `${FOLDER}/rules.yml`, everyS: EVERY_S })),
    'rules.yml': stringify(renderRules(jobs.map(({ name }) => name), { optional, limits: config.platform.limits }), { lineWidth: 0 }),
  };
  const configMap = contentName(workload.name, ...Object.values(files));
  const container = {
    name: 'main',
    image: imageOf('prometheus', platform),
    command: ['/bin/prometheus', `--config.file=${FOLDER}/prometheus.yml`, `--storage.tsdb.path=${DATA}`, `--storage.tsdb.retention.time=${RETENTION}`, `--storage.tsdb.retention.size=${RETENTION_MB}MB`],
    ports: PORTS,
    probes: PROBES,
    mounts: [configMount(configMap, FOLDER), { path: DATA, volume: { name: 'data', claim: true as const } }, scratch('tmp', '/tmp')],
  };
  return [
    renderConfigMap(workload, configMap, files),
    renderService(workload, { ports: PORTS }),
    ...renderGrafana(`http://${workload.name}:${PORTS.http}`, optional),
    ...renderStatefulSet({ workload, pods: { min: pods, max: pods }, serviceName: workload.name, disk: { name: 'data', gibibytes: DISKS.prometheus, keep: true }, containers: [container] }, context),
  ];
}
