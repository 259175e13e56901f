import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { INDEX_NODE_FLAGS } from '../../common/node-flags.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { packagePath, packageVersion } from '../../common/package-root.js';
import { closeModels, connectModels } from '../../gateway/served-models.js';
import { topologyNames } from '../../ingest/queue/amqp-topology.js';
import { readFolder } from '../../k8s/folder.js';
import type { Manifest, PodTemplate } from '../../k8s/manifests/objects.js';
import { extractQueue } from '../../k8s/manifests/roles.js';
import { renderInto } from '../../k8s/deploy.js';
import { tempFolder } from '../support/temp-folder.js';
import { scaleTargets } from '../../autoscale/target.js';
import { gatewayName, workerName } from '../../k8s/manifests/names.js';
import { filesOf, manifestsOf, modelIn, seedText, serviceIn } from './support/deployments.js';
import { validate } from './support/validators.js';

const LONG = `a${'_b'.repeat(19)}c`;
const VARIANTS: Readonly<Record<string, string>> = {
  'the seed configuration': seedText(),
  'one model and nothing else': JSON.stringify({ models: [{ name: 'builtin' }] }),
  'names as long as they may be': JSON.stringify({ models: [{ name: LONG }], services: [{ name: 'indexing', models: [{ name: LONG, num_indexes: 12, index_algorithm: 'hnsw' }] }] }),
  'a registry, a quota and a sticky nginx': seedText((config) => {
    config.platform = { namespace: 'images', image_registry: 'registry.example.com/team', quota: { pods: 50, cpu_per_pod: 0.5 } };
    serviceIn(config, 'nginx')['sticky'] = true;
  }),
  'near-duplicates looked for by the clock': JSON.stringify({ models: [{ name: 'builtin' }, { name: 'resnet' }], services: [{ name: 'dedupe', schedule: '5 1 * * 0' }] }),
  'autoscaling by CPU': autoscaled('hpa'),
  'autoscaling by KEDA': autoscaled('keda'),
  'autoscaling by our own process': autoscaled('eis'),
};

function autoscaled(by: string): string {
  return seedText((config) => {
    config.platform = { autoscaling: by };
    modelIn(config, 'serving', 'resnet')['pods'] = { min: 2, max: 20 };
    modelIn(config, 'extract_worker', 'resnet')['pods'] = { min: 1, max: 8 };
    modelIn(config, 'indexing', 'resnet')['pods'] = { min: 2, max: 5 };
  });
}

describe('the job that groups near-duplicates', () => {
  const jobOf = (service: object[]) => find(manifestsOf(JSON.stringify({ models: [{ name: 'builtin' }], services: service })), 'CronJob', 'dedupe');

  it('runs when config.json says so, and not unless it does', () => {
    expect(jobOf([])).toBeUndefined();
    expect(jobOf([{ name: 'dedupe' }]).spec!.schedule).toBe('47 2 * * *');
    const { spec } = jobOf([{ name: 'dedupe', schedule: '5 1 * * 0' }]);
    expect(spec).toMatchObject({ schedule: '5 1 * * 0', concurrencyPolicy: 'Forbid' });
    const [container] = spec!.jobTemplate.spec!.template.spec!.containers;
    expect(container!.command).toEqual(['node', 'dist/cli.js', 'dedupe', '--apply', '--json']);
    expect(container!.env!.map(({ name }) => name)).toEqual(expect.arrayContaining(['EIS_CONFIG', 'EIS_DATA_DIR', 'MONGODB_URI']));
  });
});

function podOf(object: Manifest): PodTemplate | undefined {
  if (object.kind === 'CronJob') return object.spec?.jobTemplate.spec?.template;
  return object.kind === 'Deployment' || object.kind === 'StatefulSet' || object.kind === 'Job' ? object.spec?.template : undefined;
}

const find = <Kind extends Manifest['kind']>(objects: readonly Manifest[], kind: Kind, name: string) => objects.find((object): object is Extract<Manifest, { kind: Kind }> => object.kind === kind && object.metadata.name === name)!;

/** The environment of a container, with what it refers to made up. */
function environmentOf(object: Manifest): Record<string, string> {
  const madeUp = (name: string): string => (name.startsWith('FUNCTION_URL') ? 'https://function.example.com' : name === 'EIS_API_KEYS' ? 'search:*' : 'deadbeef');
  return Object.fromEntries((podOf(object)!.spec!.containers[0]!.env ?? []).map(({ name, value }) => [name, value ?? madeUp(name)]));
}

describe.each(Object.entries(VARIANTS))('rendering %s', (_name, text) => {
  const objects = manifestsOf(text);

  it('makes objects that Kubernetes takes', () => {
    for (const object of objects) expect(() => validate(object), `${object.kind} ${object.metadata.name}`).not.toThrow();
    expect(objects.length).toBeGreaterThan(30);
  });

  it('gives the same files every time, each object its own', () => {
    const [first, second] = [filesOf(text), filesOf(text)];
    expect([...second]).toEqual([...first]);
    expect(first.size).toBe(objects.length + 2);
  });

  it('names everything within what names and labels may have', () => {
    for (const { kind, metadata: { name, labels } } of objects) {
      expect(name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
      expect(name.length, name).toBeLessThanOrEqual(kind === 'StatefulSet' || kind === 'CronJob' ? 52 : 63);
      for (const value of Object.values(labels)) expect(value.length, value).toBeLessThanOrEqual(63);
    }
  });

  it('is clean under restricted-v2: no user, no root, nothing written but to volumes', () => {
    for (const object of objects) {
      const spec = podOf(object)?.spec;
      if (!spec) continue;
      const speaks = object.metadata.name === 'autoscaler'; // the one that asks the API of the cluster
      expect(spec).toMatchObject({ automountServiceAccountToken: speaks, enableServiceLinks: false, securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } } });
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC', ...(speaks ? [] : ['serviceAccountName'])]) expect(spec).not.toHaveProperty(key);
      for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
        expect(container.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
        expect(container.resources?.limits?.['memory'], container.name).toBeDefined();
        for (const port of container.ports ?? []) expect(port).not.toHaveProperty('hostPort');
        const volumes = [...(spec.volumes ?? []).map(({ name }) => name), 'data'];
        for (const { name } of container.volumeMounts ?? []) expect(volumes).toContain(name);
      }
      for (const volume of spec.volumes ?? []) expect(volume).not.toHaveProperty('hostPath');
    }
    expect(objects.filter(({ kind, metadata }) => /Role|ServiceAccount|Secret$/.test(kind) && metadata.name !== 'autoscaler')).toEqual([]);
  });

  it('refers to ConfigMaps that it makes, but for the one of function URLs', () => {
    const made = objects.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata: { name } }) => name);
    for (const object of objects) for (const { configMap } of podOf(object)?.spec?.volumes ?? []) if (configMap) expect(made).toContain(configMap.name);
  });
});

describe('the pods of the seed configuration', () => {
  const objects = manifestsOf(seedText());

  it('are as many as it says', () => {
    const pods = objects.reduce((sum, object) => sum + (object.kind === 'Deployment' || object.kind === 'StatefulSet' ? (object.spec?.replicas ?? 0) : 0), 0);
    expect(pods).toBe(56);
  });

  it('of a gateway are told what it reads, and it starts with that', async () => {
    for (const model of ['resnet', 'mobilenet', 'custom']) {
      const gateway = find(objects, 'Deployment', `gateway-${model}`);
      const environment = parseEnvironment(environmentOf(gateway));
      const configMap = find(objects, 'ConfigMap', podOf(gateway)!.spec!.volumes!.find(({ name }) => name === 'config')!.configMap!.name!);
      const asked: string[] = [];
      const resolve = async (host: string): Promise<string[]> => {
        asked.push(host);
        return ['10.1.2.3', '10.1.2.4'];
      };
      const models = await connectModels(parseConfig(configMap.data!['config.json']!, '/etc/eis/config.json'), environment, { metrics: new Metrics('gateway'), log: SILENT_LOG, resolve });
      for (const host of asked) expect(find(objects, 'Service', host).spec).toMatchObject({ clusterIP: 'None' });
      expect(asked).not.toEqual([]);
      expect([...models.keys()]).toEqual([model]);
      await closeModels(models);
    }
    expect(environmentOf(find(objects, 'Deployment', 'gateway-resnet'))).toMatchObject({
      MODEL: 'resnet',
      HOST: '0.0.0.0',
      INDEX_URLS_RESNET: 'http://index-resnet-2-0:8080;http://index-resnet-2-1:8080',
      FUNCTION_URL_RESNET: 'https://embed-resnet.example.com',
      WRAPPER_URL: 'http://wrapper:8080',
    });
  });

  it('of a gateway whose model has a shadow are told what that needs too', async () => {
    const shadowed = manifestsOf(seedText((config) => (modelIn(config, 'serving', 'resnet')['shadow'] = { model: 'mobilenet', share: 0.1 })));
    const gateway = find(shadowed, 'Deployment', 'gateway-resnet');
    const configMap = find(shadowed, 'ConfigMap', podOf(gateway)!.spec!.volumes!.find(({ name }) => name === 'config')!.configMap!.name!);
    const models = await connectModels(parseConfig(configMap.data!['config.json']!, '/etc/eis/config.json'), parseEnvironment(environmentOf(gateway)), { metrics: new Metrics('gateway'), log: SILENT_LOG, resolve: async () => ['10.1.2.3'] });
    expect([...models.values()].map(({ name, shadow }) => [name, shadow!.model.name, shadow!.share])).toEqual([['resnet', 'mobilenet', 0.1]]);
    expect(find(shadowed, 'Deployment', 'gateway-mobilenet')).toEqual(find(objects, 'Deployment', 'gateway-mobilenet'));
    await closeModels(models);
  });

  it('of an index shard know their share, keep a disk and start Node as index pods do', () => {
    const set = find(objects, 'StatefulSet', 'index-resnet-2-1');
    expect(parseEnvironment(environmentOf(set))).toMatchObject({ model: 'resnet', shard: { index: 1, of: 2 }, dataDir: '/data', mongodbUri: expect.stringContaining('mongo-router') as string });
    expect(podOf(set)!.spec!.containers[0]!.command).toEqual(['node', ...INDEX_NODE_FLAGS, 'dist/indexer/main.js']);
    expect(set.spec).toMatchObject({ replicas: 5, serviceName: 'index-resnet-2-1', persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete' } });
    expect(find(objects, 'Service', 'index-resnet-2-1').spec).toMatchObject({ clusterIP: 'None', selector: set.spec!.selector.matchLabels });
  });

  it('of workers and the wrapper have what they read', () => {
    for (const name of ['worker-resnet', 'worker-mobilenet', 'wrapper']) expect(parseEnvironment(environmentOf(find(objects, 'Deployment', name)))).toMatchObject({ amqpUrl: expect.stringContaining('rabbitmq') as string, bucket: 'deadbeef' });
  });

  it('are ended only after they were taken out of their services, and are asked about themselves alone', () => {
    for (const name of ['gateway-resnet', 'wrapper', 'worker-resnet']) expect(environmentOf(find(objects, 'Deployment', name))['EIS_DRAIN_MS']).toBe('10000');
    expect(podOf(find(objects, 'Deployment', 'nginx'))!.spec!.containers[0]!.lifecycle?.preStop?.exec?.command).toEqual(['sleep', '10']);
    for (const name of ['gateway-resnet', 'wrapper', 'worker-resnet', 'nginx']) {
      const { terminationGracePeriodSeconds: graceS, containers: [container] } = podOf(find(objects, 'Deployment', name))!.spec!;
      expect(graceS).toBeGreaterThan(10 + 20);
      expect(container!.livenessProbe?.httpGet?.path).toBe('/healthz');
      expect(container!.readinessProbe?.httpGet?.path).toBe('/readyz');
    }
  });

  it('read a configuration that says nothing of how many there are, so that scaling restarts none', () => {
    const more = manifestsOf(seedText((config) => (modelIn(config, 'indexing', 'resnet')['pods'] = 8)));
    expect(find(more, 'StatefulSet', 'index-resnet-2-0').spec!.template).toEqual(find(objects, 'StatefulSet', 'index-resnet-2-0').spec!.template);
    expect(find(more, 'Deployment', 'gateway-resnet').spec!.template).toEqual(find(objects, 'Deployment', 'gateway-resnet').spec!.template);
  });

  it('lose one at a time, where there are several', () => {
    const budgets = objects.filter(({ kind }) => kind === 'PodDisruptionBudget').map(({ metadata: { name } }) => name);
    expect(budgets).toEqual(['mongo-config', 'mongo-shard-0', 'mongo-shard-1', 'mongo-router', 'rabbitmq', 'index-resnet-2-0', 'index-resnet-2-1', 'worker-resnet', 'gateway-resnet']);
  });
});

describe('what surrounds the pods', () => {
  const objects = manifestsOf(seedText());

  it('lets nodes be drained of pods that are not well, but for those that hold a part of the data', () => {
    const policies = Object.fromEntries(objects.flatMap((object) => (object.kind === 'PodDisruptionBudget' ? [[object.metadata.name, object.spec!.unhealthyPodEvictionPolicy]] : [])));
    expect(policies).toMatchObject({ 'gateway-resnet': 'AlwaysAllow', 'index-resnet-2-0': 'AlwaysAllow', 'mongo-router': 'AlwaysAllow' });
    for (const member of ['mongo-config', 'mongo-shard-0', 'rabbitmq']) expect(policies[member]).toBeUndefined();
  });

  it('gives a member of MongoDB that was replaced time to catch up, before the next one is', () => {
    for (const name of ['mongo-config', 'mongo-shard-0']) expect(find(objects, 'StatefulSet', name).spec!.minReadySeconds).toBeGreaterThan(0);
    expect(find(objects, 'StatefulSet', 'index-resnet-2-0').spec).not.toHaveProperty('minReadySeconds');
  });

  it('lets other namespaces reach nginx and Prometheus alone, and KEDA the broker that it asks', () => {
    const closed = (of: readonly Manifest[]) => find(of, 'NetworkPolicy', 'within-namespace').spec!;
    expect(closed(objects)).toMatchObject({ podSelector: { matchExpressions: [{ operator: 'NotIn', values: ['nginx', 'prometheus'] }] }, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }] }] });
    expect(closed(manifestsOf(autoscaled('keda'))).podSelector.matchExpressions![0]!.values).toContain('rabbitmq');
  });

  it('lets no two objects of a kind have one name, whatever models are called', () => {
    const names = ['pods', 'scrape', 'a', 'a-2', 'a-2-1', 'urls', 'init', 'nodes'];
    const models = names.map((name) => ({ name }));
    const ids = manifestsOf(JSON.stringify({ models, services: [{ name: 'indexing', models: names.map((name) => ({ name, num_indexes: 3 })) }] })).map(({ kind, metadata: { name } }) => `${kind}/${name}`);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  });

  it('deploys as many shards as a gateway can be told of, and says how many that are', () => {
    const text = (shards: number): string => JSON.stringify({ models: [{ name: LONG }], services: [{ name: 'indexing', models: [{ name: LONG, num_indexes: shards }] }] });
    let most = 0;
    try {
      manifestsOf(text(4_096));
    } catch (error) {
      most = Number(/(\d+) or fewer can be deployed/.exec((error as Error).message)![1]);
    }
    expect(most).toBeGreaterThan(1_500);
    const gateway = manifestsOf(text(most)).find(({ kind, metadata: { labels } }) => kind === 'Deployment' && labels['app.kubernetes.io/component'] === 'gateway')!;
    const urls = podOf(gateway)!.spec!.containers[0]!.env!.find(({ name }) => name.startsWith('INDEX_URLS'))!.value!;
    expect(() => execFileSync('true', { env: { [`INDEX_URLS_${LONG.toUpperCase()}`]: urls } })).not.toThrow();
    expect(() => execFileSync('true', { env: { [`INDEX_URLS_${LONG.toUpperCase()}`]: urls + urls } })).toThrow(/E2BIG/);
  });

  it('tells every process of ours where traces go, when config.json does, with headers that only a Secret holds', () => {
    const traced = manifestsOf(seedText((config) => (config.platform = { tracing: { endpoint: 'http://collector:4318', sample: 0.1 } })));
    for (const [kind, name] of [['Deployment', 'gateway-resnet'], ['Deployment', 'worker-resnet'], ['Deployment', 'wrapper'], ['StatefulSet', 'index-resnet-2-0']] as const) {
      const variables = podOf(find(traced, kind, name))!.spec!.containers[0]!.env!;
      expect(parseEnvironment(environmentOf(find(traced, kind, name))).otlpEndpoint).toBe('http://collector:4318');
      expect(variables).toEqual(expect.arrayContaining([{ name: 'OTEL_TRACES_SAMPLER_ARG', value: '0.1' }, { name: 'OTEL_EXPORTER_OTLP_HEADERS', valueFrom: { secretKeyRef: { name: 'eis-tracing', key: 'headers', optional: true } } }]));
    }
    expect(environmentOf(find(objects, 'Deployment', 'gateway-resnet'))).not.toHaveProperty('OTEL_EXPORTER_OTLP_ENDPOINT');
  });

  it('keeps Prometheus from filling its disk', () => {
    const set = find(objects, 'StatefulSet', 'prometheus').spec!;
    const gibibytes = Number.parseInt(String(set.volumeClaimTemplates![0]!.spec!.resources!.requests!['storage']), 10);
    const megabytes = Number(/retention\.size=(\d+)MB/.exec(set.template.spec!.containers[0]!.command!.join(' '))![1]);
    expect(megabytes).toBeLessThan(gibibytes * 1024 * 0.9);
  });
});

describe('autoscaling', () => {
  it('by CPU leaves the number of pods to the autoscaler', () => {
    const objects = manifestsOf(autoscaled('hpa'));
    expect(find(objects, 'Deployment', 'gateway-resnet').spec).not.toHaveProperty('replicas');
    expect(find(objects, 'HorizontalPodAutoscaler', 'gateway-resnet').spec).toMatchObject({ minReplicas: 2, maxReplicas: 20, scaleTargetRef: { kind: 'Deployment', name: 'gateway-resnet' } });
    expect(find(objects, 'HorizontalPodAutoscaler', 'index-resnet-2-0').spec).toMatchObject({ scaleTargetRef: { kind: 'StatefulSet' } });
  });

  it('by KEDA scales workers by the queue that they take from, and the others by CPU', () => {
    const objects = manifestsOf(autoscaled('keda'));
    expect(find(objects, 'ScaledObject', 'worker-resnet').spec).toMatchObject({ minReplicaCount: 1, maxReplicaCount: 8, triggers: [{ metadata: { queueName: 'eis.extract.resnet' } }] });
    expect(objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler').map(({ metadata: { name } }) => name)).not.toContain('worker-resnet');
    expect(find(objects, 'HorizontalPodAutoscaler', 'gateway-resnet')).toBeDefined();
    expect(environmentOf(find(objects, 'Deployment', 'worker-resnet'))['AMQP_URL']).toMatch(/@rabbitmq\.elastic-image-search\.svc:5672$/); // KEDA asks from its own namespace
    expect(extractQueue('resnet')).toBe(topologyNames('eis').workQueue('resnet'));
  });

  it('by our own process scales gateways and workers alone, and it may do nothing else', () => {
    const objects = manifestsOf(autoscaled('eis'));
    for (const name of ['gateway-resnet', 'worker-resnet']) expect(find(objects, 'Deployment', name).spec).not.toHaveProperty('replicas');
    expect(find(objects, 'StatefulSet', 'index-resnet-2-0').spec).toHaveProperty('replicas');
    expect(objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject')).toEqual([]);
    expect(find(objects, 'Role', 'autoscaler').rules).toEqual([{ apiGroups: ['apps'], resources: ['deployments/scale'], resourceNames: ['gateway-resnet', 'worker-resnet'], verbs: ['get', 'patch'] }]);
    expect(find(objects, 'RoleBinding', 'autoscaler').subjects).toEqual([{ kind: 'ServiceAccount', name: 'autoscaler', namespace: 'elastic-image-search' }]);
    const pod = podOf(find(objects, 'Deployment', 'autoscaler'))!;
    expect(pod.spec).toMatchObject({ serviceAccountName: 'autoscaler', automountServiceAccountToken: true });
    expect(pod.spec!.containers[0]!.command).toEqual(['node', 'dist/cli.js', 'autoscale', '--apply']);
    expect(find(objects, 'Service', 'scrape-autoscaler').spec!.selector).toMatchObject({ 'app.kubernetes.io/component': 'autoscaler' });
  });

  it('by our own process: it reads the names and ranges that are rendered', () => {
    const objects = manifestsOf(autoscaled('eis'));
    const configMap = find(objects, 'ConfigMap', podOf(find(objects, 'Deployment', 'autoscaler'))!.spec!.volumes!.find(({ name }) => name === 'config')!.configMap!.name!);
    const config = parseConfig(configMap.data!['config.json']!, '/etc/eis/config.json');
    const targets = scaleTargets(config, (role, name) => (role === 'gateway' ? gatewayName(name) : workerName(name)));
    expect(targets.map(({ deployment, min, max }) => [deployment, min, max])).toEqual([['gateway-resnet', 2, 20], ['worker-resnet', 1, 8]]);
    expect(config.platform).toMatchObject({ namespace: 'elastic-image-search', autoscale: { inFlightPerPod: 16, queueAgeS: 60, cooldownS: 120 } });
    for (const { deployment } of targets) expect(find(objects, 'Deployment', deployment)).toBeDefined();
  });

  it('by our own process, where nothing has a range of pods, runs no autoscaler, and Prometheus misses none', () => {
    const objects = manifestsOf(JSON.stringify({ models: [{ name: 'builtin' }], platform: { autoscaling: 'eis' } }));
    expect(objects.filter(({ metadata: { name } }) => name.includes('autoscaler'))).toEqual([]);
    const prometheus = objects.find(({ kind, metadata: { name } }) => kind === 'ConfigMap' && name.startsWith('prometheus-')) as { data: Record<string, string> };
    for (const text of Object.values(prometheus.data)) expect(text).not.toContain('autoscaler');
  });

  it('makes no service account, and gives no pod a token, unless our own process scales', () => {
    for (const kind of ['none', 'hpa', 'keda']) {
      const objects = manifestsOf(autoscaled(kind));
      expect(objects.filter(({ kind: of }) => /Role|ServiceAccount/.test(of))).toEqual([]);
    }
  });

  it('is off unless asked for: a range is then its least', () => {
    const objects = manifestsOf(autoscaled('none'));
    expect(find(objects, 'Deployment', 'gateway-resnet').spec!.replicas).toBe(2);
    expect(objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler' || kind === 'ScaledObject')).toEqual([]);
  });
});

describe('the platform', () => {
  const objects = manifestsOf(VARIANTS['a registry, a quota and a sticky nginx']!);

  it('names the registry of every image', () => {
    const images = new Set(objects.flatMap((object) => podOf(object)?.spec?.containers ?? []).map(({ image }) => image));
    expect([...images].sort()).toEqual(['elastic-image-search:1.2.3', 'mongo:8.0', 'nginx-unprivileged:1.28', 'prometheus:v3.5.0', 'rabbitmq:4.1'].map((image) => `registry.example.com/team/${image}`));
  });

  it('makes another Job of one whose pods are others, since a Job cannot be changed', () => {
    const jobs = [objects, manifestsOf(seedText())].map((set) => set.find(({ kind }) => kind === 'Job')!.metadata.name);
    expect(jobs[0]).toMatch(/^mongo-init-[0-9a-f]{8}$/);
    expect(jobs[1]).not.toBe(jobs[0]);
  });

  it('holds CPUs down to what a pod may have', () => {
    expect(podOf(find(objects, 'StatefulSet', 'index-resnet-2-0'))!.spec!.containers[0]!.resources).toMatchObject({ requests: { cpu: '500m' }, limits: { cpu: '500m' } });
  });
});

describe('k8s/current', () => {
  it('is what the shipped config.json renders to (else: npm run eis -- deploy --render --out k8s/current)', () => {
    const rendered = renderInto(tempFolder(), { config: loadConfig(packagePath('config.json')), version: packageVersion(), folder: tempFolder() });
    expect([...readFolder(packagePath('k8s/current'))!]).toEqual([...rendered]);
  });
});

describe('files', () => {
  it('are readable as they are', () => {
    const files = filesOf(seedText());
    expect(files.get('service-index-resnet-2-0.yaml')).toMatchInlineSnapshot(`
      "apiVersion: v1
      kind: Service
      metadata:
        name: index-resnet-2-0
        labels:
          app.kubernetes.io/name: elastic-image-search
          app.kubernetes.io/instance: index-resnet-2-0
          app.kubernetes.io/component: index
          eis-model: resnet
          app.kubernetes.io/part-of: elastic-image-search
          app.kubernetes.io/managed-by: eis-deploy
      spec:
        clusterIP: None
        selector:
          app.kubernetes.io/part-of: elastic-image-search
          app.kubernetes.io/instance: index-resnet-2-0
        ports:
          - name: http
            port: 8080
            targetPort: http
      "
    `);
    expect(files.get('poddisruptionbudget-rabbitmq.yaml')).toMatchInlineSnapshot(`
      "apiVersion: policy/v1
      kind: PodDisruptionBudget
      metadata:
        name: rabbitmq
        labels:
          app.kubernetes.io/name: elastic-image-search
          app.kubernetes.io/instance: rabbitmq
          app.kubernetes.io/component: rabbitmq
          app.kubernetes.io/part-of: elastic-image-search
          app.kubernetes.io/managed-by: eis-deploy
      spec:
        maxUnavailable: 1
        selector:
          matchLabels:
            app.kubernetes.io/part-of: elastic-image-search
            app.kubernetes.io/instance: rabbitmq
      "
    `);
    expect(files.get('route-search.yaml')).toMatchInlineSnapshot(`
      "apiVersion: route.openshift.io/v1
      kind: Route
      metadata:
        name: search
        labels:
          app.kubernetes.io/name: elastic-image-search
          app.kubernetes.io/instance: nginx
          app.kubernetes.io/component: nginx
          app.kubernetes.io/part-of: elastic-image-search
          app.kubernetes.io/managed-by: eis-deploy
        annotations:
          haproxy.router.openshift.io/timeout: 50s
      spec:
        to:
          kind: Service
          name: nginx
          weight: 100
        port:
          targetPort: http
        tls:
          termination: edge
          insecureEdgeTerminationPolicy: Redirect
      "
    `);
    expect(files.get('kustomization.yaml')!.split('\n').slice(0, 6).join('\n')).toMatchInlineSnapshot(`
      "apiVersion: kustomize.config.k8s.io/v1beta1
      kind: Kustomization
      namespace: elastic-image-search
      resources:
        - configmap-gateway-custom-6ec41b0d.yaml
        - configmap-gateway-mobilenet-20989d27.yaml"
    `);
  });

  it('say of MongoDB who is in which set', () => {
    const objects = manifestsOf(seedText());
    expect(environmentOf(find(objects, 'StatefulSet', 'mongo-shard-1'))).toMatchObject({ REPLICA_SET: 'mongo-shard-1', MEMBERS: 'mongo-shard-1-0.mongo-shard-1:27017,mongo-shard-1-1.mongo-shard-1:27017,mongo-shard-1-2.mongo-shard-1:27017' });
    expect(podOf(find(objects, 'Deployment', 'mongo-router'))!.spec!.containers[0]!.command).toContain('mongo-config/mongo-config-0.mongo-config:27017,mongo-config-1.mongo-config:27017,mongo-config-2.mongo-config:27017');
  });
});
