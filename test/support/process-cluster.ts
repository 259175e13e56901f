/**
 * A cluster of processes: what the manifests of a configuration say, with a process in the place of each pod. It is applied
 * in the order of an apply (k8s/phases.ts): each phase is ready before the next begins, pods whose template changed are
 * replaced, and what is not part of it any more goes last. Gateways stand behind a balancer.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { limitVariable } from '../../common/limits.js';
import type { ConfigMap, Manifest } from '../../k8s/manifests/objects.js';
import { phaseOf } from '../../k8s/phases.js';
import { manifestsOf } from '../k8s/support/deployments.js';
import { Balancer } from './balancer.js';
import { RoleProcess } from './role-process.js';

type Workload = Extract<Manifest, { kind: 'Deployment' | 'StatefulSet' }>;
type Component = (typeof COMPONENTS)[number];

/** Those that run here; the store and the queue are LMDB in the folder that all of them share. */
const COMPONENTS = ['index', 'wrapper', 'worker', 'gateway'] as const;
/** Shorter than in a cluster, whose endpoints take longer to reach everybody. */
const DRAIN_MS = 1_500;

export interface ProcessClusterOptions {
  readonly folder: string;
  /** Where functions are, by variable; for those who are told of it. */
  readonly functionUrls: Readonly<Record<string, string>>;
  /** Further variables of every process. */
  readonly env: Readonly<Record<string, string>>;
}

interface Running {
  readonly template: string;
  readonly text: string;
  pods: RoleProcess[];
}

export class ProcessCluster {
  readonly #options: ProcessClusterOptions;
  readonly #running = new Map<string, Running>();
  #objects: readonly Manifest[] = [];
  #balancer: Balancer | undefined;
  #count = 0;

  constructor(options: ProcessClusterOptions) {
    this.#options = options;
  }

  /** Where searches go. */
  get url(): string {
    return this.#balancer?.url ?? '';
  }

  /** The names of what runs. */
  get names(): string[] {
    return [...this.#running.keys()].sort();
  }

  podsOf(name: string): readonly RoleProcess[] {
    return this.#running.get(name)?.pods ?? [];
  }

  /**
   * Brings it to a configuration.
   *
   * @returns the names of what was made, replaced or removed, in this order
   */
  async apply(text: string): Promise<string[]> {
    this.#objects = manifestsOf(text);
    const wanted = this.#objects.filter(isOurs).sort((a, b) => phaseOf(a) - phaseOf(b));
    const done: string[] = [];
    for (const workload of wanted) {
      const { name } = workload.metadata;
      const [before, template] = [this.#running.get(name), JSON.stringify(workload.spec!.template)];
      if (before?.template === template) continue;
      done.push(`${before ? 'replaced' : 'made'} ${name}`);
      const running: Running = { template, text, pods: [] };
      for (let i = 0; i < (workload.spec?.replicas ?? 1); i++) running.pods.push(await this.#start(workload));
      this.#running.set(name, running);
      await this.#stop(before?.pods ?? []);
    }
    for (const name of this.names.filter((each) => !wanted.some(({ metadata }) => metadata.name === each))) {
      done.push(`removed ${name}`);
      await this.#stop(this.#running.get(name)?.pods ?? []);
      this.#running.delete(name);
    }
    return done;
  }

  /** Has another pod in the place of each of a workload, as after a node was drained. */
  async replacePods(name: string): Promise<void> {
    const running = this.#running.get(name) as Running;
    const before = running.pods;
    running.pods = await Promise.all(before.map(() => this.#start(this.#workload(name))));
    await this.#stop(before);
  }

  /** What a command is told that is run in a pod. */
  environmentOf(name: string): Record<string, string> {
    return this.#environment(this.#workload(name));
  }

  async close(): Promise<void> {
    await this.#balancer?.close();
    await Promise.all([...this.#running.values()].flatMap(({ pods }) => pods.map((pod) => pod.kill())));
  }

  #workload(name: string): Workload {
    return this.#objects.filter(isOurs).find(({ metadata }) => metadata.name === name) as Workload;
  }

  async #start(workload: Workload): Promise<RoleProcess> {
    const { name } = workload.metadata;
    const command = workload.spec!.template.spec!.containers[0]!.command!;
    const entry = command.at(-1)!.replace(/^dist\//, '').replace(/\.js$/, '.ts');
    const process = await RoleProcess.start({ entry, env: this.#environment(workload), logFile: join(this.#options.folder, `${name}-${this.#count++}.log`) });
    if (name.startsWith('gateway')) {
      if (this.#balancer) this.#balancer.add(process.url);
      else this.#balancer = await Balancer.start({ targets: [process.url], readyPath: '/readyz' });
    }
    return process;
  }

  async #stop(pods: readonly RoleProcess[]): Promise<void> {
    await Promise.all(pods.map((pod) => pod.stop()));
  }

  /** The variables of the manifests that have values, with the addresses of this machine for the names of Services. */
  #environment(workload: Workload): Record<string, string> {
    const { folder, functionUrls, env } = this.#options;
    const container = workload.spec!.template.spec!.containers[0]!;
    const given = Object.fromEntries((container.env ?? []).flatMap(({ name, value = functionUrls[name] }) => (value === undefined || value.includes('$(') ? [] : [[name, value.replace(/http:\/\/([\w-]+):8080/g, (_, host: string) => this.podsOf(host)[0]?.url ?? 'http://127.0.0.1:1')] as const])));
    return { ...given, EIS_CONFIG: this.#configFile(workload), EIS_DATA_DIR: folder, GOOGLE_APPLICATION_CREDENTIALS: '', [limitVariable('drainMs')]: String(DRAIN_MS), ...env };
  }

  /** What the pod's ConfigMap holds, at one place whatever it holds: paths in it are relative to that. */
  #configFile(workload: Workload): string {
    const configMap = workload.spec!.template.spec!.volumes!.find(({ name }) => name === 'config')!.configMap!.name!;
    const { data } = this.#objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMap) as ConfigMap;
    const folder = join(this.#options.folder, 'etc', workload.metadata.name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'config.json'), data!['config.json']!);
    return join(folder, 'config.json');
  }
}

function isOurs(object: Manifest): object is Workload {
  const component = object.metadata.labels['app.kubernetes.io/component'] as Component;
  return (object.kind === 'Deployment' || object.kind === 'StatefulSet') && COMPONENTS.includes(component);
}
