/** A model with `next` in config.json: its second lane as what is rendered, planned and applied. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { queriesOf } from '../../autoscale/signals.js';
import { scaleTargets } from '../../autoscale/target.js';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { isSameDefinition } from '../../common/model-lanes.js';
import { closeModels, connectModels } from '../../gateway/served-models.js';
import { topologyNames } from '../../ingest/queue/amqp-topology.js';
import { COMPOSE_FILE, renderCompose } from '../../k8s/compose/render.js';
import type { ComposeService } from '../../k8s/compose/service.js';
import { applyDeployment, planDeployment } from '../../k8s/deploy.js';
import { gatewayName, workerName } from '../../k8s/manifests/names.js';
import type { Manifest } from '../../k8s/manifests/objects.js';
import { renderFiles } from '../../k8s/render.js';
import { tempFolder } from '../support/temp-folder.js';
import { ClusterInMemory } from './support/cluster-in-memory.js';
import { findComposeProblems } from './support/compose-schema.js';
import { filesOf, manifestsOf, modelIn, planOf, seedText, type ConfigJson } from './support/deployments.js';
import { validate } from './support/validators.js';

const NEXT = { model_url: './models/next', preprocess: '[0,1]' };
const SEED = seedText();
const withNext = (edit: (config: Required<ConfigJson>) => void = () => undefined): string => seedText((config) => {
  config.models[0] = { ...config.models[0]!, next: NEXT };
  edit(config);
});
/** Its main lane has taken over what the second one runs. */
const taken = seedText((config) => (config.models[0] = { name: 'resnet', ...NEXT, next: NEXT }));
const ended = seedText((config) => (config.models[0] = { name: 'resnet', ...NEXT }));

type Workload = Extract<Manifest, { kind: 'Deployment' | 'StatefulSet' }>;
const isWorkload = (object: Manifest): object is Workload => object.kind === 'Deployment' || object.kind === 'StatefulSet';
const find = <Kind extends Manifest['kind']>(objects: readonly Manifest[], kind: Kind, name: string) => objects.find((object): object is Extract<Manifest, { kind: Kind }> => object.kind === kind && object.metadata.name === name)!;
const namesOf = (objects: readonly Manifest[]): string[] => objects.map(({ kind, metadata: { name } }) => `${kind}/${name.replace(/-[0-9a-f]{8}$/, '-#')}`).sort();

/** What a pod is told, with what it refers to made up. */
function environmentOf({ spec }: Workload): Record<string, string> {
  return Object.fromEntries(spec!.template.spec!.containers[0]!.env!.map(({ name, value }) => [name, value ?? (name.startsWith('FUNCTION_URL') ? `https://${name.toLowerCase().replaceAll('_', '-')}.example.com` : name === 'EIS_API_KEYS' ? 'search:*' : 'deadbeef')]));
}

function configOf(objects: readonly Manifest[], { spec }: Workload): string {
  return find(objects, 'ConfigMap', spec!.template.spec!.volumes!.find(({ name }) => name === 'config')!.configMap!.name!).data!['config.json']!;
}

describe('rendering a model with a second lane', () => {
  const [before, objects] = [manifestsOf(SEED), manifestsOf(withNext())];

  it('adds the lane, and changes nothing but who asks it', () => {
    const old = new Map(before.map((object) => [JSON.stringify(object), object]));
    const changed = objects.filter((object) => !old.has(JSON.stringify(object)));
    expect(namesOf(changed.filter((object) => object.metadata.labels['eis-lane'] === 'next'))).toMatchInlineSnapshot(`
      [
        "ConfigMap/index-resnet-next-2-#",
        "ConfigMap/worker-resnet-next-#",
        "Deployment/worker-resnet-next",
        "PodDisruptionBudget/index-resnet-next-2-0",
        "PodDisruptionBudget/index-resnet-next-2-1",
        "PodDisruptionBudget/worker-resnet-next",
        "Service/index-resnet-next-2-0",
        "Service/index-resnet-next-2-1",
        "StatefulSet/index-resnet-next-2-0",
        "StatefulSet/index-resnet-next-2-1",
      ]
    `);
    expect(namesOf(changed.filter((object) => object.metadata.labels['eis-lane'] === undefined))).toEqual(['ConfigMap/wrapper-#', 'Deployment/gateway-resnet', 'Deployment/wrapper']);
    expect(before.filter((object) => !objects.some((other) => other.kind === object.kind && other.metadata.name === object.metadata.name)).map(({ kind }) => kind)).toEqual(['ConfigMap']);
  });

  it('makes objects that Kubernetes takes, the same every time and wherever config.json lies', () => {
    for (const object of objects) expect(() => validate(object), `${object.kind} ${object.metadata.name}`).not.toThrow();
    const elsewhere = renderFiles({ config: parseConfig(withNext(), '/somewhere/else/config.json'), version: '1.2.3', functionUrls: new Map([['resnet', 'https://embed-resnet.example.com']]) }, withNext());
    expect([...elsewhere]).toEqual([...filesOf(withNext())]);
  });

  it('tells pods of the lane which they are, and selects them by themselves', () => {
    const set = find(objects, 'StatefulSet', 'index-resnet-next-2-1');
    expect(parseEnvironment(environmentOf(set))).toMatchObject({ model: 'resnet', lane: 'next', shard: { index: 1, of: 2 } });
    expect(set.spec).toMatchObject({ replicas: 5, serviceName: 'index-resnet-next-2-1' });
    expect(find(objects, 'Service', 'index-resnet-next-2-1').spec).toMatchObject({ clusterIP: 'None', selector: set.spec!.selector.matchLabels });
    const worker = parseEnvironment(environmentOf(find(objects, 'Deployment', 'worker-resnet-next')));
    expect(worker).toMatchObject({ model: 'resnet', lane: 'next' });
    expect(worker.functionUrl('resnet', 'next')).toBe('https://function-url-resnet-next.example.com');
    const selectors = objects.filter(isWorkload).map(({ spec }) => JSON.stringify(spec!.selector));
    expect(new Set(selectors).size).toBe(selectors.length);
  });

  it('tells a gateway of both, and it connects to them', async () => {
    const gateway = find(objects, 'Deployment', 'gateway-resnet');
    const asked: string[] = [];
    const resolve = async (host: string): Promise<string[]> => {
      asked.push(host);
      return ['10.1.2.3'];
    };
    const models = await connectModels(parseConfig(configOf(objects, gateway), '/etc/eis/config.json'), parseEnvironment({ ...environmentOf(gateway), EIS_INDEX_TIMEOUT_MS: '20' }), { metrics: new Metrics('gateway'), log: SILENT_LOG, resolve });
    expect(asked.sort()).toEqual(['index-resnet-2-0', 'index-resnet-2-1', 'index-resnet-next-2-0', 'index-resnet-next-2-1']);
    for (const host of asked) expect(find(objects, 'Service', host)).toBeDefined();
    await closeModels(models);
  });

  it('tells the wrapper what eis reembed needs in its pods: where both lanes are, and what each is', () => {
    const wrapper = find(objects, 'Deployment', 'wrapper');
    const environment = parseEnvironment(environmentOf(wrapper));
    expect([environment.functionUrl('resnet'), environment.functionUrl('resnet', 'next')]).toEqual(['https://embed-resnet.example.com', 'https://function-url-resnet-next.example.com']);
    expect(environment.indexUrls('resnet', 'next')).toEqual([['http://index-resnet-next-2-0:8080'], ['http://index-resnet-next-2-1:8080']]);
    expect(environment.indexUrls('mobilenet')).toBeUndefined();
    const [resnet, mobilenet] = (JSON.parse(configOf(objects, wrapper)) as { models: object[] }).models;
    expect([resnet, mobilenet]).toEqual([{ name: 'resnet', engine: 'auto', next: { ...NEXT, engine: 'auto' } }, { name: 'mobilenet' }]);
    const after = manifestsOf(taken);
    const { next, ...main } = parseConfig(configOf(after, find(after, 'Deployment', 'wrapper')), '/etc/eis/config.json').models[0]!;
    expect(isSameDefinition(main, next!)).toBe(true);
  });

  it('scales its workers as those of the first lane, by its own queue', () => {
    const scaled = (autoscaling: string): Manifest[] => manifestsOf(withNext((config) => {
      config.platform = { autoscaling };
      modelIn(config, 'extract_worker', 'resnet')['pods'] = { min: 1, max: 8 };
      modelIn(config, 'serving', 'resnet')['pods'] = { min: 2, max: 9 };
    }));
    expect(find(scaled('keda'), 'ScaledObject', 'worker-resnet-next').spec).toMatchObject({ maxReplicaCount: 8, triggers: [{ metadata: { queueName: topologyNames('eis').workQueue('resnet.next') } }] });
    expect(find(scaled('hpa'), 'HorizontalPodAutoscaler', 'worker-resnet-next')).toBeDefined();
    const own = scaled('eis');
    const targets = scaleTargets(parseConfig(configOf(own, find(own, 'Deployment', 'autoscaler')), '/etc/eis/config.json'), (role, name) => (role === 'gateway' ? gatewayName(name) : workerName(name)));
    expect(targets.map(({ deployment }) => deployment)).toEqual(['gateway-resnet', 'worker-resnet', 'worker-resnet-next']);
    expect(queriesOf(targets[2]!).value).toContain('"resnet.next"');
    expect(find(own, 'Role', 'autoscaler').rules![0]!.resourceNames).toEqual(targets.map(({ deployment }) => deployment));
  });
});

describe('the plan', () => {
  const costOf = ({ costs }: ReturnType<typeof planOf>, name: string) => costs.find(({ service }) => service === name);

  it('of a second lane counts it for itself, and says what it takes and what comes next', () => {
    const plan = planOf(SEED, withNext());
    expect(costOf(plan, 'index resnet.next')).toMatchObject({ before: { pods: { max: 0 } }, after: { pods: { max: 10 }, memory: { max: 10 * 1024 } } });
    expect(costOf(plan, 'worker resnet.next')?.after.pods.max).toBe(4);
    expect(costOf(plan, 'index resnet')?.after.pods.max).toBe(10);
    expect(plan.total.after.pods.max).toBe(56 + 14);
    expect(plan.meaning).toEqual(['resnet: a second lane beside it, for /models/next: its own function ("eis functions --deploy resnet.next" first), 2 index shard(s) of 5 pod(s), 4 pod(s) of workers. Its gateways are replaced, and ask both. Nothing else happens until "eis reembed resnet" in a pod of the wrapper.']);
  });

  it('of a main lane that takes over replaces the wrapper alone, and says when its function may be deployed', () => {
    const plan = planOf(withNext(), taken);
    expect(plan.changes.filter(({ kind }) => kind !== 'ConfigMap').map(({ name }) => name)).toEqual(['wrapper']);
    expect(plan.meaning).toEqual([expect.stringMatching(/^resnet: becomes what its second lane runs, which no search notices\..*not before "eis reembed resnet" has switched/)]);
  });

  it('of a second lane that goes says what stays of it, and of another definition what it ends', () => {
    const plan = planOf(taken, ended);
    expect(plan.changes.filter(({ change, kind }) => change === 'removed' && kind !== 'ConfigMap').map(({ name }) => name)).toEqual(expect.arrayContaining(['worker-resnet-next', 'index-resnet-next-2-0', 'index-resnet-next-2-1']));
    expect(plan.meaning).toEqual([expect.stringMatching(/^resnet: its second lane goes, which is refused while it is what is searched\. Its queue eis\.extract\.resnet\.next/)]);
    const other = withNext((config) => (config.models[0] = { ...config.models[0]!, next: { model_url: './models/third' } }));
    expect(planOf(withNext(), other).meaning).toEqual([expect.stringMatching(/^resnet: another definition of its second lane\..*end it first/)]);
  });
});

describe('the apply', () => {
  const DEFINITIONS = { main: { name: 'builtin' }, next: { model_url: 'https://example.com/next.json' } };
  const text = (model: object): string => JSON.stringify({ models: [model] });
  const both = text({ ...DEFINITIONS.main, next: DEFINITIONS.next });

  async function apply(folder: string, config: string, cluster: ClusterInMemory): Promise<void> {
    mkdirSync(folder, { recursive: true });
    const options = { config: parseConfig(config, join(folder, 'config.json')), version: '1.2.3', folder };
    writeFileSync(options.config.file, config);
    await applyDeployment({ ...options, cluster: cluster.cluster, timeoutS: 60, drained: [], onStep: () => undefined }, planDeployment(options, new Map()));
  }

  async function deployed(config: string): Promise<{ readonly folder: string; readonly cluster: ClusterInMemory }> {
    const [folder, cluster] = [join(tempFolder(), 'k8s'), new ClusterInMemory()];
    cluster.functionUrls = { ...cluster.functionUrls, FUNCTION_URL_BUILTIN_NEXT: 'https://next.example.com' };
    await apply(folder, config, cluster);
    cluster.calls.length = 0;
    return { folder, cluster };
  }

  const at = (calls: readonly string[], pattern: RegExp): number => calls.findIndex((call) => pattern.test(call));

  it('asks for the function of the lane first', async () => {
    const cluster = new ClusterInMemory();
    await expect(apply(join(tempFolder(), 'k8s'), both, cluster)).rejects.toMatchObject({ code: 'EIS_DEPLOY_FUNCTIONS', message: expect.stringContaining('FUNCTION_URL_BUILTIN_NEXT=URL') as unknown });
    expect(cluster.ids).toEqual([]);
  });

  it('has the lane ready before the first gateway that asks it, and takes it away when the last is gone', async () => {
    const { folder, cluster } = await deployed(text(DEFINITIONS.main));
    await apply(folder, both, cluster);
    expect(at(cluster.calls, /^rollout status statefulset\/index-builtin-next-1-0/)).toBeLessThan(at(cluster.calls, /^apply .*deployment-gateway-builtin/));
    expect(at(cluster.calls, /^rollout status deployment\/worker-builtin-next/)).toBeLessThan(at(cluster.calls, /^apply .*deployment-gateway-builtin/));
    expect(cluster.calls.filter((call) => call.startsWith('exec'))).toEqual([]);
    cluster.calls.length = 0;
    await apply(folder, text({ ...DEFINITIONS.main, ...DEFINITIONS.next }), cluster);
    expect(at(cluster.calls, /^exec deployment\/wrapper/)).toBeLessThan(at(cluster.calls, /^apply/));
    expect(at(cluster.calls, /^rollout status deployment\/gateway-builtin/)).toBeLessThan(at(cluster.calls, /^delete .*statefulset\/index-builtin-next-1-0/));
    expect(cluster.ids.filter((id) => id.includes('builtin-next'))).toEqual([]);
  });

  it.each(['switching', 'switched', 'finishing'])('refuses to take it away while it is what is searched, at "%s", and changes nothing', async (step) => {
    const { folder, cluster } = await deployed(both);
    const before = cluster.ids;
    cluster.reembeddings = [{ model: 'builtin', step }];
    await expect(apply(folder, text(DEFINITIONS.main), cluster)).rejects.toMatchObject({ code: 'EIS_DEPLOY_LANE', message: expect.stringMatching(/second lane of model builtin.*at "\w+".*eis reembed builtin --finish/s) as unknown });
    expect(cluster.ids).toEqual(before);
    expect(cluster.calls.filter((call) => /^(apply|delete)/.test(call))).toEqual([]);
    await apply(folder, both, cluster); // anything else may be applied
  });

  it.each(['filling', 'rolled_back', 'removing'])('takes it away at "%s", and that of a model that goes as a whole', async (step) => {
    const { folder, cluster } = await deployed(both);
    cluster.reembeddings = [{ model: 'builtin', step }];
    await apply(folder, text(DEFINITIONS.main), cluster);
    expect(cluster.ids.filter((id) => id.includes('next'))).toEqual([]);
    const other = await deployed(both);
    other.cluster.reembeddings = [{ model: 'builtin', step: 'switched' }];
    other.cluster.functionUrls = { FUNCTION_URL_OTHER: 'https://other.example.com' };
    await apply(other.folder, text({ name: 'other' }), other.cluster);
    expect(other.cluster.ids.filter((id) => id.includes('builtin'))).toEqual([]);
  });

  it('with another num_indexes takes the sets of both lanes away and asks nobody', async () => {
    const { folder, cluster } = await deployed(both);
    cluster.reembeddings = [{ model: 'builtin', step: 'switched' }];
    await apply(folder, JSON.stringify({ ...(JSON.parse(both) as object), services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: 2 }] }] }), cluster);
    expect(cluster.ids.filter((id) => id.startsWith('statefulset/index'))).toEqual(['statefulset/index-builtin-2-0', 'statefulset/index-builtin-2-1', 'statefulset/index-builtin-next-2-0', 'statefulset/index-builtin-next-2-1']);
  });
});

describe('docker-compose.yml', () => {
  const files = renderCompose({ config: parseConfig(withNext(), '/srv/eis/config.json'), version: '1.2.3', folder: '/srv/eis' });
  const project = parse(files.get(COMPOSE_FILE)!) as { services: Record<string, ComposeService> };

  it('has the lane beside the first, its function with the new definition', () => {
    expect(findComposeProblems(project)).toEqual([]);
    expect(Object.keys(project.services).filter((name) => name.includes('next'))).toEqual(['function-resnet-next', 'index-resnet-next-2-0', 'index-resnet-next-2-1', 'worker-resnet-next']);
    expect(project.services['function-resnet-next']).toMatchObject({ environment: { MODEL: 'resnet' }, volumes: expect.arrayContaining(['./models/next:/models/resnet.next:ro,z']) as unknown });
    const [, config] = [...files].find(([path]) => path.startsWith('compose/function-resnet-next'))!;
    expect(JSON.parse(config)).toEqual({ models: [{ name: 'resnet', model_url: '/models/resnet.next', preprocess: '[0,1]', engine: 'auto' }] });
    expect(project.services['worker-resnet-next']).toMatchObject({ environment: { LANE: 'next', FUNCTION_URL_RESNET_NEXT: 'http://function-resnet-next:8080' }, depends_on: { 'function-resnet-next': { condition: 'service_healthy' } } });
  });

  it('lets a gateway start without it', () => {
    const { environment, depends_on: dependencies } = project.services['gateway-resnet']!;
    expect(environment).toMatchObject({ FUNCTION_URL_RESNET_NEXT: 'http://function-resnet-next:8080', INDEX_URLS_RESNET_NEXT: 'http://index-resnet-next-2-0:8080;http://index-resnet-next-2-1:8080' });
    expect(Object.keys(dependencies!)).toEqual(['function-resnet', 'index-resnet-2-0', 'index-resnet-2-1', 'wrapper']);
  });
});
