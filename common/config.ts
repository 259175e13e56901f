/**
 * Reads config.json, the single description of a deployment, and the environment, which holds only what differs by
 * place or is secret. Everything is validated, completed with defaults (`config-defaults.ts`) and frozen here; no other file reads either.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { resolveConfig } from './config-defaults.js';
import type { AUTOSCALING, ENGINES, INDEX_ALGORITHMS, PREPROCESSING } from './config-schema.js';
import { findRelationProblems, findSchemaProblems, type ConfigFile } from './config-validate.js';
import { EisError } from './errors.js';
import { parseEnvironment, type Environment } from './environment.js';
import type { Limits } from './limits.js';

export type Preprocess = (typeof PREPROCESSING)[number];
export type EngineChoice = (typeof ENGINES)[number];
export type IndexAlgorithm = (typeof INDEX_ALGORITHMS)[number];

/** What a model is: where its file is, and how it is used. Two that are equal give the same version. */
export interface ModelDefinition {
  /** An absolute path or a URL; undefined: the name says where it comes from. */
  readonly modelUrl: string | undefined;
  readonly sha256: string | undefined;
  readonly layer: string | undefined;
  readonly inputSize: number | undefined;
  readonly preprocess: Preprocess | undefined;
  readonly engine: EngineChoice;
}

export interface ModelConfig extends ModelDefinition {
  readonly name: string;
  /** The name as Kubernetes takes it: `_` becomes `-`. */
  readonly kubernetesName: string;
  /** What it is to be embedded with from now on: it has a second lane (`lanes.ts`). */
  readonly next?: ModelDefinition | undefined;
}

export interface Pods {
  readonly min: number;
  readonly max: number;
}

export interface IndexingConfig {
  readonly shards: number;
  readonly pods: Pods;
  readonly algorithm: IndexAlgorithm;
  readonly connectivity: number;
  readonly expansionAdd: number;
  readonly expansionSearch: number;
}

export interface ServingConfig {
  readonly pods: Pods;
  /** Share of the searches that name no model, relative to the other models'. */
  readonly weight: number;
  /** The model that answers a share (0 to 1) of its searches as well, unseen. */
  readonly shadow: { readonly model: string; readonly share: number } | undefined;
}

export interface FunctionConfig {
  readonly memory: string;
  readonly cpu: number;
  readonly concurrency: number;
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly timeoutS: number;
}

/** Where functions are deployed; what is undefined is gcloud's own setting. */
export interface FunctionsPlace {
  readonly project: string | undefined;
  readonly region: string | undefined;
  /** The service account that they run as. */
  readonly serviceAccount: string | undefined;
  /** The service account that gateways and workers call them as. */
  readonly invoker: string | undefined;
}

export interface Config {
  /** The file it was read from. */
  readonly file: string;
  readonly models: readonly ModelConfig[];
  /** By model name; a model that is not a key is not covered by the service. */
  readonly extractWorkers: ReadonlyMap<string, { readonly pods: Pods }>;
  readonly indexing: ReadonlyMap<string, IndexingConfig>;
  readonly serving: ReadonlyMap<string, ServingConfig>;
  readonly functions: ReadonlyMap<string, FunctionConfig>;
  readonly functionsPlace: FunctionsPlace;
  readonly nginx: { readonly pods: Pods; readonly sticky: boolean };
  readonly wrapper: { readonly pods: Pods };
  readonly rabbitmq: { readonly pods: number };
  readonly prometheus: { readonly pods: number };
  /** Undefined: near-duplicates are not looked for by the clock. */
  readonly dedupe: { readonly schedule: string } | undefined;
  readonly mongo: { readonly configPods: number; readonly routerPods: Pods; readonly shards: number; readonly podsPerShard: number };
  readonly platform: {
    readonly namespace: string;
    readonly imageRegistry: string | undefined;
    readonly quota: { readonly pods: number | undefined; readonly cpuPerPod: number | undefined };
    /** Undefined: nothing is traced. */
    readonly tracing: { readonly endpoint: string; readonly sample: number } | undefined;
    /** Variables of every process that is deployed, beside those that its role needs. */
    readonly environment: Readonly<Record<string, string>>;
    /** As these variables have them. */
    readonly limits: Limits;
    readonly autoscaling: (typeof AUTOSCALING)[number];
    /** What `eis` autoscaling aims at. */
    readonly autoscale: { readonly inFlightPerPod: number; readonly queueAgeS: number; readonly cooldownS: number };
  };
}

/**
 * Reads and resolves a configuration file.
 *
 * @throws EisError EIS_CONFIG_INVALID listing every problem with its path in the file
 */
export function loadConfig(file: string): Config {
  const absolute = resolve(file);
  let text: string;
  try {
    text = readFileSync(absolute, 'utf8');
  } catch (cause) {
    throw new EisError('EIS_CONFIG_INVALID', { file: absolute, problems: ['it cannot be read. Name another with EIS_CONFIG.'] }, { cause });
  }
  return parseConfig(text, absolute);
}

/** The same from text; `file` is named in errors, and relative `model_url`s resolve from its folder. */
export function parseConfig(text: string, file: string): Config {
  const fail = (problems: readonly string[], cause?: unknown): never => {
    throw new EisError('EIS_CONFIG_INVALID', { file, problems }, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    return fail([`it is not JSON: ${describeSyntaxError(text, cause as Error)}`], cause);
  }
  const problems = findSchemaProblems(value);
  if (problems.length > 0) fail(problems);
  const contents = value as ConfigFile;
  const relations = findRelationProblems(contents);
  if (relations.length > 0) fail(relations);
  return freezeDeep(resolveConfig(contents, file));
}

function describeSyntaxError(text: string, error: Error): string {
  const position = /position (\d+)/.exec(error.message)?.[1];
  if (position === undefined) return error.message;
  const before = text.slice(0, Number(position)).split('\n');
  return `line ${before.length}, column ${(before.at(-1) as string).length + 1}: ${error.message}`;
}

function freezeDeep<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !(value instanceof Map)) {
    Object.values(value).forEach(freezeDeep);
    Object.freeze(value);
  }
  return value;
}

/**
 * The configuration of one model.
 *
 * @throws EisError EIS_MODEL_UNKNOWN when the file has no such model
 */
export function modelConfig(config: Config, name: string): ModelConfig {
  const model = config.models.find((candidate) => candidate.name === name);
  if (!model) throw new EisError('EIS_MODEL_UNKNOWN', { model: name, known: config.models.map((candidate) => candidate.name) });
  return model;
}

/** The environment of this process, validated: see `parseEnvironment`. */
export function readEnvironment(): Environment {
  return parseEnvironment(process.env);
}
