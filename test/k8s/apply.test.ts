import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../common/config.js';
import type { EisError } from '../../common/errors.js';
import { createCluster } from '../../k8s/cluster.js';
import { applyDeployment, foldersOf, planDeployment, type DeployOptions } from '../../k8s/deploy.js';
import { readFolder } from '../../k8s/folder.js';
import { PHASES } from '../../k8s/phases.js';
import { tempFolder } from '../support/temp-folder.js';
import { ClusterInMemory } from './support/cluster-in-memory.js';

const config = (shards: number, more: object = {}): string => JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: shards }] }], ...more });

interface Place extends DeployOptions {
  readonly steps: string[];
}

function place(text: string, folder = join(tempFolder(), 'k8s')): Place {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'config.json');
  writeFileSync(file, text);
  return { config: parseConfig(text, file), version: '1.2.3', folder, steps: [] };
}

/** Plans and applies. */
async function apply({ steps, ...options }: Place, cluster: ClusterInMemory, drained: readonly string[] = []): Promise<void> {
  const plan = planDeployment(options, new Map());
  await applyDeployment({ ...options, cluster: cluster.cluster, timeoutS: 60, drained, onStep: (step) => steps.push(step) }, plan);
}

const code = (expected: string) => expect.objectContaining({ code: expected }) as unknown;
const idsIn = (folder: string): string[] => readdirSync(folder).filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml').map((file) => file.replace('-', '/').replace('.yaml', '')).sort();
const files = (folder: string) => [...(readFolder(folder) ?? [])];
/** Of calls, those that match, each by what it is about. */
const order = (calls: readonly string[], ...patterns: readonly RegExp[]): number[] => patterns.map((pattern) => calls.findIndex((call) => pattern.test(call)));
const ascending = (numbers: readonly number[]): boolean => numbers.every((n, i) => n >= 0 && (i === 0 || n > numbers[i - 1]!));

describe('apply', () => {
  it('makes everything in the order in which it is needed, waits for each, and makes staging current', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(2))];
    await apply(here, cluster);
    const { calls } = cluster;
    expect(ascending(order(calls, /^get secret/, /^apply .*service-gateway/, /^apply .*statefulset-mongo-config/, /^rollout status statefulset\/mongo-shard-0 /, /^apply .*deployment-mongo-router/, /^rollout status deployment\/mongo-router/, /^apply .*job-mongo-init/, /^apply .*statefulset-index-builtin-2-1/, /^rollout status statefulset\/index-builtin-2-1/, /^apply .*deployment-wrapper/, /^rollout status deployment\/wrapper/, /^apply .*deployment-gateway-builtin/, /^rollout status deployment\/gateway-builtin/, /^apply .*deployment-nginx/, /^rollout status deployment\/nginx/))).toBe(true);
    expect(calls.findLastIndex((call) => /^get job\/mongo-init-/.test(call))).toBeLessThan(order(calls, /^apply .*statefulset-index/)[0]!);
    expect(calls.filter((call) => call.startsWith('delete'))).toEqual([]);
    expect(calls.filter((call) => call.startsWith('apply')).every((call) => call.includes('--server-side --force-conflicts --field-manager=eis-deploy'))).toBe(true);
    const { staging, current } = foldersOf(here.folder);
    expect(existsSync(staging)).toBe(false);
    expect(cluster.ids).toEqual(idsIn(current));
    expect(here.steps[0]).toContain(PHASES[0]!.name);
    expect(planDeployment(here, new Map()).changes).toEqual([]);
  });

  it('applied again changes nothing, and brings back what somebody removed', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(2))];
    await apply(here, cluster);
    const before = cluster.ids;
    cluster.remove('deployment/nginx');
    await apply(here, cluster);
    expect(cluster.ids).toEqual(before);
    expect(cluster.calls.filter((call) => call.startsWith('delete'))).toEqual([]);
  });

  it('with another num_indexes has the new set ready before a gateway asks it, and removes the old when the last gateway of before is gone', async () => {
    const cluster = new ClusterInMemory();
    const here = place(config(2));
    await apply(here, cluster);
    cluster.calls.length = 0;
    cluster.pods = [{ metadata: { name: 'gateway-builtin-old', deletionTimestamp: 'now' } }, { metadata: { name: 'gateway-builtin-new' } }];
    await apply(place(config(3), here.folder), cluster);
    const { calls } = cluster;
    expect(ascending(order(calls, /^apply .*statefulset-index-builtin-3-0/, /^rollout status statefulset\/index-builtin-3-0/, /^rollout status statefulset\/index-builtin-3-2/, /^apply .*deployment-gateway-builtin/, /^rollout status deployment\/gateway-builtin/, /^wait --for=delete pod\/gateway-builtin-old --timeout/, /^delete /))).toBe(true);
    const [removed] = calls.filter((call) => call.startsWith('delete'));
    for (const id of ['statefulset/index-builtin-2-0', 'statefulset/index-builtin-2-1', 'service/index-builtin-2-0']) expect(removed).toContain(id);
    expect(removed).toMatch(/statefulset\/index-builtin-2-\d.*configmap\//);
    expect(removed).not.toContain('index-builtin-3');
    expect(cluster.ids).toEqual(idsIn(foldersOf(here.folder).current));
  });

  it('removes nothing that is not ours, nor what KEDA makes of ours with our labels', async () => {
    const cluster = new ClusterInMemory();
    const labels = { 'app.kubernetes.io/component': 'worker', 'app.kubernetes.io/managed-by': 'eis-deploy' };
    cluster.put({ kind: 'Deployment', metadata: { name: 'theirs' } });
    cluster.put({ kind: 'Deployment', metadata: { name: 'stray', labels } });
    cluster.put({ kind: 'HorizontalPodAutoscaler', metadata: { name: 'keda-hpa-worker-builtin', labels, ownerReferences: [{ kind: 'ScaledObject' }] } });
    await apply(place(config(2)), cluster);
    expect(cluster.ids).toEqual(expect.arrayContaining(['deployment/theirs', 'horizontalpodautoscaler/keda-hpa-worker-builtin']));
    expect(cluster.ids).not.toContain('deployment/stray');
  });

  it('leaves Routes out where there are none, and says so', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(1))];
    cluster.apis = ['apps'];
    await apply(here, cluster);
    expect(cluster.ids.filter((id) => id.startsWith('route'))).toEqual([]);
    expect(here.steps.join(' ')).toContain('no Routes');
  });

  it('asks for the Secrets that are missing before it changes anything', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(1))];
    cluster.secrets = ['eis-mongo', 'eis-bucket'];
    const failure = await apply(here, cluster).catch((error: unknown) => error as EisError);
    expect(failure).toMatchObject({ code: 'EIS_DEPLOY_SECRETS', message: expect.stringMatching(/create secret generic eis-rabbitmq --from-literal=password=VALUE --from-literal=erlang-cookie=VALUE\n.*eis-google --from-file=key.json=FILE/) as unknown });
    expect(cluster.ids).toEqual([]);
  });

  it('asks for the functions whose addresses are not known before it changes anything', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(1))];
    cluster.functionUrls = {};
    await expect(apply(here, cluster)).rejects.toMatchObject({ code: 'EIS_DEPLOY_FUNCTIONS', message: expect.stringContaining('oc create configmap function-urls --from-literal=FUNCTION_URL_BUILTIN=URL') as unknown });
    expect(cluster.ids).toEqual([]);
    writeFileSync(join(here.folder, 'function-urls.json'), '{"builtin":"https://embed.example.com"}');
    await apply(here, cluster);
    expect(cluster.ids).toContain('deployment/gateway-builtin');
  });

  it('into another namespace makes everything there, and says what stays where it was', async () => {
    const [first, second] = [new ClusterInMemory(), new ClusterInMemory()];
    const here = place(config(1));
    await apply(here, first);
    const there = place(config(1, { platform: { namespace: 'elsewhere', autoscaling: 'hpa' }, services: [{ name: 'serving', models: [{ name: 'builtin', pods: { min: 1, max: 2 } }] }] }), here.folder);
    const plan = planDeployment(there, new Map());
    expect(new Set(plan.changes.map(({ change }) => change))).toEqual(new Set(['added']));
    expect(plan.total.before.pods.max).toBe(0);
    expect(plan.warnings[0]).toMatch(/^What runs so far is in the namespace elastic-image-search: its \d+ pods stay/);
    await apply(there, second);
    expect(second.handedOver).toEqual([]);
    expect(second.ids).toEqual(idsIn(foldersOf(here.folder).current));
    expect(first.calls.at(-1)).not.toMatch(/^delete/);
  });

  it('takes no shard of MongoDB away that is not said to be drained', async () => {
    const cluster = new ClusterInMemory();
    const mongo = (shards: number): object => ({ services: [{ name: 'mongo', services: [{ name: 'shard', shards }] }] });
    const here = place(config(1, mongo(2)));
    await apply(here, cluster);
    const fewer = place(config(1, mongo(1)), here.folder);
    await expect(apply(fewer, cluster)).rejects.toEqual(code('EIS_DEPLOY_SHARD'));
    expect(cluster.ids).toContain('statefulset/mongo-shard-1');
    await apply(fewer, cluster, ['mongo-shard-1']);
    expect(cluster.ids).not.toContain('statefulset/mongo-shard-1');
  });

  it('stops at a Job that failed, without waiting, and lets it run again the next time', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(1))];
    cluster.jobsEnd = 'Failed';
    await expect(apply(here, cluster)).rejects.toMatchObject({ code: 'EIS_DEPLOY_STOPPED', message: expect.stringMatching(/waiting for job\/mongo-init-.*BackoffLimitExceeded/s) as unknown });
    cluster.jobsEnd = 'Complete';
    await apply(here, cluster);
    expect(cluster.ids).toEqual(idsIn(foldersOf(here.folder).current));
  });

  it('names no more files and objects in one command than a command line holds', async () => {
    const calls: (readonly string[])[] = [];
    const cluster = createCluster(async (args) => {
      calls.push(args);
      return '';
    });
    await cluster.apply(Array.from({ length: 250 }, (_, i) => `service-${i}.yaml`));
    await cluster.remove(Array.from({ length: 101 }, (_, i) => ({ kind: 'Service', name: `s${i}` })));
    expect(calls.map((args) => args.filter((arg) => /^service/.test(arg)).length)).toEqual([100, 100, 50, 100, 1]);
  });

  it('that stopped anywhere is gone on with by the next one', async () => {
    const [first, cluster] = [place(config(2)), new ClusterInMemory()];
    await apply(first, cluster);
    const again = () => {
      const folder = join(tempFolder(), 'k8s');
      cpSync(first.folder, folder, { recursive: true });
      return { copy: cluster.copy(), here: place(config(3), folder) };
    };
    const whole = again();
    await apply(whole.here, whole.copy);
    const total = whole.copy.calls.length;
    expect(total).toBeGreaterThan(25);
    for (let failAt = 1; failAt <= total; failAt++) {
      const { copy, here } = again();
      const { current } = foldersOf(here.folder);
      const before = files(current);
      copy.failAt = failAt;
      const failure = await apply(here, copy).catch((error: unknown) => error as EisError);
      expect(failure, `call ${failAt}`).toMatchObject({ code: 'EIS_DEPLOY_STOPPED', message: expect.stringContaining('the server is away') as unknown });
      expect(copy.calls).toHaveLength(failAt);
      expect(files(current)).toEqual(before);
      if (!copy.calls.some((call) => call.startsWith('delete'))) for (const old of ['statefulset/index-builtin-2-0', 'service/index-builtin-2-1']) expect(copy.ids).toContain(old);
      copy.failAt = 0;
      await apply(here, copy);
      expect(copy.ids, `after call ${failAt} failed`).toEqual(whole.copy.ids);
      expect(files(current)).toEqual(files(foldersOf(whole.here.folder).current));
    }
  });

  it('that crashed while staging became current finds the one before again', async () => {
    const [cluster, here] = [new ClusterInMemory(), place(config(2))];
    await apply(here, cluster);
    const { current } = foldersOf(here.folder);
    const before = files(current);
    renameSync(current, `${current}.old`);
    expect(planDeployment(here, new Map()).changes).toEqual([]);
    expect(files(current)).toEqual(before);
  });
});

describe('apply, of what is autoscaled', () => {
  const scaled = (autoscaling: string, pods: unknown = { min: 2, max: 9 }): string => config(1, { services: [{ name: 'serving', models: [{ name: 'builtin', pods }] }, { name: 'extract_worker', models: [{ name: 'builtin', pods }] }], platform: { autoscaling } });

  it('leaves as many pods as there are when an autoscaler takes over, and makes what somebody removed', async () => {
    const cluster = new ClusterInMemory();
    const here = place(scaled('none', 4));
    await apply(here, cluster);
    cluster.find('deployment/gateway-builtin')!.spec!.replicas = 6;
    cluster.remove('deployment/worker-builtin');
    await apply(place(scaled('hpa'), here.folder), cluster);
    expect(cluster.handedOver).toEqual([['deployment/gateway-builtin', 6]]);
    expect(cluster.ids).toContain('deployment/worker-builtin');
    cluster.handedOver.length = 0;
    await apply(place(scaled('hpa'), here.folder), cluster);
    expect(cluster.handedOver).toEqual([]);
  });

  it.each([['none', 'HorizontalPodAutoscaler'], ['keda', 'ScaledObject']])('takes an autoscaler away before %s is in its place', async (other, kind) => {
    const cluster = new ClusterInMemory();
    const here = place(scaled('hpa'));
    await apply(here, cluster);
    cluster.calls.length = 0;
    await apply(place(scaled(other), here.folder), cluster);
    const steps = other === 'none' ? [/^delete .*horizontalpodautoscaler\/gateway-builtin/, /^apply .*deployment-gateway-builtin/] : [/^delete .*horizontalpodautoscaler\/worker-builtin/, /^apply .*scaledobject-worker-builtin/];
    expect(ascending(order(cluster.calls, ...steps))).toBe(true);
    expect(cluster.ids.includes('horizontalpodautoscaler/worker-builtin')).toBe(false);
    expect(cluster.ids.some((id) => id === `${kind.toLowerCase()}/worker-builtin`)).toBe(other === 'keda');
  });

  it('takes away the autoscalers of an apply that stopped and was not gone on with', async () => {
    const cluster = new ClusterInMemory();
    const here = place(scaled('none', 4));
    await apply(here, cluster);
    cluster.failAt = cluster.calls.length + 9;
    await expect(apply(place(scaled('hpa'), here.folder), cluster)).rejects.toEqual(code('EIS_DEPLOY_STOPPED'));
    expect(cluster.ids).toContain('horizontalpodautoscaler/gateway-builtin');
    await apply(place(scaled('none', 4), here.folder), cluster);
    expect(cluster.ids.filter((id) => id.startsWith('horizontal'))).toEqual([]);
  });
});
