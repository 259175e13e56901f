/** The plan: what an apply would change, what that costs, and what it means. */
import { parseConfig, type Config } from '../common/config.js';
import { compareFolders, type Change } from './changes.js';
import { compareCosts, countCronJobs, peakPods, quotaWarnings, totalCost, type Cost, type ServiceCost } from './costs.js';
import type { Files } from './folder.js';
import { explainChanges, explainRisks, type VectorCounts } from './meaning.js';
import { namespaceOf } from './objects-of.js';
import { CONFIG_FILE } from './render.js';

export interface Plan {
  readonly changes: readonly Change[];
  readonly costs: readonly ServiceCost[];
  readonly total: { readonly before: Cost; readonly after: Cost };
  /** The most pods at once while it is applied. */
  readonly peakPods: number;
  /** What the change means, in sentences. */
  readonly meaning: readonly string[];
  readonly warnings: readonly string[];
  /** Shards of MongoDB that would go, with what they hold. */
  readonly lostShards: readonly string[];
}

export interface PlanInput {
  /** What runs; undefined: nothing. */
  readonly current: Files | undefined;
  readonly staging: Files;
  readonly config: Config;
  readonly counts: VectorCounts;
}

export function makePlan({ current: last = new Map(), staging, config, counts }: PlanInput): Plan {
  const current = runningHere(last, config);
  const before = readConfigOf(current, config.file);
  const changes = compareFolders(current, staging);
  const costs = compareCosts(current, staging);
  const total = { before: totalCost(costs.map((cost) => cost.before)), after: totalCost(costs.map((cost) => cost.after)) };
  const peak = changes.length === 0 ? total.after.pods.max : peakPods(current, staging);
  const lostShards = changes.filter(({ change, kind, name }) => change === 'removed' && kind === 'StatefulSet' && name.startsWith('mongo-shard-')).map(({ name }) => name);
  return {
    changes,
    costs,
    total,
    peakPods: peak,
    meaning: before === undefined && current.size > 0 ? explainUnknown(changes) : explainChanges(before, config, counts),
    warnings: [...explainElsewhere(last, config), ...quotaWarnings(total.after, { peak, byTheClock: countCronJobs(staging) }, config.platform), ...explainRisks(before, config), ...lostShards.map((name) => `${name} holds a part of every collection, and would go: drain it first (${drainAdvice(name)}).`)],
    lostShards,
  };
}

/** What of `current` runs in the namespace of this configuration: all of it, or nothing. */
export function runningHere(current: Files, { platform }: Config): Files {
  return namespaceOf(current) === platform.namespace ? current : new Map<string, string>();
}

function explainElsewhere(current: Files, { platform }: Config): string[] {
  const other = namespaceOf(current);
  if (other === undefined || other === platform.namespace) return [];
  const { pods } = totalCost(compareCosts(new Map(), current).map(({ after }) => after));
  return [`What runs so far is in the namespace ${other}: its ${pods.max} pods stay, and go on to cost, beside those that are made in ${platform.namespace}. Two that are to stay side by side each need a folder of their own (--dir); one that is to go: oc delete all,configmap,pdb,networkpolicy -n ${other} -l app.kubernetes.io/managed-by=eis-deploy (disks of MongoDB, RabbitMQ and Prometheus stay).`];
}

/** Where nothing can be told but which objects differ. */
function explainUnknown(changes: readonly Change[]): string[] {
  return changes.length === 0 ? [] : [`What runs was rendered from a ${CONFIG_FILE} that this version cannot read, so what is loaded or embedded anew cannot be told; the objects below are what changes.`];
}

/** How a shard is emptied before it may go. */
export const drainAdvice = (shard: string): string => `db.adminCommand({ removeShard: "${shard}" }) through a router, again and again until its state is "completed"`;

/** The configuration that a folder was rendered from; undefined where it is not there, or not one any more. */
function readConfigOf(files: Files, path: string): Config | undefined {
  const text = files.get(CONFIG_FILE);
  if (text === undefined) return undefined;
  try {
    return parseConfig(text, path);
  } catch {
    return undefined;
  }
}
