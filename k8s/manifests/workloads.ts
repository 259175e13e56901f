/** Deployments and StatefulSets around pods, and what belongs to each: its services, its disruption budget, its autoscaler. */
import type { Pods } from '../../common/config.js';
import { labelsOf, selectorOf, type Component, type Workload } from './names.js';
import type { ConfigMap, Deployment, Manifest, PodDisruptionBudget, Service, StatefulSet } from './objects.js';
import { renderPod, type PodOptions, type RenderContext } from './pod.js';
import { isAutoscaled, renderCpuScaler } from './scaling.js';

export interface ServiceOptions {
  readonly name?: string;
  readonly ports: Readonly<Record<string, number>>;
  /** Its name stands for every pod's address, instead of for one of its own. */
  readonly headless?: boolean;
  /** Also for pods that are not ready: members of a cluster find each other before they are. */
  readonly unready?: boolean;
  /** Which pods; default: those of the workload. */
  readonly selector?: Readonly<Record<string, string>>;
}

export function renderService(workload: Workload, { name = workload.name, ports, headless = false, unready = false, selector = selectorOf(workload) }: ServiceOptions): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, labels: labelsOf(workload) },
    spec: {
      ...(headless ? { clusterIP: 'None' } : {}),
      ...(unready ? { publishNotReadyAddresses: true } : {}),
      selector: { ...selector },
      ports: Object.entries(ports).map(([portName, port]) => ({ name: portName, port, targetPort: portName })),
    },
  };
}

/** Never changed once made: what is in it is part of its name (see `contentName`). */
export function renderConfigMap(workload: Workload, name: string, data: Readonly<Record<string, string>>): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: labelsOf(workload) }, immutable: true, data: { ...data } };
}

export interface WorkloadOptions extends PodOptions {
  readonly pods: Pods;
  /** What scales it where `pods` is a range; default: its CPU. */
  readonly renderScaler?: (workload: Workload, kind: 'Deployment' | 'StatefulSet', pods: Pods) => Manifest;
}

/** New pods of a Deployment beside the old, as a share of what it has. */
export const SURGE = 0.25;

/** A Deployment with its disruption budget and, where `pods` is a range, its autoscaler by CPU. */
export function renderDeployment({ pods, renderScaler = renderCpuScaler, ...pod }: WorkloadOptions, context: RenderContext): Manifest[] {
  const deployment: Deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: pod.workload.name, labels: labelsOf(pod.workload) },
    spec: {
      ...replicasOf(pods, context),
      selector: { matchLabels: selectorOf(pod.workload) },
      // A new pod is ready before an old one goes.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: `${SURGE * 100}%` } },
      template: renderPod(pod, context),
    },
  };
  return [deployment, ...renderCompanions(pod.workload, { kind: 'Deployment', pods, renderScaler }, context)];
}

export interface StatefulSetOptions extends WorkloadOptions {
  /** The headless service that names the pods. */
  readonly serviceName: string;
  /** The disk of each pod, mounted by its name. */
  readonly disk: { readonly name: string; readonly gibibytes: number; readonly keep: boolean };
  /** How long a pod is ready before the next one is replaced. */
  readonly settleS?: number;
}

/** A StatefulSet likewise. With `disk.keep`, disks outlive the pods and the set; else they go with them. */
export function renderStatefulSet({ pods, renderScaler = renderCpuScaler, serviceName, disk, settleS = 0, ...pod }: StatefulSetOptions, context: RenderContext): Manifest[] {
  const retention = disk.keep ? 'Retain' : 'Delete';
  const set: StatefulSet = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: pod.workload.name, labels: labelsOf(pod.workload) },
    spec: {
      ...replicasOf(pods, context),
      serviceName,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'RollingUpdate' },
      ...(settleS > 0 ? { minReadySeconds: settleS } : {}),
      persistentVolumeClaimRetentionPolicy: { whenDeleted: retention, whenScaled: retention },
      selector: { matchLabels: selectorOf(pod.workload) },
      template: renderPod(pod, context),
      volumeClaimTemplates: [{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: disk.name }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: `${disk.gibibytes}Gi` } } } }],
    },
  };
  return [set, ...renderCompanions(pod.workload, { kind: 'StatefulSet', pods, renderScaler }, context)];
}

/** An autoscaled workload does not say how many it is: every apply would set that back. */
function replicasOf(pods: Pods, { config: { platform } }: RenderContext): { replicas?: number } {
  return isAutoscaled(pods, platform) ? {} : { replicas: pods.min };
}

interface Companions extends Required<Pick<WorkloadOptions, 'pods' | 'renderScaler'>> {
  readonly kind: 'Deployment' | 'StatefulSet';
}

function renderCompanions(workload: Workload, { kind, pods, renderScaler }: Companions, { config: { platform } }: RenderContext): Manifest[] {
  const scaled = isAutoscaled(pods, platform);
  return [...((scaled ? pods.max : pods.min) > 1 ? [renderBudget(workload)] : []), ...(scaled ? [renderScaler(workload, kind, pods)] : [])];
}

/** They hold what no other has: one that is not well may be on its way back, and another should not be lost meanwhile. */
const MEMBERS_OF_QUORUMS: readonly Component[] = ['mongo-config', 'mongo-shard', 'rabbitmq'];

/** Nodes are drained one pod of a workload at a time, and pods that are not ready do not hold that up. A single pod has no budget: it would hold up a drain for ever. */
function renderBudget(workload: Workload): PodDisruptionBudget {
  const policy = MEMBERS_OF_QUORUMS.includes(workload.component) ? {} : ({ unhealthyPodEvictionPolicy: 'AlwaysAllow' } as const);
  return { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: workload.name, labels: labelsOf(workload) }, spec: { maxUnavailable: 1, ...policy, selector: { matchLabels: selectorOf(workload) } } };
}
