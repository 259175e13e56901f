/** Names and labels of objects. */
import { createHash } from 'node:crypto';
import { variableSuffix } from '../../common/environment.js';
import type { Lane } from '../../common/lanes.js';
import type { ModelLane } from '../../common/model-lanes.js';
import type { EnvVar } from './objects.js';

/** Everything of one kind of pod; objects that hold none carry the component that they serve. The order in which they are applied: `phases.ts`. */
export type Component = 'gateway' | 'wrapper' | 'worker' | 'index' | 'nginx' | 'rabbitmq' | 'mongo-config' | 'mongo-shard' | 'mongo-router' | 'mongo-init' | 'prometheus' | 'cron' | 'dedupe' | 'autoscaler';

export const COMPONENT_LABEL = 'app.kubernetes.io/component';
export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by';
/** Its value on what we made: nothing else is ever removed. */
export const MANAGED_BY = 'eis-deploy';
/** On everything, and on every pod. */
export const PART_OF = { 'app.kubernetes.io/part-of': 'elastic-image-search' };
const INSTANCE_LABEL = 'app.kubernetes.io/instance';
export const MODEL_LABEL = 'eis-model';
/** On what is of a model's second lane; that of its main lane has none, because labels of pods that run cannot be changed without replacing them. */
export const LANE_LABEL = 'eis-lane';

/** StatefulSets and CronJobs give their pods longer names, and labels of these end at 63 characters. */
const NAME_LENGTH_MAX = 52;

/** A name of an object from its parts; one that would be too long is cut and ends in a hash of the whole. */
export function resourceName(...parts: readonly (string | number)[]): string {
  const name = parts.join('-');
  return name.length <= NAME_LENGTH_MAX ? name : `${name.slice(0, NAME_LENGTH_MAX - 9).replace(/-+$/, '')}-${shortHash(name)}`;
}

/** Eight hex digits of sha256. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** A group of equal pods: what they are, and what they are called. */
export interface Workload {
  readonly component: Component;
  readonly name: string;
  readonly model?: string;
  /** Of the model. Default: main, or what both lanes share. */
  readonly lane?: Lane;
}

export function labelsOf({ component, name, model, lane = 'main' }: Workload): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'elastic-image-search',
    [INSTANCE_LABEL]: name,
    [COMPONENT_LABEL]: component,
    ...(model === undefined ? {} : { [MODEL_LABEL]: model }),
    ...(lane === 'main' ? {} : { [LANE_LABEL]: lane }),
    ...PART_OF,
    [MANAGED_BY_LABEL]: MANAGED_BY,
  };
}

/** Selects the pods of one workload. Never changes: Kubernetes does not allow it. */
export function selectorOf({ name }: Workload): Record<string, string> {
  return { ...PART_OF, [INSTANCE_LABEL]: name };
}

/** Where every HTTP service of ours listens in its pod. */
export const HTTP_PORT = 8080;

export function httpUrl(service: string): string {
  return `http://${service}:${HTTP_PORT}`;
}

export function gatewayName(kubernetesName: string): string {
  return resourceName('gateway', kubernetesName);
}

export function workerName(kubernetesName: string): string {
  return resourceName('worker', kubernetesName);
}

/** The StatefulSet, and the headless service, of one shard: another number of shards is another set beside it. */
export function indexName(kubernetesName: string, shards: number, shard: number): string {
  return resourceName('index', kubernetesName, shards, shard);
}

export const WRAPPER = 'wrapper';
export const RABBITMQ = 'rabbitmq';

/** The addresses of a lane's index pods: each shard's is its headless service, whose name stands for every replica that is ready. */
export function indexUrls(kubernetesName: string, shards: number): string {
  return Array.from({ length: shards }, (_, shard) => httpUrl(indexName(kubernetesName, shards, shard))).join(';');
}

/** Secrets that somebody makes by hand; here they are only referred to. */
export const SECRETS = {
  mongo: { name: 'eis-mongo', keys: { rootPassword: 'root-password', password: 'password', keyfile: 'keyfile' } },
  rabbitmq: { name: 'eis-rabbitmq', keys: { password: 'password', cookie: 'erlang-cookie' } },
  bucket: { name: 'eis-bucket', keys: { uri: 'uri' } },
  google: { name: 'eis-google', keys: { key: 'key.json' } },
  /** Optional. */
  apiKeys: { name: 'eis-api-keys', keys: { keys: 'keys' } },
  /** Optional: `authorization=Bearer …`. */
  tracing: { name: 'eis-tracing', keys: { headers: 'headers' } },
} as const;

export function secretVariable(name: string, secret: string, key: string, optional = false): EnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secret, key, ...(optional ? { optional } : {}) } } };
}

/** Where functions are that were deployed by other means: `oc create configmap function-urls --from-literal=FUNCTION_URL_RESNET=https://…`. */
export const FUNCTION_URLS = 'function-urls';

/** FUNCTION_URL_<MODEL> of a lane: as it is known, else from the ConfigMap that somebody makes. */
export function functionVariable({ name: model, lane, laneName }: ModelLane, functionUrls: ReadonlyMap<string, string>, optional = false): EnvVar {
  const name = `FUNCTION_URL_${variableSuffix(model, lane)}`;
  const url = functionUrls.get(laneName);
  return url === undefined ? { name, valueFrom: { configMapKeyRef: { name: FUNCTION_URLS, key: name, ...(optional ? { optional } : {}) } } } : { name, value: url };
}
