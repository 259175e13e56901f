import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../common/config.js';
import type { EisError } from '../../common/errors.js';
import { openCluster } from '../../k8s/cluster.js';
import { applyDeployment, foldersOf, planDeployment, type DeployOptions } from '../../k8s/deploy.js';
import { readFolder } from '../../k8s/folder.js';
import { PHASES } from '../../k8s/phases.js';
import { startMongo } from '../common/store/mongo-parts.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';
import { fakeCluster, type FakeCluster } from './support/fake-cluster.js';

const config = (shards: number, more: object = {}): string => JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: shards }] }], ...more });

const PATH = process.env['PATH'];
afterEach(() => {
  process.env['PATH'] = PATH;
  delete process.env['FAKE_OC'];
  delete process.env['FAKE_OC_FAIL_AT'];
});

interface Place extends DeployOptions {
  readonly steps: string[];
}

function place(text: string, folder = join(tempFolder(), 'k8s')): Place {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'config.json');
  writeFileSync(file, text);
  return { config: parseConfig(text, file), version: '1.2.3', folder, steps: [] };
}

/** Plans and applies, with the fake `oc`; call `failAt` of it fails. */
async function apply({ steps, ...options }: Place, cluster: FakeCluster, { failAt = 0, drained = [] }: { readonly failAt?: number; readonly drained?: readonly string[] } = {}): Promise<void> {
  Object.assign(process.env, cluster.env, { FAKE_OC_FAIL_AT: String(failAt) });
  const plan = planDeployment(options, new Map());
  await applyDeployment({ ...options, cluster: await openCluster('images'), timeoutS: 60, drained, onStep: (step) => steps.push(step) }, plan);
}

const code = (expected: string) => expect.objectContaining({ code: expected }) as unknown;
const objectsIn = (folder: string): string[] => readdirSync(folder).filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml').sort();
const files = (folder: string) => [...(readFolder(folder) ?? [])];
/** Of calls, those that match, each by what it is about. */
const order = (calls: readonly string[], ...patterns: readonly RegExp[]): number[] => patterns.map((pattern) => calls.findIndex((call) => pattern.test(call)));
const ascending = (numbers: readonly number[]): boolean => numbers.every((n, i) => n >= 0 && (i === 0 || n > numbers[i - 1]!));

describe('apply', () => {
  it('makes everything in the order in which it is needed, waits for each, and makes staging current', async () => {
    const [cluster, here] = [fakeCluster(), place(config(2))];
    await apply(here, cluster);
    const calls = cluster.calls();
    expect(ascending(order(calls, /^version/, /^get secret/, /^apply .*service-gateway/, /^apply .*statefulset-mongo-config/, /^rollout status statefulset\/mongo-shard-0 /, /^apply .*deployment-mongo-router/, /^rollout status deployment\/mongo-router/, /^apply .*job-mongo-init/, /^wait --for=condition=complete job\/mongo-init-/, /^apply .*statefulset-index-builtin-2-1/, /^rollout status statefulset\/index-builtin-2-1/, /^apply .*deployment-wrapper/, /^rollout status deployment\/wrapper/, /^apply .*deployment-gateway-builtin/, /^rollout status deployment\/gateway-builtin/, /^apply .*deployment-nginx/, /^rollout status deployment\/nginx/, /^get .*-l app.kubernetes.io\/managed-by=eis-deploy/))).toBe(true);
    expect(calls.filter((call) => call.startsWith('delete'))).toEqual([]);
    expect(calls.filter((call) => call.startsWith('apply')).every((call) => call.includes('--server-side --force-conflicts --field-manager=eis-deploy'))).toBe(true);
    const { staging, current } = foldersOf(here.folder);
    expect(existsSync(staging)).toBe(false);
    expect(cluster.objects()).toEqual(objectsIn(current));
    expect(here.steps[0]).toContain(PHASES[0]!.name);
    expect(planDeployment(here, new Map()).changes).toEqual([]);
  });

  it('applied again changes nothing, and brings back what somebody removed', async () => {
    const [cluster, here] = [fakeCluster(), place(config(2))];
    await apply(here, cluster);
    const before = cluster.objects();
    renameSync(join(cluster.folder, 'objects', 'deployment-nginx.yaml'), join(cluster.folder, 'gone'));
    await apply(here, cluster);
    expect(cluster.objects()).toEqual(before);
    expect(cluster.calls().filter((call) => call.startsWith('delete'))).toEqual([]);
  });

  it('with another num_indexes has the new set ready before a gateway asks it, and removes the old when the last gateway of before is gone', async () => {
    const cluster = fakeCluster();
    const here = place(config(2));
    await apply(here, cluster);
    cluster.forgetCalls();
    writeFileSync(join(cluster.folder, 'pods.json'), JSON.stringify({ items: [{ metadata: { name: 'gateway-builtin-old', deletionTimestamp: 'now' } }, { metadata: { name: 'gateway-builtin-new' } }] }));
    await apply(place(config(3), here.folder), cluster);
    const calls = cluster.calls();
    expect(ascending(order(calls, /^apply .*statefulset-index-builtin-3-0/, /^rollout status statefulset\/index-builtin-3-0/, /^rollout status statefulset\/index-builtin-3-2/, /^apply .*deployment-gateway-builtin/, /^rollout status deployment\/gateway-builtin/, /^wait --for=delete pod\/gateway-builtin-old --timeout/, /^delete /))).toBe(true);
    const [removed] = calls.filter((call) => call.startsWith('delete'));
    for (const id of ['statefulset/index-builtin-2-0', 'statefulset/index-builtin-2-1', 'service/index-builtin-2-0']) expect(removed).toContain(id);
    expect(removed).toMatch(/statefulset\/index-builtin-2-\d.*configmap\//);
    expect(removed).not.toContain('index-builtin-3');
    expect(cluster.objects()).toEqual(objectsIn(foldersOf(here.folder).current));
  });

  it('removes nothing that is not ours', async () => {
    const cluster = fakeCluster();
    for (const [name, labels] of [['theirs', ''], ['stray', '  labels:\n    app.kubernetes.io/component: worker\n    app.kubernetes.io/managed-by: eis-deploy\n']]) writeFileSync(join(cluster.folder, 'objects', `deployment-${name}.yaml`), `kind: Deployment\nmetadata:\n  name: ${name}\n${labels}`);
    await apply(place(config(2)), cluster);
    expect(cluster.objects()).toContain('deployment-theirs.yaml');
    expect(cluster.objects()).not.toContain('deployment-stray.yaml');
  });

  it('hands the number of pods over to an autoscaler before it is left out', async () => {
    const cluster = fakeCluster();
    const serving = (pods: unknown): object => ({ services: [{ name: 'serving', models: [{ name: 'builtin', pods }] }], platform: { autoscaling: 'hpa' } });
    const here = place(config(1, serving(4)));
    await apply(here, cluster);
    await apply(place(config(1, serving({ min: 2, max: 9 })), here.folder), cluster);
    expect(JSON.parse(readFileSync(join(cluster.folder, 'handed-over'), 'utf8'))).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'gateway-builtin' }, spec: { replicas: 4 } });
  });

  it('leaves Routes out where there are none, and says so', async () => {
    const [cluster, here] = [fakeCluster({ tool: 'kubectl' }), place(config(1))];
    writeFileSync(join(cluster.folder, 'no-routes'), '');
    await apply(here, cluster);
    expect(cluster.objects().filter((object) => object.startsWith('route'))).toEqual([]);
    expect(here.steps.join(' ')).toContain('no Routes');
  });

  it('asks for the Secrets that are missing before it changes anything', async () => {
    const [cluster, here] = [fakeCluster({ secrets: ['eis-mongo', 'eis-bucket'] }), place(config(1))];
    const failure = await apply(here, cluster).catch((error: unknown) => error as EisError);
    expect(failure).toMatchObject({ code: 'EIS_DEPLOY_SECRETS', message: expect.stringMatching(/create secret generic eis-rabbitmq --from-literal=password=VALUE --from-literal=erlang-cookie=VALUE\n.*eis-google --from-file=key.json=FILE/) as unknown });
    expect(cluster.objects()).toEqual([]);
  });

  it('takes no shard of MongoDB away that is not said to be drained', async () => {
    const cluster = fakeCluster();
    const mongo = (shards: number): object => ({ services: [{ name: 'mongo', services: [{ name: 'shard', shards }] }] });
    const here = place(config(1, mongo(2)));
    await apply(here, cluster);
    const fewer = place(config(1, mongo(1)), here.folder);
    await expect(apply(fewer, cluster)).rejects.toEqual(code('EIS_DEPLOY_SHARD'));
    expect(cluster.objects()).toContain('statefulset-mongo-shard-1.yaml');
    await apply(fewer, cluster, { drained: ['mongo-shard-1'] });
    expect(cluster.objects()).not.toContain('statefulset-mongo-shard-1.yaml');
  });

  it('that stopped anywhere is gone on with by the next one', async () => {
    const [first, cluster] = [place(config(2)), fakeCluster()];
    await apply(first, cluster);
    const again = () => {
      const [folder, copy] = [join(tempFolder(), 'k8s'), fakeCluster()];
      cpSync(first.folder, folder, { recursive: true });
      cpSync(join(cluster.folder, 'objects'), join(copy.folder, 'objects'), { recursive: true });
      return { copy, here: place(config(3), folder) };
    };
    const whole = again();
    await apply(whole.here, whole.copy);
    const total = whole.copy.calls().length;
    expect(total).toBeGreaterThan(25);
    for (let failAt = 2; failAt <= total; failAt++) {
      const { copy, here } = again();
      const { current } = foldersOf(here.folder);
      const before = files(current);
      const failure = await apply(here, copy, { failAt }).catch((error: unknown) => error as EisError);
      expect(failure, `call ${failAt}`).toMatchObject({ code: 'EIS_DEPLOY_STOPPED', message: expect.stringContaining('the server is away') as unknown });
      expect(copy.calls()).toHaveLength(failAt);
      expect(files(current)).toEqual(before);
      if (!copy.calls().some((call) => call.startsWith('delete'))) for (const old of ['statefulset-index-builtin-2-0.yaml', 'service-index-builtin-2-1.yaml']) expect(copy.objects()).toContain(old);
      copy.forgetCalls();
      await apply(here, copy);
      expect(copy.objects(), `after call ${failAt} failed`).toEqual(whole.copy.objects());
      expect(files(current)).toEqual(files(foldersOf(whole.here.folder).current));
    }
  }, 240_000);

  it('that crashed while staging became current finds the one before again', async () => {
    const [cluster, here] = [fakeCluster(), place(config(2))];
    await apply(here, cluster);
    const { current } = foldersOf(here.folder);
    const before = files(current);
    renameSync(current, `${current}.old`);
    expect(planDeployment(here, new Map()).changes).toEqual([]);
    expect(files(current)).toEqual(before);
  });
});

describe('eis deploy', () => {
  const cli = (folder: string, text: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    writeFileSync(join(folder, 'config.json'), text);
    return runCli(['deploy', '--dir', join(folder, 'k8s'), ...args], { EIS_CONFIG: join(folder, 'config.json'), MONGODB_URI: '', ...env });
  };

  it('plans by default, applies, and then says that nothing changes', async () => {
    const [folder, cluster] = [tempFolder(), fakeCluster()];
    const first = await cli(folder, config(2), ['--exit-code']);
    expect(first).toMatchObject({ code: 2, stdout: expect.stringContaining('+ StatefulSet index-builtin-2-1') as unknown });
    const applied = await cli(folder, config(2), ['--apply'], cluster.env);
    expect(applied).toMatchObject({ code: 0, stderr: expect.stringContaining('gateways') as unknown });
    const second = await cli(folder, config(2), ['--plan', '--exit-code']);
    expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing changes.') as unknown });
    expect(JSON.parse((await cli(folder, config(3), ['--json'])).stdout)).toMatchObject({ changes: expect.arrayContaining([{ change: 'added', kind: 'StatefulSet', name: 'index-builtin-3-2' }]) as unknown, meaning: [expect.stringContaining('2 → 3 index shards') as unknown] });
  });

  it('counts what the store holds, writes nothing to it, and plans without when it is away', async () => {
    const { server, store } = await startMongo();
    const live = { version: 'b'.repeat(64), dim: 4 };
    await store.setLiveVersion('builtin', live);
    const image = { vector: Float32Array.of(1, 0, 0, 0), phash: '0'.repeat(16), width: 8, height: 8, format: 'png', origin: 'o' };
    await store.collection('builtin', live).write(['1', '2', '3'].map((digit) => ({ ...image, id: digit.repeat(64), url: `https://example.com/${digit}` })));
    const written = server.commands.length;
    const [folder, env] = [tempFolder(), { MONGODB_URI: server.uri() }];
    expect((await cli(folder, config(2), [], env)).stdout).toContain('for 2 vectors');
    expect(server.commands.slice(written).map(({ name }) => name).filter((name) => !['find', 'count', 'aggregate', 'getMore', 'ping', 'endSessions'].includes(name))).toEqual([]);
    await server.stop();
    expect(await cli(folder, config(2), [], { ...env, EIS_STORE_TIMEOUT_MS: '500' })).toMatchObject({ code: 0, stdout: expect.stringContaining('object(s) added') as unknown, stderr: expect.stringContaining('The store cannot be asked') as unknown });
  });

  it('renders into any folder, and nothing else', async () => {
    const folder = tempFolder();
    expect((await cli(folder, config(1), ['--render', '--out', join(folder, 'out')])).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'out']);
    expect(readdirSync(join(folder, 'out'))).toContain('kustomization.yaml');
  });

  it('says where it stopped and how to go on, and what is wrong with function-urls.json', async () => {
    const [folder, cluster] = [tempFolder(), fakeCluster()];
    expect(await cli(folder, config(1), ['--apply'], { ...cluster.env, FAKE_OC_FAIL_AT: '6' })).toMatchObject({ code: 1, stderr: expect.stringMatching(/EIS_DEPLOY_STOPPED: The apply stopped at: .*the server is away.*give the same command again/s) as unknown });
    writeFileSync(join(folder, 'k8s', 'function-urls.json'), '{"builtin":"embed"}');
    expect(await cli(folder, config(1), [])).toMatchObject({ code: 1, stderr: expect.stringContaining('the URL of "builtin" is none') as unknown });
    writeFileSync(join(folder, 'k8s', 'function-urls.json'), '{"builtin":"https://embed.example.com"}');
    expect((await cli(folder, config(1), [])).code).toBe(0);
    expect(readFileSync(join(folder, 'k8s', 'staging', 'deployment-gateway-builtin.yaml'), 'utf8')).toContain('value: https://embed.example.com');
  });

  it('needs oc or kubectl to apply', async () => {
    expect(await cli(tempFolder(), config(1), ['--apply'], { PATH: '/nowhere' })).toMatchObject({ code: 1, stderr: expect.stringContaining('EIS_DEPLOY_TOOL') as unknown });
  });
});
