/** What scales pods where config.json gives a range of them: an autoscaler by CPU, KEDA by the length of a queue, or a process of our own (`autoscaler.ts`). */
import { Type, type Static } from 'typebox';
import type { Config, Pods } from '../../common/config.js';
import { labelsOf, type Component, type Workload } from './names.js';
import type { HorizontalPodAutoscaler } from './objects.js';

const CPU_PERCENT = 70;
/** Messages that one worker is thought to be enough for. */
const MESSAGES_PER_WORKER = 200;

/** A ScaledObject of KEDA as far as it is used here; its kind exists where an administrator installed KEDA. */
export const ScaledObjectSchema = Type.Object(
  {
    apiVersion: Type.Literal('keda.sh/v1alpha1'),
    kind: Type.Literal('ScaledObject'),
    metadata: Type.Object({ name: Type.String(), labels: Type.Record(Type.String(), Type.String()) }, { additionalProperties: false }),
    spec: Type.Object(
      {
        scaleTargetRef: Type.Object({ apiVersion: Type.String(), kind: Type.String(), name: Type.String() }, { additionalProperties: false }),
        minReplicaCount: Type.Integer({ minimum: 0 }),
        maxReplicaCount: Type.Integer({ minimum: 1 }),
        triggers: Type.Array(Type.Object({ type: Type.Literal('rabbitmq'), metadata: Type.Record(Type.String(), Type.String()) }, { additionalProperties: false }), { minItems: 1 }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);
export type ScaledObject = Static<typeof ScaledObjectSchema>;

/** What `eis autoscale` scales: it knows no measure for the others. */
const OWN_SCALED: readonly Component[] = ['gateway', 'worker'];

export function isAutoscaled(component: Component, { min, max }: Pods, { autoscaling }: Config['platform']): boolean {
  return autoscaling !== 'none' && min < max && (autoscaling !== 'eis' || OWN_SCALED.includes(component));
}

/** Whether `eis autoscale` has something to scale: it runs nowhere else. */
export function hasOwnAutoscaler({ serving, extractWorkers, platform }: Config): boolean {
  const isScaled = (component: Component, services: ReadonlyMap<string, { readonly pods: Pods }>): boolean => [...services.values()].some(({ pods }) => isAutoscaled(component, pods, platform));
  return platform.autoscaling === 'eis' && (isScaled('gateway', serving) || isScaled('worker', extractWorkers));
}

/** On a workload that no object of its own scales: its range, for whoever counts what it may cost. */
export const PODS_ANNOTATION = 'elastic-image-search/pods';

/** @returns annotations of a workload */
export function rangeAnnotation(component: Component, pods: Pods, platform: Config['platform']): { annotations?: Record<string, string> } {
  return platform.autoscaling === 'eis' && isAutoscaled(component, pods, platform) ? { annotations: { [PODS_ANNOTATION]: `${pods.min}..${pods.max}` } } : {};
}

export function renderCpuScaler(workload: Workload, kind: 'Deployment' | 'StatefulSet', { min, max }: Pods): HorizontalPodAutoscaler {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: workload.name, labels: labelsOf(workload) },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind, name: workload.name },
      minReplicas: min,
      maxReplicas: max,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: CPU_PERCENT } } }],
    },
  };
}

/** The scaler of a Deployment by the length of `queue`, whose broker is read from AMQP_URL of the scaled pods. */
export function renderQueueScaler(workload: Workload, { min, max }: Pods, queue: string): ScaledObject {
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: { name: workload.name, labels: labelsOf(workload) },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: workload.name },
      minReplicaCount: min,
      maxReplicaCount: max,
      triggers: [{ type: 'rabbitmq', metadata: { protocol: 'amqp', hostFromEnv: 'AMQP_URL', queueName: queue, mode: 'QueueLength', value: String(MESSAGES_PER_WORKER) } }],
    },
  };
}
