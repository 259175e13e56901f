/**
 * The schema of config.json: what may stand in the file. `config.schema.json` is written from it (`npm run schema`) for
 * editors; `config.ts` validates with it and resolves defaults and relations.
 */
import { Type, type Static, type TObject, type TProperties } from 'typebox';

/** A closed object: an unknown property is a mistake, not an extension. */
function closed<P extends TProperties>(properties: P, description?: string): TObject<P> {
  return Type.Object(properties, { additionalProperties: false, ...(description ? { description } : {}) });
}

export const MODEL_NAME_PATTERN = '^[a-z][a-z0-9_-]{0,39}$';
const ModelName = Type.String({ pattern: MODEL_NAME_PATTERN, description: 'lowercase letters, digits, _ and -, starting with a letter, at most 40' });

export const PREPROCESSING = ['[-1,1]', '[0,1]', 'caffe', 'torch', 'raw'] as const;
export const ENGINES = ['auto', 'tfjs-wasm', 'tfjs-node', 'onnxruntime'] as const;
export const INDEX_ALGORITHMS = ['brute', 'hnsw', 'kd_tree'] as const;
export const AUTOSCALING = ['none', 'hpa', 'keda', 'eis'] as const;

const oneOf = <T extends readonly string[]>(values: T, description: string) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], description });

const Pods = Type.Union(
  [Type.Integer({ minimum: 1 }), closed({ min: Type.Integer({ minimum: 1 }), max: Type.Integer({ minimum: 1 }) })],
  { description: 'how many, or { "min", "max" } to be autoscaled' },
);
export type PodsConfig = Static<typeof Pods>;

const ModelUrl = Type.String({ minLength: 1, description: 'http(s)://, gs://, or a path (from this file) of a TF.js model.json, a Keras .keras or .h5, or the folder of one' });

const definition = {
  sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'of the file that model_url names, not of its weights' })),
  layer: Type.Optional(Type.String({ minLength: 1, description: 'output layer; default: the pooled features under the classifier' })),
  input_size: Type.Optional(Type.Integer({ minimum: 8, maximum: 2048, description: 'pixels of the square input, where the model leaves it open' })),
  preprocess: Type.Optional(oneOf(PREPROCESSING, 'how pixels become numbers')),
  engine: Type.Optional(oneOf(ENGINES, 'what runs the model; auto: the fastest that can')),
};

export const ModelSchema = closed({
  name: ModelName,
  model_url: Type.Optional(ModelUrl),
  ...definition,
  next: Type.Optional(closed({ model_url: ModelUrl, ...definition }, 'what the model is to be embedded with from now on: runs beside it until eis reembed has switched to it')),
});

const ByModelPods = closed({ name: ModelName, pods: Type.Optional(Pods) });

const ServingModel = closed({
  name: ModelName,
  pods: Type.Optional(Pods),
  shadow: Type.Optional(closed({ model: ModelName, share: Type.Number({ minimum: 0, maximum: 1 }) }, 'a model that is tried out: it answers a share of the searches as well, for the metrics alone')),
});

const IndexingModel = closed({
  name: ModelName,
  num_indexes: Type.Optional(Type.Integer({ minimum: 1, maximum: 4096, description: 'shards that the collection is split into' })),
  pods: Type.Optional(Pods),
  index_algorithm: Type.Optional(oneOf(INDEX_ALGORITHMS, 'brute and kd_tree are exact, hnsw approximate; kd_tree is of use up to about 10 dimensions')),
  connectivity: Type.Optional(Type.Integer({ minimum: 2, maximum: 512, description: 'hnsw: neighbours per node' })),
  expansion_add: Type.Optional(Type.Integer({ minimum: 1, maximum: 65536, description: 'hnsw: candidates while building' })),
  expansion_search: Type.Optional(Type.Integer({ minimum: 1, maximum: 65536, description: 'hnsw: candidates while searching, at first' })),
});

const FunctionModel = closed({
  name: ModelName,
  memory: Type.Optional(Type.String({ pattern: '^[1-9][0-9]*(Mi|Gi)$' })),
  cpu: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 32 })),
  concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
  min_instances: Type.Optional(Type.Integer({ minimum: 0 })),
  max_instances: Type.Optional(Type.Integer({ minimum: 1 })),
  timeout_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 3600 })),
});

const ServiceAccount = Type.String({ pattern: '^[^@\\s]+@[^@\\s]+$', description: 'the address of a service account: service_account is what the functions run as, invoker what gateways and workers call them as' });

/** MongoDB lets no more members vote. */
const ReplicaSetPods = Type.Integer({ minimum: 1, maximum: 7 });

const MongoPart = Type.Union([
  closed({ name: Type.Literal('config_db'), pods: Type.Optional(ReplicaSetPods) }),
  closed({ name: Type.Literal('router'), pods: Type.Optional(Pods) }),
  closed({ name: Type.Literal('shard'), shards: Type.Optional(Type.Integer({ minimum: 1 })), pods: Type.Optional(ReplicaSetPods) }),
]);

/** Each service's schema by its name: chosen by name before validating, so that errors speak of the right one. */
export const SERVICE_SCHEMAS = {
  extract_worker: closed({ name: Type.Literal('extract_worker'), models: Type.Array(ByModelPods, { minItems: 1 }) }),
  indexing: closed({ name: Type.Literal('indexing'), models: Type.Array(IndexingModel, { minItems: 1 }) }),
  serving: closed({ name: Type.Literal('serving'), models: Type.Array(ServingModel, { minItems: 1 }) }),
  functions: closed({
    name: Type.Literal('functions'),
    project: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9-]{4,28}[a-z0-9]$', description: 'the id of a Google Cloud project: 6 to 30 lowercase letters, digits and -' })),
    region: Type.Optional(Type.String({ pattern: '^[a-z]+-[a-z]+[0-9]+$', description: 'a region of Google Cloud, such as europe-west1' })),
    service_account: Type.Optional(ServiceAccount),
    invoker: Type.Optional(ServiceAccount),
    models: Type.Optional(Type.Array(FunctionModel)),
  }),
  nginx: closed({
    name: Type.Literal('nginx'),
    pods: Type.Optional(Pods),
    serving_weights: Type.Optional(Type.Array(closed({ name: ModelName, weight: Type.Number({ minimum: 0 }) }))),
    sticky: Type.Optional(Type.Boolean({ description: 'whether a client that names no model keeps the one it was given first, by a cookie' })),
  }),
  rabbitmq_wrapper: closed({ name: Type.Literal('rabbitmq_wrapper'), pods: Type.Optional(Pods) }),
  rabbitmq: closed({ name: Type.Literal('rabbitmq'), pods: Type.Optional(Type.Integer({ minimum: 1 })) }),
  prometheus: closed({ name: Type.Literal('prometheus'), pods: Type.Optional(Type.Integer({ minimum: 1 })) }),
  dedupe: closed({
    name: Type.Literal('dedupe'),
    schedule: Type.Optional(Type.String({ pattern: '^[^\\s]+( [^\\s]+){4}$', description: 'when near-duplicates are looked for and grouped, as cron has it; default: 47 2 * * *. Without this service they are not' })),
  }, 'finds near-duplicates by the clock (eis dedupe --apply)'),
  mongo: closed({ name: Type.Literal('mongo'), services: Type.Optional(Type.Array(MongoPart)) }),
} as const;
export type ServiceName = keyof typeof SERVICE_SCHEMAS;

export const PlatformSchema = closed({
  namespace: Type.Optional(Type.String({ pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' })),
  image_registry: Type.Optional(Type.String({ minLength: 1 })),
  quota: Type.Optional(closed({ pods: Type.Optional(Type.Integer({ minimum: 1 })), cpu_per_pod: Type.Optional(Type.Number({ exclusiveMinimum: 0 })) })),
  tracing: Type.Optional(
    closed({
      endpoint: Type.String({ pattern: '^https?://[^/\\s]+', description: 'the http:// or https:// URL of an OpenTelemetry collector (OTLP over HTTP), such as http://collector:4318' }),
      sample: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'share of the searches that are traced, where the caller does not decide' })),
    }),
  ),
  environment: Type.Optional(
    Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), { description: 'environment variables of every process of ours that is deployed, by name: limits (EIS_…), EIS_FETCH_…, EIS_CORS_ORIGINS, LOG_LEVEL' }),
  ),
  autoscaling: Type.Optional(oneOf(AUTOSCALING, 'what scales pods; keda needs its CRDs installed; eis is a process of our own, which scales gateways and workers alone and needs a service account that may')),
  autoscale: Type.Optional(
    closed(
      {
        in_flight_per_pod: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'requests that one gateway is to answer at once' })),
        queue_age_s: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'seconds for which an image may wait in the queue' })),
        cooldown_s: Type.Optional(Type.Integer({ minimum: 15, description: 'seconds between two changes of one Deployment' })),
      },
      'what autoscaling "eis" aims at',
    ),
  ),
});

/** The file with its services still to be looked at one by one. */
export const FileSchema = closed({
  $schema: Type.Optional(Type.String()),
  models: Type.Array(ModelSchema, { minItems: 1 }),
  services: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
  platform: Type.Optional(PlatformSchema),
});

/** The whole file, for editors: published as config.schema.json. */
export const PublishedSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'elastic-image-search configuration',
  ...FileSchema,
  properties: { ...FileSchema.properties, services: { type: 'array', items: { anyOf: Object.values(SERVICE_SCHEMAS) } } },
};

export type ModelFile = Static<typeof ModelSchema>;
/** What of a model's entry says which model it is. */
export type DefinitionFile = Omit<ModelFile, 'name' | 'next'>;
export type PlatformFile = Static<typeof PlatformSchema>;
export type ServiceFile = { [N in ServiceName]: Static<(typeof SERVICE_SCHEMAS)[N]> };
