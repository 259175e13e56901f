/** The order in which objects are applied: what others need comes first, and is waited for. Removing goes the other way. */
import { COMPONENT_LABEL, type Component } from './manifests/names.js';
import type { ObjectKey } from './manifests/objects.js';

/** What is known of any object. */
export interface ObjectHeader {
  readonly apiVersion?: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>>; readonly ownerReferences?: readonly object[] };
}

export interface Phase {
  readonly name: string;
  has(object: ObjectHeader): boolean;
}

/** Each has the name of what it scales. */
export const AUTOSCALERS: readonly string[] = ['HorizontalPodAutoscaler', 'ScaledObject'];
const PASSIVE: readonly string[] = ['ConfigMap', 'Service', 'NetworkPolicy', 'PodDisruptionBudget'];

const ofComponents =
  (...components: readonly Component[]) =>
  (object: ObjectHeader): boolean =>
    (components as readonly string[]).includes(object.metadata.labels?.[COMPONENT_LABEL] ?? '');

/**
 * Gateways come after the index shards that they ask: with another `num_indexes` the new set of shards is ready beside the
 * old before the first gateway asks it, and the old is removed in the end. An object belongs to the first phase that has it.
 */
export const PHASES: readonly Phase[] = [
  { name: 'settings and services', has: ({ kind }) => PASSIVE.includes(kind) },
  { name: 'autoscaling', has: ({ kind }) => AUTOSCALERS.includes(kind) },
  { name: 'MongoDB and RabbitMQ', has: ofComponents('mongo-config', 'mongo-shard', 'rabbitmq') },
  { name: 'routers of MongoDB', has: ofComponents('mongo-router') },
  { name: 'shards and indexes of MongoDB', has: ofComponents('mongo-init') },
  { name: 'index shards', has: ofComponents('index') },
  { name: 'wrapper and workers', has: ofComponents('wrapper', 'worker') },
  { name: 'gateways', has: ofComponents('gateway') },
  { name: 'nginx, Prometheus, and what runs by the clock', has: () => true },
];

/** The index in `PHASES` of the one that an object belongs to. */
export function phaseOf(object: ObjectHeader): number {
  return PHASES.findIndex((phase) => phase.has(object));
}

/** Whether an object is not done when it is applied, but when its pods are ready or its work is. */
export function isWaitedFor({ kind }: ObjectKey): boolean {
  return ['Deployment', 'StatefulSet', 'Job'].includes(kind);
}
