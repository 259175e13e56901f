/**
 * The kinds of objects that are rendered, as plain values typed by Kubernetes' own schemas. Types only: their validators
 * run in the tests, over everything that is rendered, so that an installed package needs neither.
 */
import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IStatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import type { ICronJob } from 'kubernetes-models/batch/v1/CronJob';
import type { IJob } from 'kubernetes-models/batch/v1/Job';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec';
import type { IProbe } from 'kubernetes-models/v1/Probe';
import type { IService } from 'kubernetes-models/v1/Service';
import type { IVolume } from 'kubernetes-models/v1/Volume';
import type { Route } from './route.js';
import type { ScaledObject } from './scaling.js';

export interface Metadata {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

type Named<Kind> = Omit<Kind, 'metadata' | 'status'> & { readonly metadata: Metadata };

export type Deployment = Named<IDeployment>;
export type StatefulSet = Named<IStatefulSet>;
export type Service = Named<IService>;
export type ConfigMap = Named<IConfigMap>;
export type CronJob = Named<ICronJob>;
export type Job = Named<IJob>;
export type NetworkPolicy = Named<INetworkPolicy>;
export type PodDisruptionBudget = Named<IPodDisruptionBudget>;
export type HorizontalPodAutoscaler = Named<IHorizontalPodAutoscaler>;
export type Manifest = Deployment | StatefulSet | Service | ConfigMap | CronJob | Job | NetworkPolicy | PodDisruptionBudget | HorizontalPodAutoscaler | Route | ScaledObject;

export type Container = IContainer;
export type EnvVar = IEnvVar;
export type PodTemplate = IPodTemplateSpec;
export type Probe = IProbe;
export type Volume = IVolume;

/** Of an object whose kind is not known yet, such as one read from a file or from the cluster. */
export interface ObjectKey {
  readonly kind: string;
  readonly name: string;
}

export function keyOf({ kind, metadata: { name } }: { readonly kind: string; readonly metadata: { readonly name: string } }): ObjectKey {
  return { kind, name };
}

/** `statefulset/index-resnet-2-0`: as kubectl names it, and, with `-` for `/`, as its file is named. */
export function objectId({ kind, name }: ObjectKey): string {
  return `${kind.toLowerCase()}/${name}`;
}
