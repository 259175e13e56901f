/** Our own roles as pods: gateways, index shards, workers, the wrapper. Each through the entry point that `npm start` uses. */
import { modelConfig, type Config, type Pods } from '../../common/config.js';
import { variableSuffix } from '../../common/environment.js';
import { EisError } from '../../common/errors.js';
import { limitVariable } from '../../common/limits.js';
import { INDEX_NODE_FLAGS } from '../../common/node-flags.js';
import { ownImage } from './images.js';
import { COMPONENT_LABEL, functionVariable, gatewayName, httpUrl, HTTP_PORT, indexName, indexUrls, PART_OF, RABBITMQ, resourceName, SECRETS, secretVariable, workerName, WRAPPER, type Component, type Workload } from './names.js';
import type { EnvVar, Manifest } from './objects.js';
import { platformEnv } from './platform-env.js';
import { DRAIN_S, HTTP_PORTS, HTTP_PROBES, scratch, secretMount, type ContainerOptions, type Mount, type RenderContext } from './pod.js';
import { indexingService, renderRoleConfig, type RoleConfig } from './role-config.js';
import { hasOwnAutoscaler, renderQueueScaler } from './scaling.js';
import { DISKS } from './sizes.js';
import { renderDeployment, renderService, renderStatefulSet } from './workloads.js';

const DATA = '/data';
const GOOGLE = '/etc/google';

/** Of a user that may write the collections and shard them; made by `mongo-init`. */
export const STORE_ENV: readonly EnvVar[] = [
  secretVariable('MONGO_PASSWORD', SECRETS.mongo.name, SECRETS.mongo.keys.password),
  { name: 'MONGODB_URI', value: 'mongodb://eis:$(MONGO_PASSWORD)@mongo-router:27017/eis?authSource=admin' },
];
/** @param host with its namespace where somebody in another reads the variable */
const queueEnv = (host = RABBITMQ): readonly EnvVar[] => [secretVariable('RABBITMQ_PASSWORD', SECRETS.rabbitmq.name, SECRETS.rabbitmq.keys.password), { name: 'AMQP_URL', value: `amqp://eis:$(RABBITMQ_PASSWORD)@${host}:5672` }];
const BUCKET_ENV: readonly EnvVar[] = [secretVariable('BUCKET', SECRETS.bucket.name, SECRETS.bucket.keys.uri)];
const GOOGLE_ENV: readonly EnvVar[] = [{ name: 'GOOGLE_APPLICATION_CREDENTIALS', value: `${GOOGLE}/${SECRETS.google.keys.key}` }];
const GOOGLE_MOUNT = secretMount(SECRETS.google.name, GOOGLE, 'google');

/** Where pods have their addresses: nginx and the router, who alone reach a gateway, say for whom they ask. */
const CLUSTER_RANGES = '10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8';

/** The name of a model's queue, as `ingest/queue/amqp-topology.ts` has it. */
export const extractQueue = (model: string): string => `eis.extract.${model}`;

export interface RoleOptions {
  readonly module: string;
  readonly args?: readonly string[];
  readonly nodeFlags?: readonly string[];
  readonly roleConfig: RoleConfig;
  readonly env: readonly EnvVar[];
  readonly mounts?: readonly Mount[];
}

/** A container of the project's image, whose working directory holds the package: node runs a compiled entry point of it. */
export function roleContainer({ module, args = [], nodeFlags = [], roleConfig, env, mounts = [] }: RoleOptions, { config: { platform }, version }: RenderContext): ContainerOptions {
  return {
    name: 'main',
    image: ownImage(platform, version),
    command: ['node', ...nodeFlags, module, ...args],
    env: [{ name: 'NODE_ENV', value: 'production' }, { name: 'HOST', value: '0.0.0.0' }, { name: 'PORT', value: String(HTTP_PORT) }, { name: 'EIS_DATA_DIR', value: DATA }, { name: limitVariable('drainMs'), value: String(DRAIN_S * 1000) }, ...platformEnv(platform), ...roleConfig.env, ...env],
    ports: HTTP_PORTS,
    probes: HTTP_PROBES,
    mounts: [...roleConfig.mounts, ...mounts, scratch('tmp', '/tmp')],
  };
}

/** Linux starts no process with a longer variable (MAX_ARG_STRLEN), its name and its end included. */
const VARIABLE_BYTES_MAX = 128 * 1024;

function indexUrlsVariable(model: string, { config }: RenderContext): EnvVar {
  const shards = config.indexing.get(model)?.shards ?? 0;
  const [name, value] = [`INDEX_URLS_${variableSuffix(model)}`, indexUrls(modelConfig(config, model).kubernetesName, shards)];
  const room = VARIABLE_BYTES_MAX - name.length - '=\0'.length;
  if (value.length <= room) return { name, value };
  const most = Math.floor(room / (Math.max(...value.split(';').map(({ length }) => length)) + 1));
  throw new EisError('EIS_CONFIG_INVALID', { file: config.file, problems: [`num_indexes of ${model} is ${shards}; the addresses of so many shards are longer than a variable of a process may be. ${most} or fewer can be deployed.`] });
}

/** One gateway for each served model; nginx chooses among them. It asks the model's shadow as well. */
export function renderGateways(context: RenderContext): Manifest[] {
  const { config, functionUrls } = context;
  return [...config.serving].flatMap(([model, { pods, shadow }]) => {
    const workload: Workload = { component: 'gateway', name: gatewayName(modelConfig(config, model).kubernetesName), model };
    const asked = [model, ...(shadow ? [shadow.model] : [])];
    const roleConfig = renderRoleConfig(workload, asked, [indexingService(config, asked), ...(shadow ? [{ name: 'serving', models: [{ name: model, shadow }] }] : [])]);
    const env: EnvVar[] = [
      { name: 'MODEL', value: model },
      ...asked.flatMap((name) => [indexUrlsVariable(name, context), functionVariable(name, functionUrls)]),
      { name: 'WRAPPER_URL', value: httpUrl(WRAPPER) },
      { name: 'EIS_TRUST_PROXY', value: CLUSTER_RANGES },
      secretVariable('EIS_API_KEYS', SECRETS.apiKeys.name, SECRETS.apiKeys.keys.keys, true),
      ...GOOGLE_ENV,
    ];
    const container = roleContainer({ module: 'dist/gateway/main.js', roleConfig, env, mounts: [GOOGLE_MOUNT] }, context);
    return [roleConfig.configMap, renderService(workload, { ports: HTTP_PORTS }), ...renderDeployment({ workload, pods, containers: [container] }, context)];
  });
}

/** A StatefulSet for each shard of each model, its replicas behind a headless service. */
export function renderIndexShards(context: RenderContext): Manifest[] {
  const { config } = context;
  return [...config.indexing].flatMap(([model, { shards, pods }]) => {
    const { kubernetesName } = modelConfig(config, model);
    const roleConfig = renderRoleConfig({ component: 'index', name: resourceName('index', kubernetesName, shards), model }, [model], [indexingService(config, [model])]);
    return [roleConfig.configMap, ...Array.from({ length: shards }, (_, shard) => renderShard({ model, name: indexName(kubernetesName, shards, shard), shard: `${shard}/${shards}`, pods, roleConfig }, context)).flat()];
  });
}

interface ShardOptions {
  readonly model: string;
  readonly name: string;
  readonly shard: string;
  readonly pods: Pods;
  readonly roleConfig: RoleConfig;
}

/** Its disk is for vectors and snapshots, which the store can always give again: it goes with the pod. */
function renderShard({ model, name, shard, pods, roleConfig }: ShardOptions, context: RenderContext): Manifest[] {
  const workload: Workload = { component: 'index', name, model };
  const env = [{ name: 'MODEL', value: model }, { name: 'SHARD', value: shard }, ...STORE_ENV];
  const container = roleContainer({ module: 'dist/indexer/main.js', nodeFlags: INDEX_NODE_FLAGS, roleConfig, env, mounts: [{ path: DATA, volume: { name: 'data', claim: true } }] }, context);
  return [
    renderService(workload, { ports: HTTP_PORTS, headless: true }),
    ...renderStatefulSet({ workload, pods, serviceName: name, disk: { name: 'data', gibibytes: DISKS.index, keep: false }, containers: [container] }, context),
  ];
}

/** Workers for each model, scaled by the length of their queue where KEDA is there, whose operator asks their broker from its own namespace. */
export function renderWorkers(context: RenderContext): Manifest[] {
  const { config, functionUrls } = context;
  const isByQueue = config.platform.autoscaling === 'keda';
  return [...config.extractWorkers].flatMap(([model, { pods }]) => {
    const workload: Workload = { component: 'worker', name: workerName(modelConfig(config, model).kubernetesName), model };
    const roleConfig = renderRoleConfig(workload, [model], []);
    const env = [{ name: 'MODEL', value: model }, functionVariable(model, functionUrls), ...STORE_ENV, ...queueEnv(isByQueue ? `${RABBITMQ}.${config.platform.namespace}.svc` : RABBITMQ), ...BUCKET_ENV, ...GOOGLE_ENV];
    const container = roleContainer({ module: 'dist/ingest/worker-main.js', roleConfig, env, mounts: [GOOGLE_MOUNT, scratch('data', DATA)] }, context);
    const scaler = isByQueue ? { renderScaler: (scaled: Workload, _kind: string, range: Pods) => renderQueueScaler(scaled, range, extractQueue(model)) } : {};
    return [roleConfig.configMap, ...renderDeployment({ workload, pods, containers: [container], ...scaler }, context)];
  });
}

/** The wrapper; it asks functions which version they run, when a backfill is asked for. */
export function renderWrapper(context: RenderContext): Manifest[] {
  const { config, functionUrls } = context;
  const models = config.models.map(({ name }) => name);
  const workload: Workload = { component: 'wrapper', name: WRAPPER };
  const roleConfig = renderRoleConfig(workload, models, [{ name: 'extract_worker', models: [...config.extractWorkers.keys()].map((name) => ({ name })) }]);
  const env = [...models.map((model) => functionVariable(model, functionUrls, true)), ...STORE_ENV, ...queueEnv(), ...BUCKET_ENV, ...GOOGLE_ENV];
  const container = roleContainer({ module: 'dist/ingest/wrapper-main.js', roleConfig, env, mounts: [GOOGLE_MOUNT, scratch('data', DATA)] }, context);
  return [roleConfig.configMap, renderService(workload, { ports: HTTP_PORTS }), ...renderDeployment({ workload, pods: config.wrapper.pods, containers: [container] }, context)];
}

/** Headless services over all pods of a role, whatever their model: Prometheus finds its targets by their names. */
export function renderScrapeServices({ config }: RenderContext): Manifest[] {
  return scrapedComponents(config).map((component) =>
    renderService({ component, name: scrapeName(component) }, { ports: HTTP_PORTS, headless: true, unready: true, selector: { ...PART_OF, [COMPONENT_LABEL]: component } }),
  );
}

/** Whose pods answer `/metrics` under one name. */
export function scrapedComponents(config: Config): Component[] {
  return ['gateway', 'wrapper', 'index', ...(config.extractWorkers.size > 0 ? (['worker'] as const) : []), ...(hasOwnAutoscaler(config) ? (['autoscaler'] as const) : [])];
}

/** No name of a model makes another Service of this name. */
export function scrapeName(component: Component): string {
  return `scrape-${component}`;
}
