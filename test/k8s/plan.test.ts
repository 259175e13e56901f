import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../common/config.js';
import type { Change } from '../../k8s/changes.js';
import { makePlan, type Plan } from '../../k8s/plan.js';
import { filesOf, modelIn, planOf, seedText, serviceIn } from './support/deployments.js';

const SEED = seedText();

const named = (plan: Plan, change: Change['change'], kind: string): string[] => plan.changes.filter((entry) => entry.change === change && entry.kind === kind).map(({ name }) => name.replace(/-[0-9a-f]{8}$/, '-#'));
const podsOf = ({ costs }: Plan, name: string) => {
  const { before, after } = costs.find(({ service }) => service === name)!;
  return [before.pods.max, after.pods.max];
};

describe('the plan', () => {
  it('of nothing changed has no change and no meaning, and still says what is weak', () => {
    const plan = planOf(SEED, SEED);
    expect(plan).toMatchObject({ changes: [], meaning: [] });
    expect(plan.warnings.join(' ')).toContain('RabbitMQ with 2 pod(s) survives no loss');
    expect(plan.total.before).toEqual(plan.total.after);
  });

  it('of a first deployment makes everything, 56 pods of a quota of 50, with a warning', () => {
    const plan = planOf(undefined, seedText((config) => (config.platform = { quota: { pods: 50 } })));
    expect(new Set(plan.changes.map(({ change }) => change))).toEqual(new Set(['added']));
    expect(plan.total.after.pods).toEqual({ min: 56, max: 56 });
    expect(plan.warnings[0]).toBe('The quota is 50 pods, and 56 are asked for: 6 will not start. Ask for more, or for fewer pods in config.json.');
  });

  it('of more pods scales, and restarts none', () => {
    const plan = planOf(SEED, seedText((config) => (modelIn(config, 'indexing', 'resnet')['pods'] = 8)), new Map([['resnet', { vectors: 1_000_000, dim: 2048 }]]));
    expect(plan.changes).toEqual(['index-resnet-2-0', 'index-resnet-2-1'].map((name) => expect.objectContaining({ change: 'changed', kind: 'StatefulSet', name, effect: '5 → 8 pods; none restarts' }) as unknown));
    expect(plan.changes[0]!.diff).toMatchInlineSnapshot(`
      "--- statefulset-index-resnet-2-0.yaml
      +++ statefulset-index-resnet-2-0.yaml
      @@ -11,5 +11,5 @@
           app.kubernetes.io/managed-by: eis-deploy
       spec:
      -  replicas: 5
      +  replicas: 8
         serviceName: index-resnet-2-0
         podManagementPolicy: Parallel"
    `);
    expect(podsOf(plan, 'index resnet')).toEqual([10, 16]);
    expect(plan.meaning).toMatchInlineSnapshot(`
      [
        "resnet: 5 pod(s) → 8 pod(s) for each of 2 index shard(s). New ones load their share from the store; the others stay as they are. A pod needs some 1870 MiB for 500,000 vectors, of 2048 MiB that it may have.",
      ]
    `);
  });

  it('of more shards puts a new set beside the old, and replaces the gateways of that model alone', () => {
    const plan = planOf(SEED, seedText((config) => (modelIn(config, 'indexing', 'resnet')['num_indexes'] = 3)), new Map([['resnet', { vectors: 3_000_000, dim: 2048 }]]));
    expect(named(plan, 'added', 'StatefulSet')).toEqual(['index-resnet-3-0', 'index-resnet-3-1', 'index-resnet-3-2']);
    expect(named(plan, 'removed', 'StatefulSet')).toEqual(['index-resnet-2-0', 'index-resnet-2-1']);
    expect(named(plan, 'changed', 'Deployment')).toEqual(['gateway-resnet']);
    expect(plan.peakPods).toBe(56 + 15 + 5);
    expect(plan.meaning).toMatchInlineSnapshot(`
      [
        "resnet: 2 → 3 index shards. 3 new ones of 5 pod(s) load from the store beside the old, which answer until all are ready; then the gateways are replaced, and the old ones go. No vector moves in the store, and nothing is embedded again. A pod needs some 3626 MiB for 1,000,000 vectors, of 2048 MiB that it may have. It would be killed: num_indexes has to be 6 at least.",
      ]
    `);
  });

  it('of another algorithm says what is approximate, and what answers meanwhile', () => {
    const plan = planOf(SEED, seedText((config) => {
      modelIn(config, 'indexing', 'resnet')['index_algorithm'] = 'hnsw';
      modelIn(config, 'indexing', 'custom')['index_algorithm'] = 'kd_tree';
    }));
    expect(named(plan, 'changed', 'StatefulSet')).toEqual(['index-custom-1-0', 'index-resnet-2-0', 'index-resnet-2-1']);
    expect(plan.meaning).toEqual([expect.stringMatching(/^resnet: brute → hnsw, which is approximate\..*the other replicas of its shard answer/), expect.stringMatching(/^custom: brute → kd_tree\..*answers are partial/)]);
  });

  it('of a new model says what it needs before it finds anything, and from whom it takes searches', () => {
    const plan = planOf(SEED, seedText((config) => {
      config.models.push({ name: 'vgg16' });
      for (const service of ['extract_worker', 'indexing', 'serving']) serviceIn(config, service).models.push({ name: 'vgg16', pods: 1 });
      (serviceIn(config, 'nginx')['serving_weights'] as object[]).push({ name: 'vgg16', weight: 1 });
    }), new Map([['resnet', { vectors: 40_000, dim: 2048 }]]));
    expect(named(plan, 'added', 'Deployment')).toEqual(['gateway-vgg16', 'worker-vgg16']);
    expect(named(plan, 'changed', 'Deployment')).toEqual(['nginx', 'wrapper']);
    expect(plan.meaning).toEqual([
      'vgg16: new. It needs its function first (FUNCTION_URL), and finds nothing until all 40,000 images that are known are embedded for it: "eis backfill vgg16" after this.',
      expect.stringMatching(/^Of the searches that name no model 25 % go elsewhere: .*vgg16 0 % → 25 %/),
    ]);
  });

  it('of a removed model removes what is its own', () => {
    const plan = planOf(SEED, seedText((config) => {
      config.models = config.models.filter(({ name }) => name !== 'mobilenet');
      for (const service of ['extract_worker', 'indexing', 'serving']) serviceIn(config, service).models = serviceIn(config, service).models.filter(({ name }) => name !== 'mobilenet');
      serviceIn(config, 'nginx')['serving_weights'] = [{ name: 'resnet', weight: 1 }, { name: 'custom', weight: 1 }];
    }));
    expect(named(plan, 'removed', 'Deployment')).toEqual(['gateway-mobilenet', 'worker-mobilenet']);
    expect(named(plan, 'removed', 'StatefulSet')).toEqual(['index-mobilenet-1-0']);
    expect(named(plan, 'changed', 'StatefulSet')).toEqual([]);
    expect(plan.meaning[0]).toMatch(/^mobilenet: removed\..*its embeddings stay in the store/);
  });

  it('of a shadow replaces the gateways of that model, which ask both models, and Prometheus, which looks at it, and says what it costs', () => {
    const shadowed = seedText((config) => (modelIn(config, 'serving', 'resnet')['shadow'] = { model: 'mobilenet', share: 0.1 }));
    const plan = planOf(seedText(), shadowed);
    const replaced = 'its pods are replaced, one after the other';
    expect(plan.changes.map(({ kind, name, effect }) => [kind, name.replace(/-[0-9a-f]{8}$/, ''), effect])).toEqual([['ConfigMap', 'gateway-resnet', undefined], ['ConfigMap', 'grafana-dashboards', undefined], ['ConfigMap', 'prometheus', undefined], ['Deployment', 'gateway-resnet', replaced], ['StatefulSet', 'prometheus', replaced]]);
    expect(plan.meaning).toEqual(['resnet: 10 % of its searches are answered by mobilenet as well, for the metrics alone (eis_shadow_…): so many more calls of its function and of its index pods, when they have room for them. Its gateways are replaced.']);
    expect(planOf(shadowed, seedText()).meaning).toEqual(['resnet: no search is answered by mobilenet as well any more. Its gateways are replaced.']);
  });

  it('of our own autoscaler says which rights it takes, which ranges it leaves, and what it may cost', () => {
    const ranges = (autoscaling: string): string => seedText((config) => {
      modelIn(config, 'serving', 'resnet')['pods'] = { min: 2, max: 20 };
      serviceIn(config, 'nginx')['pods'] = { min: 1, max: 3 };
      config.platform = { autoscaling };
    });
    const plan = planOf(ranges('none'), ranges('eis'));
    expect(plan.warnings.join(' ')).toMatch(/renders a ServiceAccount, a Role and a RoleBinding.*needs the right to give that right.*nginx stay at the least/);
    expect(plan.costs.find(({ service }) => service === 'gateway resnet')!.after.pods).toEqual({ min: 2, max: 20 });
    expect(plan.changes.find(({ name, kind }) => kind === 'Deployment' && name === 'gateway-resnet')!.effect).toBe('2 → autoscaled pods; none restarts');
    expect(planOf(ranges('none'), seedText((config) => (config.platform = { autoscaling: 'eis' }))).warnings.join(' ')).toContain('nothing is scaled, and no autoscaler runs');
  });

  it('of other weights replaces nginx alone, and says which share of the searches moves', () => {
    const weights = (resnet: number): string => seedText((config) => (serviceIn(config, 'nginx')['serving_weights'] = [{ name: 'resnet', weight: resnet }, { name: 'mobilenet', weight: 1 }]));
    const plan = planOf(weights(1), weights(3));
    expect(plan.changes.map(({ kind, name, before }) => [kind, name.replace(/-[0-9a-f]{8}$/, '-#'), before?.replace(/-[0-9a-f]{8}$/, '-#')])).toEqual([['ConfigMap', 'nginx-#', 'nginx-#'], ['Deployment', 'nginx', undefined]]);
    expect(plan.changes[0]!.diff).toMatch(/-\s+50\.00% resnet;\n\+\s+75\.00% resnet;/);
    expect(plan.meaning).toEqual(['Of the searches that name no model 25 % go elsewhere: resnet 50 % → 75 %, mobilenet 50 % → 25 %. nginx is replaced for it; no index and no gateway is.']);
  });

  it('of another model file says that every image has to be embedded again', () => {
    const plan = planOf(SEED, seedText((config) => (config.models[2]!['model_url'] = 'https://example.com/other.h5')));
    expect(plan.changes).toEqual([]);
    expect(plan.meaning).toEqual([expect.stringMatching(/^custom: another model or preprocessing\..*embedded again/)]);
  });

  it('knows when vectors do not fit into the pods, and how many shards they need', () => {
    const plan = planOf(undefined, SEED, new Map([['custom', { vectors: 2_000_000, dim: 2048 }]]));
    expect(plan.meaning.at(-1)).toMatch(/It would be killed: num_indexes has to be 4 at least\.$/);
  });

  it('knows that a quota that holds the whole may not hold what runs meanwhile', () => {
    const after = (pods: number): string => seedText((config) => {
      modelIn(config, 'indexing', 'resnet')['num_indexes'] = 3;
      config.platform = { quota: { pods } };
    });
    expect(planOf(SEED, after(70)).warnings[0]).toMatch(/^While this is applied up to 76 pods run at once, and the quota is 70/);
    expect(planOf(SEED, after(76)).warnings[0]).toMatch(/^RabbitMQ/);
  });

  it('says what has to be done by hand when there are fewer members of a cluster', () => {
    const fewer = seedText((config) => {
      serviceIn(config, 'rabbitmq')['pods'] = 1;
      (serviceIn(config, 'mongo')['services'] as { name: string; pods?: number }[]).find(({ name }) => name === 'shard')!.pods = 2;
    });
    const { warnings } = planOf(SEED, fewer);
    expect(warnings.join('\n')).toMatch(/rs\.remove\(\)/);
    expect(warnings.join('\n')).toMatch(/forget_cluster_node/);
  });

  it('names shards of MongoDB that would go, with what they hold', () => {
    const fewer = seedText((config) => ((serviceIn(config, 'mongo')['services'] as { name: string; shards?: number }[]).find(({ name }) => name === 'shard')!.shards = 1));
    expect(planOf(SEED, fewer)).toMatchObject({ lostShards: ['mongo-shard-1'], warnings: expect.arrayContaining([expect.stringContaining('mongo-shard-1 holds a part of every collection')]) as unknown });
    expect(planOf(SEED, SEED).lostShards).toEqual([]);
  });

  it('tells what is asked for from what autoscalers may ask for, when the quota is met', () => {
    const scaled = (quota: number): string => seedText((config) => {
      modelIn(config, 'serving', 'resnet')['pods'] = { min: 10, max: 30 };
      config.platform = { autoscaling: 'hpa', quota: { pods: quota } };
    });
    expect(planOf(undefined, scaled(40)).warnings[0]).toBe('The quota is 40 pods, and 46 are asked for, without what autoscalers add: 6 will not start. Ask for more, or for fewer pods in config.json.');
    expect(planOf(undefined, scaled(60)).warnings[0]).toBe('The quota is 60 pods. 46 are asked for, and autoscalers may ask for up to 66: the last 6 of those will not start.');
  });

  it('counts the Job that a first deployment runs, and what runs by the clock', () => {
    const quota = (pods: number): string => seedText((config) => (config.platform = { quota: { pods } }));
    expect(planOf(undefined, quota(56))).toMatchObject({ peakPods: 57, warnings: expect.arrayContaining([expect.stringMatching(/^While this is applied up to 57 pods run at once, and the quota is 56/)]) as unknown });
    expect(planOf(quota(56), quota(56)).warnings[0]).toBe('The quota is 56 pods, and 56 run all the time: none is left for what runs by the clock, which will not start.');
    expect(planOf(quota(57), quota(57)).warnings[0]).toMatch(/^RabbitMQ/);
  });

  it('does not say that nothing runs, when it cannot read what was rendered last', () => {
    const current = new Map([...filesOf(SEED), ['config.json', '{"models":[]}']]);
    const plan = makePlan({ current, staging: filesOf(SEED), config: parseConfig(SEED, '/config.json'), counts: new Map() });
    expect(plan).toMatchObject({ changes: [], meaning: [] });
    const other = seedText((config) => (modelIn(config, 'indexing', 'resnet')['pods'] = 8));
    expect(makePlan({ current, staging: filesOf(other), config: parseConfig(other, '/config.json'), counts: new Map() }).meaning).toEqual([expect.stringMatching(/^What runs was rendered from a config.json that this version cannot read/)]);
  });

  it('knows what Kubernetes does not let change', () => {
    const larger = new Map([...filesOf(SEED)].map(([file, text]) => [file, file.startsWith('statefulset-rabbitmq') ? text.replace('storage: 10Gi', 'storage: 5Gi') : text]));
    const { changes } = makePlan({ current: larger, staging: filesOf(SEED), config: parseConfig(SEED, '/config.json'), counts: new Map() });
    expect(changes).toEqual([expect.objectContaining({ name: 'rabbitmq', effect: expect.stringMatching(/^Kubernetes refuses another volumeClaimTemplates: .*oc delete statefulset\/rabbitmq --cascade=orphan/) as unknown })]);
  });
});
