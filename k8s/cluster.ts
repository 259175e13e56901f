/** The cluster, through `oc` or `kubectl`, whichever is on the PATH: with the login and the rights of who runs it. */
import { spawn } from 'node:child_process';
import { EisError } from '../common/errors.js';
import { COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, type Component } from './manifests/names.js';
import { objectId, type ObjectKey } from './manifests/objects.js';
import type { ObjectHeader } from './phases.js';

const TOOLS = ['oc', 'kubectl'] as const;
const FIELD_MANAGER = 'eis-deploy';
const ROUTE_API = 'route.openshift.io';
const RBAC_API = 'rbac.authorization.k8s.io';
/** The last of what a command says in failing. */
const DETAIL_CHARACTERS_MAX = 2_000;

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What an apply does to a cluster. Every method throws `CommandFailure`. */
export interface Cluster {
  /** Whether it is an OpenShift, which alone has Routes. */
  hasRoutes(): Promise<boolean>;
  existingSecrets(names: readonly string[]): Promise<string[]>;
  /** Server-side: what is as the files say stays untouched. */
  apply(files: readonly string[]): Promise<void>;
  /** Hands the number of pods over to an autoscaler: left out of what we apply, it would fall to one. */
  handOverReplicas(object: ObjectHeader, replicas: number): Promise<void>;
  /** Waits until the pods of a workload are ready, or a Job is complete. */
  waitFor(object: ObjectKey, timeoutS: number): Promise<void>;
  /** Waits until pods of this component that are ending have ended. */
  waitForLeaving(component: Component, timeoutS: number): Promise<void>;
  /** Every object of these kinds that an apply of ours made. */
  listOurs(kinds: readonly string[]): Promise<ObjectHeader[]>;
  remove(objects: readonly ObjectKey[]): Promise<void>;
}

/** A command that did not end well. */
export class CommandFailure extends Error {
  constructor(command: readonly string[], detail: string) {
    super(`"${command.join(' ')}" failed: ${detail.trim().slice(-DETAIL_CHARACTERS_MAX) || 'it said nothing.'}`);
    this.name = 'CommandFailure';
  }
}

/**
 * @param namespace that everything is in
 * @throws EisError EIS_DEPLOY_TOOL when neither tool is there
 */
export async function openCluster(namespace: string): Promise<Cluster> {
  for (const tool of TOOLS) if (await runs(tool)) return createCluster((args, input) => demand(tool, ['-n', namespace, ...args], input));
  throw new EisError('EIS_DEPLOY_TOOL', {});
}

interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
}

type Call = (args: readonly string[], input?: string) => Promise<string>;

function createCluster(call: Call): Cluster {
  return {
    async hasRoutes() {
      return (await call(['api-resources', `--api-group=${ROUTE_API}`, '-o', 'name'])).trim() !== '';
    },
    async existingSecrets(names) {
      const found = await call(['get', 'secret', ...names, '--ignore-not-found', '-o', 'name']);
      return names.filter((name) => found.split('\n').includes(`secret/${name}`));
    },
    async apply(files) {
      await call(['apply', '--server-side', '--force-conflicts', `--field-manager=${FIELD_MANAGER}`, ...files.flatMap((file) => ['-f', file])]);
    },
    async handOverReplicas({ apiVersion, kind, metadata: { name } }, replicas) {
      await call(['apply', '--server-side', '--field-manager=eis-handover', '-f', '-'], JSON.stringify({ apiVersion, kind, metadata: { name }, spec: { replicas } }));
    },
    async waitFor(object, timeoutS) {
      const id = objectId(object);
      await call(object.kind === 'Job' ? ['wait', '--for=condition=complete', id, `--timeout=${timeoutS}s`] : ['rollout', 'status', id, `--timeout=${timeoutS}s`]);
    },
    async waitForLeaving(component, timeoutS) {
      const { items } = JSON.parse(await call(['get', 'pods', '-l', `${COMPONENT_LABEL}=${component},${MANAGED_BY_LABEL}=${MANAGED_BY}`, '-o', 'json'])) as { readonly items: readonly Pod[] };
      const leaving = items.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(({ metadata: { name } }) => `pod/${name}`);
      if (leaving.length > 0) await call(['wait', '--for=delete', ...leaving, `--timeout=${timeoutS}s`]);
    },
    async listOurs(kinds) {
      const listed = JSON.parse(await call(['get', kinds.map(resourceOf).join(','), '-l', `${MANAGED_BY_LABEL}=${MANAGED_BY}`, '-o', 'json'])) as { readonly items: readonly ObjectHeader[] };
      return [...listed.items];
    },
    async remove(objects) {
      await call(['delete', '--ignore-not-found', '--wait=true', ...objects.map(({ kind, name }) => `${resourceOf(kind)}/${name}`)]);
    },
  };
}

/** What a kind is called on the command line, with its group where others have a kind of that name. */
function resourceOf(kind: string): string {
  const groups: Readonly<Record<string, string>> = { Route: `.${ROUTE_API}`, ScaledObject: '.keda.sh', Role: `.${RBAC_API}`, RoleBinding: `.${RBAC_API}` };
  return `${kind.toLowerCase()}${groups[kind] ?? ''}`;
}

async function runs(tool: string): Promise<boolean> {
  try {
    return (await run(tool, ['version', '--client'])).code === 0;
  } catch {
    return false;
  }
}

async function demand(tool: string, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(tool, args, input);
  if (code !== 0) throw new CommandFailure([tool, ...args], stderr || stdout || `it ended with ${code}.`);
  return stdout;
}

function run(tool: string, args: readonly string[], input = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const texts = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) child[stream].setEncoding('utf8').on('data', (text: string) => (texts[stream] += text));
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code: code ?? 1, ...texts, ...(signal ? { stderr: `${texts.stderr}\nIt was ended by ${signal}.` } : {}) }));
    child.stdin.on('error', () => undefined); // A tool that ends without reading says so by its code.
    child.stdin.end(input);
  });
}

