/**
 * What all pods have in common: clean under OpenShift's `restricted-v2` (any user id, in group 0, nothing to write to but
 * volumes, no capability, no token of the API), spread over nodes, and taken out of their services before they end.
 */
import type { Config } from '../../common/config.js';
import type { Container, EnvVar, PodTemplate, Probe, Volume } from './objects.js';
import { HTTP_PORT, labelsOf, selectorOf, type Workload } from './names.js';
import { resourcesOf } from './sizes.js';

/** What is rendered from. */
export interface RenderContext {
  readonly config: Config;
  /** Of this package. */
  readonly version: string;
  /** By model, as far as they are known. */
  readonly functionUrls: ReadonlyMap<string, string>;
}

/** A file or folder of the pod that another object, or a disk of its own, fills. */
export interface Mount {
  readonly path: string;
  readonly readOnly?: boolean;
  /** Undefined: a disk of a StatefulSet's claim, which is a volume by itself. */
  readonly volume: Volume | { readonly name: string; readonly claim: true };
}

export interface ContainerOptions {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: Readonly<Record<string, number>>;
  readonly probes?: Probes;
  /** Run before the process is told to end, while it still serves. */
  readonly preStop?: readonly string[];
  readonly mounts?: readonly Mount[];
}

export interface Probes {
  /** While it starts, nothing else is asked. */
  readonly startup: Probe;
  /** Whether requests are sent to it. */
  readonly readiness: Probe;
  /** Whether it is to be restarted; never asks for anything that the pod depends on. */
  readonly liveness: Probe;
}

/** Endpoints that are taken out reach every node's proxy, and nginx's, within this time; until then the pod serves on. */
export const DRAIN_S = 10;
/** Drain, what a process of ours may take to close, and some. */
const graceOf = ({ config: { platform } }: RenderContext): number => DRAIN_S + Math.ceil(platform.limits.closeTimeoutMs / 1000) + 5;

const START_TRIES = 40;

/** Every process of ours answers these, and `/healthz` asks nobody. */
export const HTTP_PROBES: Probes = {
  startup: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 3, failureThreshold: START_TRIES, timeoutSeconds: 2 },
  readiness: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 3, failureThreshold: 2, timeoutSeconds: 2 },
  liveness: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5 },
};

/** Half an hour: a database that was not shut down well first repairs its files, a router waits for those that it asks. */
const SLOW_START_TRIES = 600;

/** For servers that say no more than that they listen. */
export function tcpProbes(port: string): Probes {
  const tcpSocket = { port };
  return {
    startup: { tcpSocket, periodSeconds: 3, failureThreshold: SLOW_START_TRIES },
    readiness: { tcpSocket, periodSeconds: 5, failureThreshold: 2 },
    liveness: { tcpSocket, periodSeconds: 20, failureThreshold: 6, timeoutSeconds: 5 },
  };
}

/** A folder of the pod's own, gone with it. */
export function scratch(name: string, path: string): Mount {
  return { path, volume: { name, emptyDir: {} } };
}

/** A whole ConfigMap as a folder. */
export function configMount(configMap: string, path: string, name = 'config'): Mount {
  return { path, readOnly: true, volume: { name, configMap: { name: configMap } } };
}

export function secretMount(secret: string, path: string, name: string): Mount {
  return { path, readOnly: true, volume: { name, secret: { secretName: secret, defaultMode: 0o440 } } };
}

export function renderContainer({ name, image, command, args, env = [], ports = {}, probes, preStop, mounts = [] }: ContainerOptions, workload: Workload, { config }: RenderContext): Container {
  return {
    name,
    image,
    command: [...command],
    ...(args ? { args: [...args] } : {}),
    ...(env.length > 0 ? { env: [...env] } : {}),
    ...(Object.keys(ports).length > 0 ? { ports: Object.entries(ports).map(([portName, containerPort]) => ({ name: portName, containerPort })) } : {}),
    ...(probes ? { startupProbe: probes.startup, readinessProbe: probes.readiness, livenessProbe: probes.liveness } : {}),
    ...(preStop ? { lifecycle: { preStop: { exec: { command: [...preStop] } } } } : {}),
    resources: resourcesOf(workload.component, config.platform.quota.cpuPerPod),
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    ...(mounts.length > 0 ? { volumeMounts: mounts.map(({ path, readOnly, volume }) => ({ name: volume.name, mountPath: path, ...(readOnly ? { readOnly } : {}) })) } : {}),
  };
}

export interface PodOptions {
  readonly workload: Workload;
  readonly containers: readonly ContainerOptions[];
  /** Run to their end, one after the other, before the others start. */
  readonly initContainers?: readonly ContainerOptions[];
  readonly restartPolicy?: 'Always' | 'OnFailure';
  readonly graceS?: number;
  /** What speaks for it to the API of the cluster; default: nothing does, and it has no token. */
  readonly serviceAccount?: string;
}

export function renderPod({ workload, containers, initContainers = [], restartPolicy, graceS, serviceAccount }: PodOptions, context: RenderContext): PodTemplate {
  const volumes = new Map<string, Volume>();
  for (const { mounts = [] } of [...initContainers, ...containers]) for (const { volume } of mounts) if (!('claim' in volume)) volumes.set(volume.name, volume);
  return {
    metadata: { labels: labelsOf(workload) },
    spec: {
      automountServiceAccountToken: serviceAccount !== undefined,
      ...(serviceAccount === undefined ? {} : { serviceAccountName: serviceAccount }),
      // Variables for every service of the namespace: RABBITMQ_PORT and the like would be taken for settings.
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      terminationGracePeriodSeconds: graceS ?? graceOf(context),
      ...(restartPolicy ? { restartPolicy } : {}),
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', labelSelector: { matchLabels: selectorOf(workload) } }],
      ...(initContainers.length > 0 ? { initContainers: initContainers.map((container) => renderContainer(container, workload, context)) } : {}),
      containers: containers.map((container) => renderContainer(container, workload, context)),
      ...(volumes.size > 0 ? { volumes: [...volumes.values()] } : {}),
    },
  };
}

export const HTTP_PORTS = { http: HTTP_PORT };
