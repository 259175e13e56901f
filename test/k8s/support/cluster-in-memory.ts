/**
 * A cluster that answers what `oc` is asked, in the memory of the test: it takes command lines, as the fake `oc` of
 * `fake-oc.sh` does, but starts no process for each.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { CommandFailure, createCluster, type Call, type Cluster } from '../../../k8s/cluster.js';
import { SECRETS } from '../../../k8s/manifests/names.js';

const parsed = new Map<string, Live>();

/** Reading YAML takes most of the time of an apply, and the files of many are the same. */
function parseOnce(text: string): Live {
  const object = parsed.get(text) ?? (parse(text) as Live);
  parsed.set(text, object);
  return { ...object, ...(object.spec ? { spec: { ...object.spec } } : {}) };
}

interface Live {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>>; readonly ownerReferences?: readonly object[] };
  readonly spec?: { replicas?: number; [key: string]: unknown };
  readonly status?: object;
}

export class ClusterInMemory {
  readonly calls: string[] = [];
  /** The call that fails, counted from 1; an apply that fails has applied its first file. */
  failAt = 0;
  secrets: readonly string[] = Object.values(SECRETS).map(({ name }) => name);
  apis: readonly string[] = ['apps', 'route.openshift.io', 'keda.sh'];
  /** Of the ConfigMap function-urls, which somebody made. */
  functionUrls: Readonly<Record<string, string>> = { FUNCTION_URL_BUILTIN: 'https://embed.example.com' };
  pods: readonly object[] = [];
  /** What the wrapper says is embedded again. */
  reembeddings: readonly object[] = [];
  /** How Jobs end that are applied now. */
  jobsEnd = 'Complete';
  /** What autoscalers were given: by `kind/name`, and how many pods each had then. */
  readonly handedOver: [id: string, replicas: number][] = [];
  readonly #objects = new Map<string, Live>();

  get cluster(): Cluster {
    return createCluster(this.#call);
  }

  /** `kind/name` of what is in it. */
  get ids(): string[] {
    return [...this.#objects.keys()].sort();
  }

  find(id: string): Live | undefined {
    return this.#objects.get(id);
  }

  put(object: Live): void {
    this.#objects.set(`${object.kind.toLowerCase()}/${object.metadata.name}`, object);
  }

  remove(id: string): void {
    this.#objects.delete(id);
  }

  /** Another one with the same in it, of which nothing was asked yet. */
  copy(): ClusterInMemory {
    const copy = new ClusterInMemory();
    for (const object of this.#objects.values()) copy.put(object);
    return copy;
  }

  readonly #call: Call = async (args, input = '') => {
    this.calls.push(args.join(' '));
    const fails = this.calls.length === this.failAt;
    const [verb, what = ''] = args;
    if (verb === 'apply') this.#apply(args, input, fails);
    if (fails) throw new CommandFailure(['oc', ...args], 'the server is away');
    if (verb === 'exec') return JSON.stringify({ queues: [], reembeddings: this.reembeddings });
    if (verb === 'api-versions') return this.apis.map((group) => `${group}/v1\n`).join('');
    if (verb === 'delete') for (const id of args.slice(1).filter((arg) => arg.includes('/'))) this.#objects.delete(id.replace(/\.[a-z.]+\//, '/'));
    return verb === 'get' ? this.#get(what, args) : '';
  };

  #get(what: string, args: readonly string[]): string {
    if (what === 'secret') return this.secrets.map((name) => `secret/${name}\n`).join('');
    if (what === 'configmap') return JSON.stringify({ data: this.functionUrls });
    if (what === 'pods') return JSON.stringify({ items: this.pods });
    if (what.includes('/')) {
      const object = this.#objects.get(what);
      if (object === undefined) return '';
      return args.includes('json') ? JSON.stringify(object) : String(object.spec?.replicas ?? 1);
    }
    const kinds = what.split(',').map((kind) => kind.split('.')[0]);
    return JSON.stringify({ items: [...this.#objects.values()].filter(({ kind, metadata: { labels = {} } }) => kinds.includes(kind.toLowerCase()) && labels['app.kubernetes.io/managed-by'] === 'eis-deploy') });
  }

  #apply(args: readonly string[], input: string, fails: boolean): void {
    const files = args.filter((_, i) => args[i - 1] === '-f');
    if (files[0] === '-') {
      if (fails) return;
      const { kind, metadata: { name }, spec: { replicas } } = JSON.parse(input) as { kind: string; metadata: { name: string }; spec: { replicas: number } };
      const id = `${kind.toLowerCase()}/${name}`;
      if (!this.#objects.has(id)) throw new CommandFailure(['oc', ...args], `${id}: spec.selector: Required value`);
      this.handedOver.push([id, replicas]);
      return;
    }
    for (const file of fails ? files.slice(0, 1) : files) this.#applyOne(parseOnce(readFileSync(file, 'utf8')));
  }

  #applyOne(object: Live): void {
    const before = this.#objects.get(`${object.kind.toLowerCase()}/${object.metadata.name}`);
    if (object.kind === 'Job') return this.put({ ...object, status: before?.status ?? { conditions: [{ type: 'Suspended', status: 'False' }, { type: this.jobsEnd, status: 'True', message: 'BackoffLimitExceeded' }] } });
    this.put(before?.spec?.replicas !== undefined && object.spec && object.spec.replicas === undefined && 'template' in object.spec ? { ...object, spec: { ...object.spec, replicas: before.spec.replicas } } : object);
  }
}
