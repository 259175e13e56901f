/**
 * Which processes `npm start` runs, and what each is told: every role of the configuration through the entry point that
 * its pod uses, once for each model or shard, on ports counted from the base port.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../common/config.js';
import { variableSuffix, type Environment } from '../common/environment.js';
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

/** The processes of one machine. Pure: the same configuration and environment give the same plan. */
export function planProcesses(config: Config, environment: Environment): ProcessSpec[] {
  const { basePort } = environment;
  const functions = config.models.map((model, i) => ({ model: model.name, port: basePort + portOf(PORTS.function, i) }));
  const indexes = [...config.indexing].flatMap(([model, { shards }]) => Array.from({ length: shards }, (_, shard) => ({ model, shard, shards })));
  const pods = indexes.map((index, i) => ({ ...index, port: basePort + portOf(PORTS.index, i) }));
  const wrapperPort = basePort + PORTS.wrapper;
  const shared = {
    EIS_CONFIG: config.file,
    EIS_DATA_DIR: environment.dataDir,
    HOST: '127.0.0.1',
    NODE_ENV: 'production',
    EIS_CLOSE_TIMEOUT_MS: String(CLOSE_TIMEOUT_MS),
    WRAPPER_URL: localUrl(wrapperPort),
    ...Object.fromEntries(functions.map(({ model, port }) => [`FUNCTION_URL_${variableSuffix(model)}`, localUrl(port)])),
    ...Object.fromEntries([...config.indexing.keys()].map((model) => [`INDEX_URLS_${variableSuffix(model)}`, pods.filter((pod) => pod.model === model).map(({ port }) => localUrl(port)).join(';')])),
  };
  const service = (spec: Pick<ProcessSpec, 'role' | 'model' | 'port'>, detail: string, env: Record<string, string> = {}): ProcessSpec => ({
    ...spec,
    name: `${spec.role}${detail}`,
    module: fileURLToPath(compiledUrl(ENTRIES[spec.role])),
    args: [],
    env: { ...shared, ...env, PORT: String(spec.port) },
    readyPath: '/readyz',
  });
  return [
    ...functions.map(({ model, port }) => functionProcess(model, port, shared)),
    ...pods.map(({ model, shard, shards, port }) => ({ ...service({ role: 'index', model, port }, ` ${model} ${shard}/${shards}`, { MODEL: model, SHARD: `${shard}/${shards}` }), nodeFlags: INDEX_NODE_FLAGS })),
    ...[...config.extractWorkers.keys()].map((model, i) => service({ role: 'worker', model, port: basePort + portOf(PORTS.worker, i) }, ` ${model}`, { MODEL: model })),
    service({ role: 'wrapper', port: wrapperPort }, ''),
    service({ role: 'gateway', port: environment.port ?? basePort }, '', environment.model === undefined ? {} : { MODEL: environment.model }),
  ];
}

/** The function runs as it does in the cloud: through the functions framework. */
function functionProcess(model: string, port: number, shared: Readonly<Record<string, string>>): ProcessSpec {
  return {
    role: 'function',
    model,
    name: `function ${model}`,
    module: FRAMEWORK,
    args: ['--target=embed', `--source=${fileURLToPath(compiledUrl(ENTRIES.function))}`],
    port,
    env: { ...shared, MODEL: model, PORT: String(port) },
    readyPath: '/ready',
  };
}

/** Where a process of this machine is reached. */
export function localUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
}
