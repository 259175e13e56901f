/** MongoDB as a sharded cluster: config servers, shards of several replicas each, routers, and the Job that joins them. */
import type { Pods } from '../../common/config.js';
import { imageOf, ownImage } from './images.js';
import { LONE_MONGO_SCRIPTS, MONGO_SCRIPTS } from './mongo-scripts.js';
import { labelsOf, resourceName, SECRETS, secretVariable, type Workload } from './names.js';
import type { ConfigMap, EnvVar, Job, Manifest } from './objects.js';
import { platformEnv } from './platform-env.js';
import { configMount, renderPod, scratch, secretMount, tcpProbes, type ContainerOptions, type RenderContext } from './pod.js';
import { contentName } from './role-config.js';
import { STORE_ENV } from './roles.js';
import { DISKS } from './sizes.js';
import { renderConfigMap, renderDeployment, renderService, renderStatefulSet } from './workloads.js';

const PORTS = { mongo: 27_017 };
export const SCRIPTS = '/etc/eis-scripts';
const CONFIG_SET = 'mongo-config';
const INIT_BACKOFF_MAX = 20;
const GRACE_S = 60;
/** For a member that listens to catch up with the others, before the next one of them is replaced. */
const SETTLE_S = 30;

const ROOT_ENV: EnvVar = secretVariable('MONGO_ROOT_PASSWORD', SECRETS.mongo.name, SECRETS.mongo.keys.rootPassword);

export function mongoShardName(shard: number): string {
  return resourceName('mongo-shard', shard);
}

export function renderMongo(context: RenderContext): Manifest[] {
  const { config: { mongo } } = context;
  const scripts = renderScripts(MONGO_SCRIPTS);
  const shards = Array.from({ length: mongo.shards }, (_, i) => mongoShardName(i));
  return [
    scripts,
    ...renderReplicaSet({ workload: { component: 'mongo-config', name: CONFIG_SET }, role: '--configsvr', pods: mongo.configPods, scripts }, context),
    ...shards.flatMap((name) => renderReplicaSet({ workload: { component: 'mongo-shard', name }, role: '--shardsvr', pods: mongo.podsPerShard, scripts }, context)),
    ...renderRouters(mongo.routerPods, scripts, context),
    ...renderInit(shards.map((name) => replicaSetName(name, mongo.podsPerShard)), scripts, context),
  ];
}

/** `mongo-shard-0/mongo-shard-0-0.mongo-shard-0:27017,…`: a replica set as MongoDB names it, its members as DNS does. */
function replicaSetName(name: string, pods: number): string {
  return `${name}/${membersOf(name, pods)}`;
}

function membersOf(name: string, pods: number): string {
  return Array.from({ length: pods }, (_, i) => `${name}-${i}.${name}:${PORTS.mongo}`).join(',');
}

/** What compose runs instead: one process, a replica set of itself, with the same scripts. Its name is `mongo`. */
export function renderLoneMongo(context: RenderContext): Manifest[] {
  const scripts = renderScripts(LONE_MONGO_SCRIPTS);
  return [scripts, ...renderReplicaSet({ workload: { component: 'mongo-shard', name: 'mongo' }, pods: 1, scripts }, context)];
}

function renderScripts(scripts: Readonly<Record<string, string>>): ConfigMap {
  return renderConfigMap({ component: 'mongo-config', name: 'mongo-scripts' }, contentName('mongo-scripts', ...Object.values(scripts)), scripts);
}

interface ReplicaSetOptions {
  readonly workload: Workload;
  /** In a sharded cluster. */
  readonly role?: '--configsvr' | '--shardsvr';
  readonly pods: number;
  readonly scripts: ConfigMap;
}

function mongoContainer(command: readonly string[], scripts: ConfigMap, { config: { platform } }: RenderContext): ContainerOptions {
  return {
    name: 'main',
    image: imageOf('mongo', platform),
    command,
    env: [{ name: 'HOME', value: '/tmp' }],
    ports: PORTS,
    probes: tcpProbes('mongo'),
    mounts: [configMount(scripts.metadata.name, SCRIPTS, 'scripts'), secretMount(SECRETS.mongo.name, '/etc/mongo', 'mongo'), scratch('tmp', '/tmp')],
  };
}

function renderReplicaSet({ workload, role, pods, scripts }: ReplicaSetOptions, context: RenderContext): Manifest[] {
  const { name } = workload;
  const base = mongoContainer(['sh', `${SCRIPTS}/start.sh`, 'mongod', ...(role === undefined ? [] : [role]), '--replSet', name, '--dbpath', '/data/db', '--port', String(PORTS.mongo), '--bind_ip_all'], scripts, context);
  const container: ContainerOptions = {
    ...base,
    env: [...(base.env ?? []), { name: 'REPLICA_SET', value: name }, { name: 'IS_CONFIG_SERVER', value: String(role === '--configsvr') }, { name: 'MEMBERS', value: membersOf(name, pods) }, ROOT_ENV],
    mounts: [...(base.mounts ?? []), { path: '/data/db', volume: { name: 'data', claim: true } }],
  };
  const gibibytes = workload.component === 'mongo-config' ? DISKS['mongo-config'] : DISKS['mongo-shard'];
  return [
    renderService(workload, { ports: PORTS, headless: true, unready: true }),
    ...renderStatefulSet({ workload, pods: { min: pods, max: pods }, serviceName: name, disk: { name: 'data', gibibytes, keep: true }, containers: [container], graceS: GRACE_S, settleS: SETTLE_S }, context),
  ];
}

function renderRouters(pods: Pods, scripts: ConfigMap, context: RenderContext): Manifest[] {
  const workload: Workload = { component: 'mongo-router', name: 'mongo-router' };
  const configdb = replicaSetName(CONFIG_SET, context.config.mongo.configPods);
  const container = mongoContainer(['sh', `${SCRIPTS}/start.sh`, 'mongos', '--configdb', configdb, '--port', String(PORTS.mongo), '--bind_ip_all'], scripts, context);
  return [renderService(workload, { ports: PORTS }), ...renderDeployment({ workload, pods, containers: [container], graceS: GRACE_S }, context)];
}

/**
 * Adds the shards, makes the user of the store, then the store's indexes and shard keys (`eis store init`). Another set of
 * shards, or another image, is another Job, since a Job runs once and cannot be changed; all that it does may be done again.
 */
function renderInit(shards: readonly string[], scripts: ConfigMap, context: RenderContext): Manifest[] {
  const component = 'mongo-init';
  const base = mongoContainer(['mongosh', '--quiet', '--nodb', `${SCRIPTS}/join-shards.js`], scripts, context);
  const join: ContainerOptions = {
    name: 'join-shards',
    image: base.image,
    command: base.command,
    env: [{ name: 'HOME', value: '/tmp' }, { name: 'ROUTER', value: 'mongo-router' }, { name: 'SHARDS', value: shards.join(' ') }, ROOT_ENV, secretVariable('MONGO_PASSWORD', SECRETS.mongo.name, SECRETS.mongo.keys.password)],
    mounts: [configMount(scripts.metadata.name, SCRIPTS, 'scripts'), scratch('tmp', '/tmp')],
  };
  const workload: Workload = { component, name: component };
  const template = renderPod({ workload, restartPolicy: 'OnFailure', initContainers: [join], containers: [storeInitContainer(context)] }, context);
  const job: Job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: contentName(component, JSON.stringify(template)), labels: labelsOf(workload) },
    spec: { backoffLimit: INIT_BACKOFF_MAX, template },
  };
  return [job];
}

/** `eis store init`. */
export function storeInitContainer({ config: { platform }, version }: RenderContext): ContainerOptions {
  return { name: 'main', image: ownImage(platform, version), command: ['node', 'dist/cli.js', 'store', 'init'], env: [...platformEnv(platform), ...STORE_ENV], mounts: [scratch('tmp', '/tmp')] };
}
