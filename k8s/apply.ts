/**
 * Applies a rendered folder to a cluster: phase by phase, each waited for, then what is ours and is not in it any more is
 * removed. Everything may be applied again and again, so an apply that stopped anywhere is gone on with by a new one.
 */
import { join } from 'node:path';
import { EisError } from '../common/errors.js';
import { CommandFailure, isForeign, type Cluster } from './cluster.js';
import { hasPods } from './changes.js';
import type { Files } from './folder.js';
import { FUNCTION_URLS, SECRETS } from './manifests/names.js';
import { keyOf, objectId, type Manifest, type ObjectKey } from './manifests/objects.js';
import { objectsOf, type FileObject } from './objects-of.js';
import { AUTOSCALERS, isWaitedFor, phaseOf, PHASES, type ObjectHeader } from './phases.js';
import { endingLanes, requireUnsearched } from './second-lanes.js';

export interface ApplyOptions {
  readonly cluster: Cluster;
  /** Where the files of `staging` lie. */
  readonly folder: string;
  readonly staging: Files;
  /** What runs, as far as is known. */
  readonly current: Files;
  /** For one workload to be ready. */
  readonly timeoutS: number;
  /** Told what is done next. */
  readonly onStep: (step: string) => void;
}

/** @throws EisError EIS_DEPLOY_SECRETS, EIS_DEPLOY_FUNCTIONS, EIS_DEPLOY_LANE before anything is changed; EIS_DEPLOY_STOPPED at the first failure, saying where and how to go on */
export async function applyFolder(options: ApplyOptions): Promise<void> {
  const { cluster, staging, onStep } = options;
  let step = 'looking at the cluster';
  const begin = (next: string): void => onStep((step = next));
  try {
    await requireSecrets(cluster);
    await requireFunctions(objectsOf(staging), cluster);
    const foreign = await cluster.foreignKinds();
    const objects = withoutRoutes(objectsOf(staging), foreign, onStep);
    const kept = objects.map(({ object }) => object);
    const gone = await findGone(kept, foreign, options);
    await requireUnsearched(endingLanes(gone, kept), cluster);
    await removeAutoscalers(gone, kept, { cluster, begin });
    for (const [i, phase] of PHASES.entries()) {
      const members = objects.filter(({ object }) => phaseOf(object) === i);
      if (members.length === 0) continue;
      begin(`${phase.name}: ${members.length} object(s)`);
      await applyPhase(members, options, begin);
    }
    begin('removing what is not part of it any more');
    await prune(await findGone(kept, foreign, options), options);
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    throw new EisError('EIS_DEPLOY_STOPPED', { step, detail: error.message }, { cause: error });
  }
}

async function requireSecrets(cluster: Cluster): Promise<void> {
  const required = [SECRETS.mongo, SECRETS.rabbitmq, SECRETS.bucket, SECRETS.google];
  const existing = await cluster.existingSecrets(required.map(({ name }) => name));
  const missing = required.filter(({ name }) => !existing.includes(name));
  if (missing.length > 0) throw new EisError('EIS_DEPLOY_SECRETS', { missing: missing.map(({ name, keys }) => ({ name, keys: Object.values(keys) })) });
}

/** A pod whose variable stands nowhere does not start, and would be waited for in vain. */
async function requireFunctions(objects: readonly FileObject[], cluster: Cluster): Promise<void> {
  const containers = objects.flatMap(({ object }) => (hasPods(object) ? (object.spec?.template.spec?.containers ?? []) : []));
  const asked = containers.flatMap(({ env = [] }) => env.flatMap(({ valueFrom }) => (valueFrom?.configMapKeyRef?.name === FUNCTION_URLS && !valueFrom.configMapKeyRef.optional ? [valueFrom.configMapKeyRef.key] : [])));
  if (asked.length === 0) return;
  const known = await cluster.configKeys(FUNCTION_URLS);
  const missing = [...new Set(asked)].filter((key) => !known.includes(key));
  if (missing.length > 0) throw new EisError('EIS_DEPLOY_FUNCTIONS', { missing });
}

/** Leaves Routes out where they are unknown: a Kubernetes that is no OpenShift has other ways in. */
function withoutRoutes(objects: readonly FileObject[], foreign: readonly string[], onStep: ApplyOptions['onStep']): readonly FileObject[] {
  if (foreign.includes('Route')) return objects;
  onStep('This cluster has no Routes (it is no OpenShift): the service "nginx" needs another way in, which is yours to make. Nor does it give pods a user and a group: see README.md.');
  return objects.filter(({ object }) => object.kind !== 'Route');
}

async function applyPhase(members: readonly FileObject[], { cluster, folder, current, timeoutS }: ApplyOptions, begin: (step: string) => void): Promise<void> {
  const before = new Map(objectsOf(current).map(({ object }) => [objectId(keyOf(object)), object]));
  for (const { object } of members) {
    if (isHandedOver(before.get(objectId(keyOf(object))), object)) await cluster.handOverReplicas(object);
    if (object.kind === 'Job') await cluster.removeIfFailed(keyOf(object));
  }
  await cluster.apply(members.map(({ file }) => join(folder, file)));
  for (const key of members.map(({ object }) => keyOf(object)).filter(isWaitedFor)) {
    begin(`waiting for ${objectId(key)}`);
    await cluster.waitFor(key, timeoutS);
  }
}

/** Whether a workload gets an autoscaler that, as far as we know, had none. */
function isHandedOver(before: Manifest | undefined, after: Manifest): boolean {
  return hasPods(after) && after.spec?.replicas === undefined && !(before && hasPods(before) && before.spec?.replicas === undefined);
}

/** Kinds of which something may be left whatever `current` says: of an apply that stopped, and was not gone on with. */
const KINDS: readonly string[] = ['ConfigMap', 'CronJob', 'Deployment', 'HorizontalPodAutoscaler', 'Job', 'NetworkPolicy', 'PodDisruptionBudget', 'Service', 'StatefulSet'];

/** What is in the cluster, ours, and not part of it any more. What asks comes before what is asked: the reverse of the order in which they were applied. */
async function findGone(kept: readonly Manifest[], foreign: readonly string[], { cluster, current }: ApplyOptions): Promise<ObjectHeader[]> {
  const keep = new Set(kept.map((object) => objectId(keyOf(object))));
  const known = [...kept, ...objectsOf(current).map(({ object }) => object)].map(({ kind }) => kind).filter((kind) => !isForeign(kind) || foreign.includes(kind));
  const listed = await cluster.listOurs([...new Set([...KINDS, ...known])].sort());
  return listed.filter((object) => !keep.has(objectId(keyOf(object)))).sort((a, b) => phaseOf(b) - phaseOf(a));
}

/** Autoscalers go before what they scale is applied: else they would set back its number of pods, and KEDA takes no workload that has another. */
async function removeAutoscalers(gone: readonly ObjectHeader[], kept: readonly Manifest[], { cluster, begin }: { readonly cluster: Cluster; readonly begin: (step: string) => void }): Promise<void> {
  const staying = new Set(kept.filter(hasPods).map(({ metadata: { name } }) => name));
  const keys = gone.filter(({ kind, metadata: { name } }) => AUTOSCALERS.includes(kind) && staying.has(name)).map(keyOf);
  if (keys.length === 0) return;
  begin(`removing autoscalers: ${keys.map(objectId).join(', ')}`);
  await cluster.remove(keys);
}

async function prune(gone: readonly ObjectHeader[], { cluster, timeoutS, onStep }: ApplyOptions): Promise<void> {
  const keys: ObjectKey[] = gone.map((object) => keyOf(object));
  if (keys.length === 0) return;
  onStep(`  ${keys.map(objectId).join(', ')}`);
  // Gateways of before answer what they have begun, by the index shards of before.
  await cluster.waitForLeaving('gateway', timeoutS);
  await cluster.remove(keys);
}
