/** RabbitMQ: a cluster whose nodes know each other by name, so that its quorum queues survive the loss of a minority. */
import { imageOf } from './images.js';
import { RABBITMQ, SECRETS, secretVariable, type Workload } from './names.js';
import type { Manifest } from './objects.js';
import { configMount, scratch, tcpProbes, type Probes, type RenderContext } from './pod.js';
import { contentName } from './role-config.js';
import { DISKS, SIZES } from './sizes.js';
import { renderConfigMap, renderService, renderStatefulSet } from './workloads.js';

/** The headless service over its nodes. */
export const RABBITMQ_NODES = 'rabbitmq-nodes';
const DATA = '/var/lib/rabbitmq';
/** Of the cookie: not on the disk, whose files are opened to their group whenever it is mounted (fsGroup). */
const HOME = '/tmp';
const FOLDER = '/etc/rabbitmq';
export const RABBITMQ_METRICS_PORT = 15_692;
const PORTS = { amqp: 5672, epmd: 4369, dist: 25_672, metrics: RABBITMQ_METRICS_PORT };
/**
 * A node without a majority closes its AMQP port, and one that starts opens it when it has found the others: so that says whether
 * it is ready, and Erlang's own port, which is always open, whether it lives.
 */
const PROBES: Probes = { ...tcpProbes('dist'), readiness: tcpProbes('amqp').readiness };
/** Of a quorum queue, as many as it is made with where there are nodes for them. */
const QUEUE_MEMBERS = 3;
/** What was written last is in memory, too: a quarter of the memory with which a node still takes messages (60 % of it). */
const WAL_BYTES_MAX = 256 * 1024 * 1024;
/** Share of its disk that it leaves free: below that, it takes in no more. */
const DISK_FREE_SHARE = 0.2;
/** A node that leaves waits until every quorum queue can do without it. */
const LEAVE_S = 60;

export function renderRabbitmq(context: RenderContext): Manifest[] {
  const { config: { platform, rabbitmq: { pods } } } = context;
  const workload: Workload = { component: 'rabbitmq', name: RABBITMQ };
  const files = { 'rabbitmq.conf': renderConf(pods, platform.namespace), enabled_plugins: '[rabbitmq_prometheus].\n', 'start.sh': START };
  const configMap = contentName(workload.name, ...Object.values(files));
  const container = {
    name: 'main',
    image: imageOf('rabbitmq', platform),
    command: ['sh', `${FOLDER}/start.sh`],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'HOME', value: HOME },
      { name: 'RABBITMQ_USE_LONGNAME', value: 'true' },
      { name: 'RABBITMQ_NODENAME', value: `rabbit@$(POD_NAME).${RABBITMQ_NODES}.${platform.namespace}` },
      { name: 'RABBITMQ_MNESIA_BASE', value: `${DATA}/mnesia` },
      { name: 'RABBITMQ_LOGS', value: '-' },
      { name: 'RABBITMQ_CONFIG_FILE', value: `${FOLDER}/rabbitmq` },
      { name: 'RABBITMQ_ENABLED_PLUGINS_FILE', value: `${FOLDER}/enabled_plugins` },
      { name: 'RABBITMQ_DEFAULT_USER', value: 'eis' },
      secretVariable('RABBITMQ_DEFAULT_PASS', SECRETS.rabbitmq.name, SECRETS.rabbitmq.keys.password),
      secretVariable('CLUSTER_COOKIE', SECRETS.rabbitmq.name, SECRETS.rabbitmq.keys.cookie),
    ],
    ports: PORTS,
    probes: PROBES,
    preStop: ['sh', '-c', `rabbitmq-upgrade await_online_quorum_plus_one -t ${LEAVE_S} || true`],
    mounts: [configMount(configMap, FOLDER), { path: DATA, volume: { name: 'data', claim: true as const } }, scratch('tmp', '/tmp')],
  };
  return [
    renderConfigMap(workload, configMap, files),
    renderService(workload, { ports: { amqp: PORTS.amqp } }),
    renderService(workload, { name: RABBITMQ_NODES, ports: PORTS, headless: true, unready: true }),
    ...renderStatefulSet({ workload, pods: { min: pods, max: pods }, serviceName: RABBITMQ_NODES, disk: { name: 'data', gibibytes: DISKS.rabbitmq, keep: true }, containers: [container], graceS: LEAVE_S + 30 }, context),
  ];
}

/** Erlang takes the cookie from a file that nobody else may read; one of a container before this one is made anew. */
const START = `#!/bin/sh
set -eu
umask 077
rm -f "$HOME/.erlang.cookie"
printf %s "$CLUSTER_COOKIE" > "$HOME/.erlang.cookie"
exec rabbitmq-server
`;

function renderConf(pods: number, namespace: string): string {
  return [
    'cluster_formation.peer_discovery_backend = classic_config',
    ...Array.from({ length: pods }, (_, i) => `cluster_formation.classic_config.nodes.${i + 1} = rabbit@rabbitmq-${i}.${RABBITMQ_NODES}.${namespace}`),
    '# A part of the cluster without a majority stops, instead of taking what is lost when the parts meet again.',
    'cluster_partition_handling = pause_minority',
    '# Queues get members on nodes that were added, and lose those on nodes that were forgotten.',
    'quorum_queue.continuous_membership_reconciliation.enabled = true',
    `quorum_queue.continuous_membership_reconciliation.target_group_size = ${QUEUE_MEMBERS}`,
    'quorum_queue.continuous_membership_reconciliation.auto_remove = true',
    '# What the container may have, which it may not find out; and when the disk is full.',
    `total_memory_available_override_value = ${SIZES.rabbitmq.memoryMax}MiB`,
    `raft.wal_max_size_bytes = ${WAL_BYTES_MAX}`,
    `disk_free_limit.absolute = ${Math.floor(DISKS.rabbitmq * 1024 * DISK_FREE_SHARE)}MiB`,
    'listeners.tcp.default = 5672',
    `prometheus.tcp.port = ${RABBITMQ_METRICS_PORT}`,
    '',
  ].join('\n');
}
