/** What `gcloud` is told of a function, from config.json. Plain values in, the words of a command line out. */
import type { FunctionConfig, FunctionsPlace } from '../../common/config.js';
import { limitVariable } from '../../common/limits.js';
import type { ModelLane } from '../../common/model-lanes.js';
import { functionName } from '../bundle/function-name.js';

const RUNTIME = 'nodejs22';

/** The target that functions-framework serves. */
const ENTRY_POINT = 'embed';

export interface FunctionDeployment {
  readonly model: ModelLane;
  readonly settings: FunctionConfig;
  readonly place: FunctionsPlace;
  /** The folder of its bundle, from where gcloud runs. */
  readonly source: string;
  /** Environment variables that it is given beside its own. */
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * Deploys a function that answers nobody without an identity. Variables that it has and that are not named here go: the
 * line says all. Cloud Run lets in as many requests at once as the function takes.
 */
export function deployArguments({ model, settings, place, source, variables }: FunctionDeployment): string[] {
  const { memory, cpu, concurrency, minInstances, maxInstances, timeoutS } = settings;
  return [
    'functions', 'deploy', functionName(model), '--gen2', ...placeFlags(place), `--runtime=${RUNTIME}`, `--entry-point=${ENTRY_POINT}`, `--source=${source}`, '--trigger-http', '--no-allow-unauthenticated',
    `--memory=${memory}`, `--cpu=${cpu}`, `--concurrency=${concurrency}`, `--min-instances=${minInstances}`, `--max-instances=${maxInstances}`, `--timeout=${timeoutS}s`,
    ...(place.serviceAccount === undefined ? [] : [`--service-account=${place.serviceAccount}`]),
    `--set-env-vars=${joinVariables({ [limitVariable('functionConcurrency')]: String(concurrency), ...variables })}`,
    '--quiet',
  ];
}

/** Lets the account of gateways and workers call a function; undefined where config.json names none. */
export function bindingArguments({ model, place }: Pick<FunctionDeployment, 'model' | 'place'>): string[] | undefined {
  return place.invoker === undefined ? undefined : ['functions', 'add-invoker-policy-binding', functionName(model), ...placeFlags(place), `--member=serviceAccount:${place.invoker}`, '--quiet'];
}

/** Asks for a function's address: that of Cloud Run, under which the function's own paths are. */
export function addressArguments({ model, place }: Pick<FunctionDeployment, 'model' | 'place'>): string[] {
  return ['functions', 'describe', functionName(model), '--gen2', ...placeFlags(place), '--format=value(serviceConfig.uri)'];
}

function placeFlags({ project, region }: FunctionsPlace): string[] {
  return [...(project === undefined ? [] : [`--project=${project}`]), ...(region === undefined ? [] : [`--region=${region}`])];
}

const SEPARATORS = [',', '|', ';', '#', '~'];

/** As `gcloud topic escaping` has it: what values hold commas are separated by what none of them holds. */
function joinVariables(variables: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const separator = SEPARATORS.find((candidate) => pairs.every((pair) => !pair.includes(candidate))) ?? '^';
  return separator === ',' && !pairs[0]?.startsWith('^') ? pairs.join(',') : `^${separator}^${pairs.join(separator)}`;
}

/** A command line for a POSIX shell. */
export function shellLine(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`)).join(' ');
}
