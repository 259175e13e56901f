/** `eis deploy`: plan, apply, or render what runs on OpenShift or Kubernetes. */
import { join, resolve } from 'node:path';
import { loadConfig, type Config } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { packageVersion } from '../common/package-root.js';
import { openCluster } from '../k8s/cluster.js';
import { applyDeployment, foldersOf, planDeployment, renderInto } from '../k8s/deploy.js';
import type { VectorCounts } from '../k8s/meaning.js';
import { describePlan } from './deploy-words.js';
import { terminalWidth } from './layout.js';

export interface DeployCommandOptions {
  readonly apply?: boolean;
  readonly render?: boolean;
  readonly out?: string;
  readonly dir: string;
  readonly timeout: number;
  readonly drained?: readonly string[];
  readonly exitCode: boolean;
  readonly json: boolean;
}

const CHANGES_EXIT_CODE = 2;

/** @returns the exit code */
export async function deployCommand(environment: Environment, { apply = false, render = false, out, dir, timeout, drained = [], exitCode, json }: DeployCommandOptions): Promise<number> {
  const config = loadConfig(environment.configFile);
  const folder = resolve(environment.workingDir, dir);
  const options = { config, version: packageVersion(), folder };
  if (render) {
    const target = out === undefined ? foldersOf(folder).staging : resolve(environment.workingDir, out);
    const files = renderInto(target, options);
    print(json ? JSON.stringify({ folder: target, files: [...files.keys()] }) : `${files.size} files in ${target}.`);
    return 0;
  }
  const plan = planDeployment(options, await readCounts(environment, config));
  if (!apply) {
    print(json ? JSON.stringify(plan) : describePlan(plan, config, terminalWidth(process.stdout)).join('\n'));
    return exitCode && plan.changes.length > 0 ? CHANGES_EXIT_CODE : 0;
  }
  if (!json) print(describePlan(plan, config, terminalWidth(process.stdout)).join('\n'));
  await applyDeployment({ ...options, cluster: await openCluster(config.platform.namespace), timeoutS: timeout, drained, onStep: (step) => console.error(step) }, plan);
  print(json ? JSON.stringify({ ...plan, applied: true }) : `Done. ${join(dir, 'current')} says what runs.`);
  return 0;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** How much the store holds, where MONGODB_URI names one and it answers; nothing is written to it. */
async function readCounts({ mongodbUri, limits }: Environment, { models }: Config): Promise<VectorCounts> {
  const counts = new Map<string, { vectors: number; dim: number }>();
  if (mongodbUri === undefined) return counts;
  const { MongoStore } = await import('../common/store/mongo-store.js');
  const store = new MongoStore({ uri: mongodbUri, urlsPerImageMax: limits.urlsPerImageMax, timeoutMs: limits.storeTimeoutMs });
  try {
    for (const { name } of models) {
      const live = await store.liveVersion(name);
      if (live) counts.set(name, { vectors: await store.collection(name, live).count(), dim: live.dim });
    }
  } catch (error) {
    console.error(`The store cannot be asked how much it holds: ${(error as Error).message}`);
  } finally {
    await store.close();
  }
  return counts;
}

