/** What the pods of each service ask for, before and after. */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../common/config.js';
import { laneQueue, type Lane } from '../common/lanes.js';
import { hasPods } from './changes.js';
import type { Files } from './folder.js';
import { COMPONENT_LABEL, LANE_LABEL, MODEL_LABEL } from './manifests/names.js';
import type { Manifest, PodTemplate } from './manifests/objects.js';
import { PODS_ANNOTATION } from './manifests/scaling.js';
import { SURGE } from './manifests/workloads.js';
import { objectsOf } from './objects-of.js';

/** Of the least and of the most pods that there may be. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

export interface Cost {
  readonly pods: Range;
  /** CPUs that are asked for. */
  readonly cpu: Range;
  /** MiB that are asked for. */
  readonly memory: Range;
}

export interface ServiceCost {
  /** `gateway resnet`, `index resnet.next`: a component, and the lane of a model where there is one. */
  readonly service: string;
  readonly before: Cost;
  readonly after: Cost;
}

const NONE: Range = { min: 0, max: 0 };
const NOTHING: Cost = { pods: NONE, cpu: NONE, memory: NONE };

/** By service, those of `after` first in their order; Jobs, which end, are left out. */
export function compareCosts(before: Files, after: Files): ServiceCost[] {
  const [old, fresh] = [costsOf(before), costsOf(after)];
  return [...new Set([...fresh.keys(), ...old.keys()])].map((service) => ({ service, before: old.get(service) ?? NOTHING, after: fresh.get(service) ?? NOTHING }));
}

export function totalCost(costs: readonly Cost[]): Cost {
  return costs.reduce(addCosts, NOTHING);
}

/**
 * The most pods at once while the difference is applied, but for those that are ending: new index shards stand beside the old, a
 * Deployment whose pods are replaced has a quarter more of them meanwhile, and a Job that is new has one.
 */
export function peakPods(before: Files, after: Files): number {
  const [old, fresh] = [podsByName(before), podsByName(after)];
  const sum = (entries: readonly PodsOf[], count: (max: number) => number): number => entries.reduce((total, { pods }) => total + count(pods.max), 0);
  const leaving = [...old].filter(([name]) => !fresh.has(name)).map(([, entry]) => entry);
  const replaced = [...fresh].filter(([name, { kind, template }]) => kind === 'Deployment' && old.has(name) && !isDeepStrictEqual(old.get(name)?.template, template)).map(([, entry]) => entry);
  const jobs = objectsOf(after).filter(({ file, object }) => object.kind === 'Job' && !before.has(file)).length;
  return totalCost([...costsOf(after).values()]).pods.max + jobs + sum(leaving, (max) => max) + sum(replaced, (max) => Math.ceil(max * SURGE));
}

/** Pods that come and go by the clock, each alone. */
export function countCronJobs(files: Files): number {
  return objectsOf(files).filter(({ object }) => object.kind === 'CronJob').length;
}

export interface PassingPods {
  readonly peak: number;
  readonly byTheClock: number;
}

/** What is wrong with the whole by the quota, in sentences. */
export function quotaWarnings({ pods: { min, max } }: Cost, { peak, byTheClock }: PassingPods, { quota: { pods: quota } }: Config['platform']): string[] {
  if (quota === undefined) return [];
  if (min > quota) return [`The quota is ${quota} pods, and ${min} are asked for${max > min ? ', without what autoscalers add' : ''}: ${min - quota} will not start. Ask for more, or for fewer pods in config.json.`];
  if (max > quota) return [`The quota is ${quota} pods. ${min} are asked for, and autoscalers may ask for up to ${max}: the last ${max - quota} of those will not start.`];
  if (peak > quota) return [`While this is applied up to ${peak} pods run at once, and the quota is ${quota}: pods will wait for others to end, or for ever where those wait for them.`];
  return max + byTheClock > quota ? [`The quota is ${quota} pods, and ${max} run all the time: none is left for what runs by the clock, which will not start.`] : [];
}

function addCosts(a: Cost, b: Cost): Cost {
  const add = (x: Range, y: Range): Range => ({ min: x.min + y.min, max: x.max + y.max });
  return { pods: add(a.pods, b.pods), cpu: add(a.cpu, b.cpu), memory: add(a.memory, b.memory) };
}

function costsOf(files: Files): Map<string, Cost> {
  const costs = new Map<string, Cost>();
  for (const { service, pods, cpu, memory } of podsByName(files).values()) {
    const scale = (each: number): Range => ({ min: pods.min * each, max: pods.max * each });
    costs.set(service, addCosts(costs.get(service) ?? NOTHING, { pods, cpu: scale(cpu), memory: scale(memory) }));
  }
  return costs;
}

interface PodsOf {
  readonly kind: string;
  readonly service: string;
  readonly pods: Range;
  readonly cpu: number;
  readonly memory: number;
  readonly template: PodTemplate | undefined;
}

function podsByName(files: Files): Map<string, PodsOf> {
  const objects = objectsOf(files).map(({ object }) => object);
  const scaled = new Map(objects.flatMap((object) => scaledRange(object)));
  return new Map(
    objects.filter(hasPods).map(({ kind, metadata: { name, labels }, spec }) => {
      const requests = (spec?.template.spec?.containers ?? []).map(({ resources }) => resources?.requests ?? {});
      const sum = (key: 'cpu' | 'memory'): number => requests.reduce((total, request) => total + Number.parseInt(String(request[key] ?? 0), 10), 0);
      const replicas = spec?.replicas ?? 1;
      const model = labels[MODEL_LABEL];
      return [name, { kind, service: [labels[COMPONENT_LABEL], ...(model === undefined ? [] : [laneQueue(model, (labels[LANE_LABEL] ?? 'main') as Lane)])].join(' '), pods: scaled.get(name) ?? { min: replicas, max: replicas }, cpu: sum('cpu') / 1000, memory: sum('memory'), template: spec?.template }];
    }),
  );
}

function scaledRange(object: Manifest): [name: string, range: Range][] {
  const [, min, max] = /^(\d+)\.\.(\d+)$/.exec((hasPods(object) && object.metadata.annotations?.[PODS_ANNOTATION]) || '') ?? [];
  if (min !== undefined && max !== undefined) return [[object.metadata.name, { min: Number(min), max: Number(max) }]];
  if (object.kind === 'HorizontalPodAutoscaler') return [[object.metadata.name, { min: object.spec?.minReplicas ?? 1, max: object.spec?.maxReplicas ?? 1 }]];
  return object.kind === 'ScaledObject' ? [[object.metadata.name, { min: object.spec.minReplicaCount, max: object.spec.maxReplicaCount }]] : [];
}
