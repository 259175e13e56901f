/** The cluster, through `oc` or `kubectl`, whichever is on the PATH: with the login and the rights of who runs it. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { EisError } from '../common/errors.js';
import type { QueuesAnswer, ReembeddingStatus } from '../common/wire-queues.js';
import { COMPONENT_LABEL, httpUrl, MANAGED_BY, MANAGED_BY_LABEL, WRAPPER, type Component } from './manifests/names.js';
import { objectId, type ObjectKey } from './manifests/objects.js';
import type { ObjectHeader } from './phases.js';

const TOOLS = ['oc', 'kubectl'] as const;
const FIELD_MANAGER = 'eis-deploy';
/** Of kinds that not every cluster has, the API that brings them. */
const FOREIGN_APIS: Readonly<Record<string, string>> = { Route: 'route.openshift.io', ScaledObject: 'keda.sh' };
/** A command line has an end (ARG_MAX), and thousands of shards have more files than that. */
const PER_CALL_MAX = 100;
const JOB_POLL_MS = 2_000;
/** Every cluster has them, and some have others of their name. */
const RBAC_API = 'rbac.authorization.k8s.io';
const APIS: Readonly<Record<string, string>> = { ...FOREIGN_APIS, Role: RBAC_API, RoleBinding: RBAC_API };
/** What Node runs in a pod of the wrapper: it writes what that answers, and fails when that does. */
const ASK_QUEUES = `fetch('${httpUrl('127.0.0.1')}/queues').then(async (answer) => { console.log(await answer.text()); process.exitCode = answer.ok ? 0 : 1; })`;
/** The last of what a command says in failing. */
const DETAIL_CHARACTERS_MAX = 2_000;

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What an apply does to a cluster. Every method throws `CommandFailure`. */
export interface Cluster {
  /** Of the kinds that not every cluster has (`isForeign`), those that this one has: an OpenShift has Routes. */
  foreignKinds(): Promise<string[]>;
  existingSecrets(names: readonly string[]): Promise<string[]>;
  /** What a ConfigMap holds something for; none: there is no such ConfigMap. */
  configKeys(configMap: string): Promise<string[]>;
  /** The re-embeddings that are under way, as the wrapper says. It is asked in its own pod, because it answers no other namespace. */
  reembeddings(): Promise<readonly ReembeddingStatus[]>;
  /** Server-side: what is as the files say stays untouched. */
  apply(files: readonly string[]): Promise<void>;
  /** Lets a workload that is there keep its number of pods for an autoscaler: left out of what we apply, it would fall to one. */
  handOverReplicas(object: ObjectHeader): Promise<void>;
  /** Removes a Job that failed, so that it runs again when it is applied: by itself it never would. */
  removeIfFailed(job: ObjectKey): Promise<void>;
  /** Waits until the pods of a workload are ready, or a Job is complete; a Job that fails is not waited for. */
  waitFor(object: ObjectKey, timeoutS: number): Promise<void>;
  /** Waits until pods of this component that are ending have ended. */
  waitForLeaving(component: Component, timeoutS: number): Promise<void>;
  /** Every object of these kinds that an apply of ours made; not what others made of those, with our labels. */
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

interface JobState {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

/** Runs the tool, in the namespace, and resolves with what it writes. */
export type Call = (args: readonly string[], input?: string) => Promise<string>;

export function createCluster(call: Call): Cluster {
  return {
    async foreignKinds() {
      // Not api-resources, which fails when any API of the cluster is away.
      const groups = (await call(['api-versions'])).split('\n').map((version) => version.split('/')[0]);
      return Object.keys(FOREIGN_APIS).filter((kind) => groups.includes(FOREIGN_APIS[kind]));
    },
    async existingSecrets(names) {
      const found = await call(['get', 'secret', ...names, '--ignore-not-found', '-o', 'name']);
      return names.filter((name) => found.split('\n').includes(`secret/${name}`));
    },
    async configKeys(configMap) {
      const found = await call(['get', 'configmap', configMap, '--ignore-not-found', '-o', 'json']);
      return found.trim() === '' ? [] : Object.keys((JSON.parse(found) as { readonly data?: object }).data ?? {});
    },
    async reembeddings() {
      const answer = JSON.parse(await call(['exec', `deployment/${WRAPPER}`, '--', 'node', '-e', ASK_QUEUES])) as QueuesAnswer;
      return answer.reembeddings ?? [];
    },
    async apply(files) {
      for (const some of chunksOf(files)) await call(['apply', '--server-side', '--force-conflicts', `--field-manager=${FIELD_MANAGER}`, ...some.flatMap((file) => ['-f', file])]);
    },
    async handOverReplicas({ apiVersion, kind, metadata: { name } }) {
      const live = await call(['get', objectId({ kind, name }), '--ignore-not-found', '-o', 'jsonpath={.spec.replicas}']);
      if (live.trim() === '') return;
      // By force: an autoscaler that is there already may have the field.
      await call(['apply', '--server-side', '--force-conflicts', '--field-manager=eis-handover', '-f', '-'], JSON.stringify({ apiVersion, kind, metadata: { name }, spec: { replicas: Number(live) } }));
    },
    async removeIfFailed(job) {
      const found = await call(['get', objectId(job), '--ignore-not-found', '-o', 'json']);
      if (found.trim() !== '' && endOf(JSON.parse(found) as JobState)?.type === 'Failed') await call(['delete', '--ignore-not-found', '--wait=true', objectId(job)]);
    },
    async waitFor(object, timeoutS) {
      if (object.kind === 'Job') await waitForJob(call, objectId(object), timeoutS);
      else await call(['rollout', 'status', objectId(object), `--timeout=${timeoutS}s`]);
    },
    async waitForLeaving(component, timeoutS) {
      const { items } = JSON.parse(await call(['get', 'pods', '-l', `${COMPONENT_LABEL}=${component},${MANAGED_BY_LABEL}=${MANAGED_BY}`, '-o', 'json'])) as { readonly items: readonly Pod[] };
      const leaving = items.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(({ metadata: { name } }) => `pod/${name}`);
      if (leaving.length > 0) await call(['wait', '--for=delete', ...leaving, `--timeout=${timeoutS}s`]);
    },
    async listOurs(kinds) {
      const listed = JSON.parse(await call(['get', kinds.map(resourceOf).join(','), '-l', `${MANAGED_BY_LABEL}=${MANAGED_BY}`, '-o', 'json'])) as { readonly items: readonly ObjectHeader[] };
      return listed.items.filter(({ metadata: { ownerReferences = [] } }) => ownerReferences.length === 0);
    },
    async remove(objects) {
      for (const some of chunksOf(objects)) await call(['delete', '--ignore-not-found', '--wait=true', ...some.map(({ kind, name }) => `${resourceOf(kind)}/${name}`)]);
    },
  };
}

/** Of a Job: how it ended. */
function endOf({ status }: JobState): { readonly type: string; readonly message?: string } | undefined {
  return status?.conditions?.find((condition) => condition.status === 'True' && ['Complete', 'Failed'].includes(condition.type));
}

/** Asks again and again, because `wait` waits for one end alone, and would wait for a Job that failed until its time is over. */
async function waitForJob(call: Call, id: string, timeoutS: number): Promise<void> {
  const command = ['get', id, '-o', 'json'];
  for (const deadline = performance.now() + timeoutS * 1000; ; await sleep(JOB_POLL_MS)) {
    const end = endOf(JSON.parse(await call(command)) as JobState);
    if (end?.type === 'Complete') return;
    if (end) throw new CommandFailure(command, `the Job failed (${end.message ?? 'it says no reason'}); see the logs of its pods. It is made anew by the next apply.`);
    if (performance.now() > deadline) throw new CommandFailure(command, `the Job was not complete after ${timeoutS} s; see its pods (describe, logs).`);
  }
}

function chunksOf<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / PER_CALL_MAX) }, (_, i) => items.slice(i * PER_CALL_MAX, (i + 1) * PER_CALL_MAX));
}

/** Whether there are clusters that do not know objects of this kind. */
export function isForeign(kind: string): boolean {
  return kind in FOREIGN_APIS;
}

/** What a kind is called on the command line, with its API where others have a kind of that name. */
function resourceOf(kind: string): string {
  return `${kind.toLowerCase()}${kind in APIS ? `.${APIS[kind]}` : ''}`;
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

