/**
 * Applies a rendered folder to a cluster: phase by phase, each waited for, then what is ours and is not in it any more is
 * removed. Everything may be applied again and again, so an apply that stopped anywhere is gone on with by a new one.
 */
import { join } from 'node:path';
import { EisError } from '../common/errors.js';
import { CommandFailure, type Cluster } from './cluster.js';
import { hasPods } from './changes.js';
import type { Files } from './folder.js';
import { SECRETS } from './manifests/names.js';
import { keyOf, objectId, type Manifest, type ObjectKey } from './manifests/objects.js';
import { objectsOf, type FileObject } from './objects-of.js';
import { isWaitedFor, phaseOf, PHASES } from './phases.js';

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

/** @throws EisError EIS_DEPLOY_SECRETS before anything is changed; EIS_DEPLOY_STOPPED at the first failure, saying where and how to go on */
export async function applyFolder(options: ApplyOptions): Promise<void> {
  const { cluster, staging, onStep } = options;
  let step = 'looking at the cluster';
  const begin = (next: string): void => onStep((step = next));
  try {
    await requireSecrets(cluster);
    const objects = await withoutForeign(objectsOf(staging), cluster, onStep);
    for (const [i, phase] of PHASES.entries()) {
      const members = objects.filter(({ object }) => phaseOf(object) === i);
      if (members.length === 0) continue;
      begin(`${phase.name}: ${members.length} object(s)`);
      await applyPhase(members, options, begin);
    }
    begin('removing what is not part of it any more');
    await prune(objects.map(({ object }) => object), options);
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

/** Leaves Routes out where they are unknown: a Kubernetes that is no OpenShift has other ways in. */
async function withoutForeign(objects: readonly FileObject[], cluster: Cluster, onStep: ApplyOptions['onStep']): Promise<FileObject[]> {
  if (await cluster.hasRoutes()) return [...objects];
  onStep('This cluster has no Routes (it is no OpenShift): the service "nginx" needs another way in, which is yours to make.');
  return objects.filter(({ object }) => object.kind !== 'Route');
}

async function applyPhase(members: readonly FileObject[], { cluster, folder, current, timeoutS }: ApplyOptions, begin: (step: string) => void): Promise<void> {
  const before = new Map(objectsOf(current).map(({ object }) => [objectId(keyOf(object)), object]));
  for (const { object } of members) {
    const replicas = handedOver(before.get(objectId(keyOf(object))), object);
    if (replicas !== undefined) await cluster.handOverReplicas(object, replicas);
  }
  await cluster.apply(members.map(({ file }) => join(folder, file)));
  for (const key of members.map(({ object }) => keyOf(object)).filter(isWaitedFor)) {
    begin(`waiting for ${objectId(key)}`);
    await cluster.waitFor(key, timeoutS);
  }
}

/** How many pods a workload had by our word, that gets an autoscaler now. */
function handedOver(before: Manifest | undefined, after: Manifest): number | undefined {
  return before && hasPods(before) && hasPods(after) && after.spec?.replicas === undefined ? before.spec?.replicas : undefined;
}

/** What asks goes before what is asked: the reverse of the order in which they were applied. */
async function prune(kept: readonly Manifest[], { cluster, current, timeoutS, onStep }: ApplyOptions): Promise<void> {
  const keep = new Set(kept.map((object) => objectId(keyOf(object))));
  const known = objectsOf(current).map(({ object }) => object).filter(({ kind }) => kind !== 'Route' || kept.some((object) => object.kind === 'Route'));
  const kinds = [...new Set([...kept, ...known].map(({ kind }) => kind))].sort();
  const listed = await cluster.listOurs(kinds);
  const gone = listed.filter((object) => !keep.has(objectId(keyOf(object)))).sort((a, b) => phaseOf(b) - phaseOf(a));
  const keys: ObjectKey[] = gone.map((object) => keyOf(object));
  if (keys.length === 0) return;
  onStep(`  ${keys.map(objectId).join(', ')}`);
  // Gateways of before answer what they have begun, by the index shards of before.
  await cluster.waitForLeaving('gateway', timeoutS);
  await cluster.remove(keys);
}
