/**
 * docker-compose.yml from config.json: the system of the manifests on one machine, one of each pod. MongoDB is a replica
 * set of one instead of a sharded cluster, and each model's function, which is Google's there, is a container.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { modelConfig, type Config, type IndexingConfig } from '../../common/config.js';
import { lanesOf, type ModelLane } from '../../common/model-lanes.js';
import { writeFolder, type Files } from '../folder.js';
import { renderLoneMongo } from '../manifests/mongo.js';
import { COMPONENT_LABEL, gatewayName, httpUrl, indexName, LANE_LABEL, MODEL_LABEL, WRAPPER, type Component } from '../manifests/names.js';
import { renderNginx } from '../manifests/nginx.js';
import type { Manifest } from '../manifests/objects.js';
import type { RenderContext } from '../manifests/pod.js';
import { renderPrometheus } from '../manifests/prometheus.js';
import { renderRabbitmq } from '../manifests/rabbitmq.js';
import { renderGateways, renderIndexShards, renderScrapeServices, renderWorkers, renderWrapper } from '../manifests/roles.js';
import { ENV_EXAMPLE, TRACING_ENV_EXAMPLE } from './env-example.js';
import { completeMongo, functionService, OPEN_PORTS, renderCli, renderFunction, renderGrafanaService, renderMongoSteps, type ComposeFile } from './parts.js';
import { FILES_FOLDER, serviceOf, type ComposeService, type Dependency } from './service.js';

export const COMPOSE_FILE = 'docker-compose.yml';
const ENV_FILE = '.env.example';

const HEADER = `# Written by \`eis compose\` from config.json: change that, and run it again. Secrets are read from .env (see ${ENV_FILE}).\n`;

export interface ComposeOptions {
  readonly config: Config;
  /** Of this package. */
  readonly version: string;
  /** Where docker-compose.yml stands. */
  readonly folder: string;
}

/** The files of `folder` by path: docker-compose.yml, .env.example, and what services read. The same configuration gives the same bytes. */
export function renderCompose({ config, version, folder }: ComposeOptions): Files {
  const lanes = config.models.flatMap(lanesOf);
  const context: RenderContext = { config: forOneMachine(config), version, functionUrls: new Map(lanes.map((lane) => [lane.laneName, httpUrl(functionService(lane))])) };
  const objects = [renderLoneMongo, renderRabbitmq, renderIndexShards, renderWrapper, renderWorkers, renderGateways, renderScrapeServices, renderNginx, renderPrometheus].flatMap((render) => render(context));
  const functions = lanes.map((lane) => [functionService(lane), renderFunction(lane, folder, context)] as const);
  const services = { ...Object.fromEntries(functions.map(([name, { service }]) => [name, service])), ...renderServices(objects, context) };
  const volumes = [...new Set(Object.values(services).flatMap((service) => (service.volumes ?? []).map((volume) => volume.split(':')[0] as string)))].filter((name) => !name.startsWith('.')).sort();
  const project = { name: 'elastic-image-search', services, volumes: Object.fromEntries(volumes.map((name) => [name, {}])) };
  const files = [...filesOf(objects), ...functions.map(([, { file }]) => file)].map(({ path, text }) => [`${FILES_FOLDER}/${path}`, text] as const);
  const all = [[COMPOSE_FILE, HEADER + stringify(project, { lineWidth: 0, aliasDuplicateObjects: false })] as const, [ENV_FILE, config.platform.tracing ? ENV_EXAMPLE + TRACING_ENV_EXAMPLE : ENV_EXAMPLE] as const, ...files];
  return new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Writes what `renderCompose` renders; of the folder of files, nothing else stays. Returns it. */
export function writeCompose(options: ComposeOptions): Files {
  const files = renderCompose(options);
  const isInside = (path: string): boolean => path.startsWith(`${FILES_FOLDER}/`);
  writeFolder(join(options.folder, FILES_FOLDER), new Map([...files].filter(([path]) => isInside(path)).map(([path, text]) => [path.slice(FILES_FOLDER.length + 1), text])));
  for (const [path, text] of files) if (!isInside(path)) writeFileSync(join(options.folder, path), text);
  return files;
}

/** One broker and one Prometheus: they name those that there are. Of the rest compose has one by itself, and nothing scales it. */
function forOneMachine(config: Config): Config {
  return { ...config, rabbitmq: { pods: 1 }, prometheus: { pods: 1 }, platform: { ...config.platform, autoscaling: 'none' } };
}

function renderServices(objects: readonly Manifest[], context: RenderContext): Record<string, ComposeService> {
  const { config } = context;
  const lanes = config.models.flatMap(lanesOf);
  const workloads = objects.filter((object) => object.kind === 'Deployment' || object.kind === 'StatefulSet');
  const services = Object.fromEntries(
    workloads.map((object) => {
      const { name, labels } = object.metadata;
      const service = { ...serviceOf(object, context, objects), ...(OPEN_PORTS[name] ? { ports: OPEN_PORTS[name] } : {}) };
      const lane = lanes.find((each) => each.name === labels[MODEL_LABEL] && each.lane === (labels[LANE_LABEL] ?? 'main'));
      const depends = dependenciesOf(labels[COMPONENT_LABEL] as Component, lane, config);
      return [name, Object.keys(depends).length > 0 ? { ...service, depends_on: depends } : service];
    }),
  );
  const mongo = completeMongo(services['mongo'] as ComposeService);
  const anyStoreUser = services[WRAPPER] as ComposeService;
  return { ...services, mongo, ...renderMongoSteps(mongo, anyStoreUser, context), grafana: renderGrafanaService(objects, context), eis: renderCli(context) };
}

/** What must be there before a service starts: so that each is asked only when it can answer. */
function dependenciesOf(component: Component, lane: ModelLane | undefined, config: Config): Readonly<Record<string, Dependency>> {
  const healthy = (...names: readonly string[]): Record<string, Dependency> => Object.fromEntries(names.map((name) => [name, { condition: 'service_healthy' }]));
  const store: Record<string, Dependency> = { 'store-init': { condition: 'service_completed_successfully' } };
  switch (component) {
    case 'index':
      return store;
    case 'wrapper':
      return { ...store, ...healthy('rabbitmq') };
    case 'worker':
      return { ...store, ...healthy('rabbitmq', functionService(lane as ModelLane)) };
    case 'gateway': {
      // Of its main lane: one that is tried out must not hold searches up.
      const { name, kubernetesName } = lane as ModelLane;
      const { shards } = config.indexing.get(name) as IndexingConfig;
      const pods = Array.from({ length: shards }, (_, shard) => indexName(kubernetesName, shards, shard));
      return healthy(functionService({ kubernetesName }), ...pods, WRAPPER);
    }
    case 'nginx':
      // It looks its gateways' addresses up once, when it starts.
      return Object.fromEntries([...config.serving.keys()].map((of) => [gatewayName(modelConfig(config, of).kubernetesName), { condition: 'service_healthy', restart: true }]));
    default:
      return {};
  }
}

/** What ConfigMaps hold, as folders. */
function filesOf(objects: readonly Manifest[]): ComposeFile[] {
  return objects.flatMap((object) => (object.kind === 'ConfigMap' ? Object.entries(object.data ?? {}).map(([file, text]) => ({ path: `${object.metadata.name}/${file}`, text })) : []));
}
