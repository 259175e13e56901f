/**
 * Which processes `npm start` runs, and what each is told: every role of the configuration through the entry point that
 * its pod uses, once for each model or shard, on ports counted from the base port.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../common/config.js';
import { variableSuffix, type Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { LANES, laneQueue, type Lane } from '../common/lanes.js';
import { INDEX_NODE_FLAGS } from '../common/node-flags.js';
import { compiledUrl } from '../common/package-root.js';

export interface ProcessSpec {
  readonly role: 'function' | 'index' | 'worker' | 'wrapper' | 'gateway';
  /** Of the roles that run once for each model. */
  readonly model?: string;
  /** `index builtin 0/2`: as it is named to a person and, without spaces, as its log file. */
  readonly name: string;
  readonly module: string;
  readonly args: readonly string[];
  /** For Node itself. */
  readonly nodeFlags?: readonly string[];
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  /** Answers 200 when the process can serve. */
  readonly readyPath: string;
}

/** Offsets from the base port. A second block takes what does not fit into the first. */
const PORTS = {
  wrapper: 1,
  worker: { first: 2, count: 8, overflow: 3000 },
  function: { first: 10, count: 10, overflow: 1000 },
  index: { first: 20, count: 900, overflow: 2000 },
} as const;

/** A person at Ctrl-C waits no longer, and nothing is lost: what was accepted is in the queue. */
const CLOSE_TIMEOUT_MS = 4_000;

function portOf(block: { readonly first: number; readonly count: number; readonly overflow: number }, i: number): number {
  return i < block.count ? block.first + i : block.overflow + i;
}

/** The entry points that the pods use. */
const ENTRIES: Readonly<Record<ProcessSpec['role'], string>> = {
  function: 'functions/index.ts',
  index: 'indexer/main.ts',
  worker: 'ingest/worker-main.ts',
  wrapper: 'ingest/wrapper-main.ts',
  gateway: 'gateway/main.ts',
};

/** The framework's command, beside its library, wherever npm put it. */
const FRAMEWORK = join(dirname(fileURLToPath(import.meta.resolve('@google-cloud/functions-framework'))), 'main.js');

/** The processes of one machine, each model's main lane. Pure: the same configuration and environment give the same plan. */
export function planProcesses(config: Config, environment: Environment): ProcessSpec[] {
  const { basePort } = environment;
  const plan = planFor(config, environment);
  return [
    ...plan.lane('main'),
    plan.service({ role: 'wrapper', port: basePort + PORTS.wrapper }, ''),
    plan.service({ role: 'gateway', port: environment.port ?? basePort }, '', environment.model === undefined ? {} : { MODEL: environment.model }),
  ];
}

/**
 * The processes of a model's second lane, on ports behind those of the main lanes.
 *
 * @param configFile of its function, in which the model is what it is to become
 */
export function planSecondLane(config: Config, environment: Environment, { model, configFile }: { readonly model: string; readonly configFile: string }): ProcessSpec[] {
  return planFor(config, environment)
    .lane('next')
    .filter((spec) => spec.model === model)
    .map((spec) => (spec.role === 'function' ? { ...spec, env: { ...spec.env, EIS_CONFIG: configFile } } : spec));
}

/** Where the function and the index pods of a lane are on this machine. */
export function localLane(config: Config, environment: Environment, { model, lane }: { readonly model: string; readonly lane: Lane }): { readonly functionUrl: string; readonly indexUrls: readonly string[] } {
  const { functions, pods } = placesOf(config, environment, lane);
  const port = functions.find((each) => each.model === model)?.port;
  if (port === undefined) throw new EisError('EIS_MODEL_UNKNOWN', { model, known: config.models.map(({ name }) => name) });
  return { functionUrl: localUrl(port), indexUrls: pods.filter((pod) => pod.model === model).map((pod) => localUrl(pod.port)) };
}

interface Places {
  readonly functions: readonly { readonly model: string; readonly port: number }[];
  readonly pods: readonly { readonly model: string; readonly shard: string; readonly port: number }[];
  readonly workers: readonly { readonly model: string; readonly port: number }[];
}

function placesOf(config: Config, { basePort }: Environment, lane: Lane): Places {
  const shards = [...config.indexing].flatMap(([model, { shards: of }]) => Array.from({ length: of }, (_, i) => ({ model, shard: `${i}/${of}` })));
  const behind = (count: number): number => (lane === 'next' ? count : 0);
  return {
    functions: config.models.map(({ name }, i) => ({ model: name, port: basePort + portOf(PORTS.function, behind(config.models.length) + i) })),
    pods: shards.map((pod, i) => ({ ...pod, port: basePort + portOf(PORTS.index, behind(shards.length) + i) })),
    workers: [...config.extractWorkers.keys()].map((model, i) => ({ model, port: basePort + portOf(PORTS.worker, behind(config.extractWorkers.size) + i) })),
  };
}

interface Plan {
  lane(lane: Lane): ProcessSpec[];
  service(spec: Pick<ProcessSpec, 'role' | 'model' | 'port'>, detail: string, env?: Record<string, string>): ProcessSpec;
}

function planFor(config: Config, environment: Environment): Plan {
  const places = { main: placesOf(config, environment, 'main'), next: placesOf(config, environment, 'next') };
  const shared = {
    EIS_CONFIG: config.file,
    EIS_DATA_DIR: environment.dataDir,
    HOST: '127.0.0.1',
    NODE_ENV: 'production',
    EIS_CLOSE_TIMEOUT_MS: String(CLOSE_TIMEOUT_MS),
    WRAPPER_URL: localUrl(environment.basePort + PORTS.wrapper),
    // The main lanes last: a model may be called as the second lane of another would be.
    ...Object.fromEntries(LANES.toReversed().flatMap((lane) => [
      ...places[lane].functions.map(({ model, port }) => [`FUNCTION_URL_${variableSuffix(model, lane)}`, localUrl(port)]),
      ...[...config.indexing.keys()].map((model) => [`INDEX_URLS_${variableSuffix(model, lane)}`, places[lane].pods.filter((pod) => pod.model === model).map(({ port }) => localUrl(port)).join(';')]),
    ])) as Record<string, string>,
  };
  const service: Plan['service'] = (spec, detail, env = {}) => ({
    ...spec,
    name: `${spec.role}${detail}`,
    module: fileURLToPath(compiledUrl(ENTRIES[spec.role])),
    args: [],
    env: { ...shared, ...env, PORT: String(spec.port) },
    readyPath: '/readyz',
  });
  const lane: Plan['lane'] = (name) => {
    const { functions, pods, workers } = places[name];
    const of = name === 'next' ? { LANE: 'next' } : {};
    return [
      ...functions.map(({ model, port }) => functionProcess(model, port, { name: laneQueue(model, name), env: shared })),
      ...pods.map(({ model, shard, port }) => ({ ...service({ role: 'index', model, port }, ` ${laneQueue(model, name)} ${shard}`, { MODEL: model, SHARD: shard, ...of }), nodeFlags: INDEX_NODE_FLAGS })),
      ...workers.map(({ model, port }) => service({ role: 'worker', model, port }, ` ${laneQueue(model, name)}`, { MODEL: model, ...of })),
    ];
  };
  return { lane, service };
}

/** The function runs as it does in the cloud: through the functions framework. */
function functionProcess(model: string, port: number, { name, env }: { readonly name: string; readonly env: Readonly<Record<string, string>> }): ProcessSpec {
  return {
    role: 'function',
    model,
    name: `function ${name}`,
    module: FRAMEWORK,
    args: ['--target=embed', `--source=${fileURLToPath(compiledUrl(ENTRIES.function))}`],
    port,
    env: { ...env, MODEL: model, PORT: String(port) },
    readyPath: '/ready',
  };
}

/** Where a process of this machine is reached. */
export function localUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
}
