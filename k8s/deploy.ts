/** From config.json to what runs: render, plan, apply, and then staging is current. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../common/config.js';
import { EisError } from '../common/errors.js';
import { applyFolder } from './apply.js';
import type { Cluster } from './cluster.js';
import { readFolder, recoverFolder, replaceFolder, writeFolder, type Files } from './folder.js';
import type { VectorCounts } from './meaning.js';
import { drainAdvice, makePlan, runningHere, type Plan } from './plan.js';
import { renderFiles } from './render.js';

/** A JSON object of functions' URLs by model, beside the two folders; `eis functions --deploy` writes it. */
const FUNCTION_URLS_FILE = 'function-urls.json';

export interface DeployOptions {
  readonly config: Config;
  /** Of this package. */
  readonly version: string;
  /** Holds `staging/`, `current/` and function-urls.json. */
  readonly folder: string;
}

/** Where a deployment's two folders are. */
export function foldersOf(folder: string): { readonly staging: string; readonly current: string } {
  return { staging: join(folder, 'staging'), current: join(folder, 'current') };
}

/** Renders into `out` alone; returns the files. @throws EisError EIS_SOURCE_UNREADABLE */
export function renderInto(out: string, { config, version, folder }: DeployOptions): Files {
  const files = renderFiles({ config, version, functionUrls: readFunctionUrls(join(folder, FUNCTION_URLS_FILE)) }, readFileSync(config.file, 'utf8'));
  writeFolder(out, files);
  return files;
}

/** Renders into staging and compares it with what runs. */
export function planDeployment(options: DeployOptions, counts: VectorCounts): Plan {
  const { staging, current } = foldersOf(options.folder);
  recoverFolder(current);
  return makePlan({ current: readFolder(current), staging: renderInto(staging, options), config: options.config, counts });
}

export interface ApplyDeploymentOptions extends DeployOptions {
  readonly cluster: Cluster;
  readonly timeoutS: number;
  /** Shards of MongoDB that somebody emptied. */
  readonly drained: readonly string[];
  readonly onStep: (step: string) => void;
}

/**
 * Applies what `planDeployment` rendered, all of it: what is as it should be stays untouched, and what somebody changed in the
 * cluster comes back. When it is done, staging becomes current; until then current says what ran before.
 *
 * @throws EisError EIS_DEPLOY_SHARD, EIS_DEPLOY_SECRETS, EIS_DEPLOY_FUNCTIONS, EIS_DEPLOY_LANE with nothing changed; EIS_DEPLOY_STOPPED
 */
export async function applyDeployment({ config, folder, cluster, timeoutS, drained, onStep }: ApplyDeploymentOptions, { lostShards }: Plan): Promise<void> {
  const [lost] = lostShards.filter((name) => !drained.includes(name));
  if (lost !== undefined) throw new EisError('EIS_DEPLOY_SHARD', { shard: lost, advice: drainAdvice(lost) });
  const { staging, current } = foldersOf(folder);
  await applyFolder({ cluster, folder: staging, staging: readFolder(staging) ?? new Map<string, string>(), current: runningHere(readFolder(current) ?? new Map<string, string>(), config), timeoutS, onStep });
  replaceFolder(staging, current);
}

function readFunctionUrls(file: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return new Map();
  }
  const fail = (detail: string, cause?: unknown): never => {
    throw new EisError('EIS_SOURCE_UNREADABLE', { source: file, detail: `${detail} It must be a JSON object of URLs by model, such as { "resnet": "https://embed-resnet-….run.app" }.` }, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail('it is not JSON.', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('it is no object.');
  for (const [model, url] of Object.entries(value)) if (typeof url !== 'string' || !URL.canParse(url) || !/^https?:/.test(url)) fail(`the URL of ${JSON.stringify(model)} is none.`);
  return new Map(Object.entries(value as Record<string, string>));
}
