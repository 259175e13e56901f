/** The environment variables that the system knows. Only `readEnvironment` of `config.ts` hands in the process's own. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { isKey, parseApiKeys, type ApiKeys } from './api-keys.js';
import { EisError } from './errors.js';
import { LANES, type Lane } from './lanes.js';
import { DEFAULT_LIMITS, limitVariable, type Limits } from './limits.js';
import { packagePath } from './package-root.js';

/** As curl and most tools read them: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or the same in lowercase. */
export interface ProxySettings {
  readonly httpsProxy: string | undefined;
  readonly httpProxy: string | undefined;
  /** Hosts that are reached without, separated by commas. */
  readonly noProxy: string | undefined;
}

/** From where images may be fetched. As it is written; `fetch-rules.ts` reads it. */
export interface FetchSettings {
  /** EIS_FETCH_ALLOW: CIDR ranges that may be fetched from although they are not public. */
  readonly allow: readonly string[];
  /** EIS_FETCH_DENY: CIDR ranges and host names (`*.example.com`: every name under it) that may not; it wins over `allow`. */
  readonly deny: readonly string[];
  /** EIS_FETCH_PORTS: ports and ranges of ports. */
  readonly ports: readonly string[];
}

export interface MlflowSettings {
  readonly trackingUri: string | undefined;
  readonly experiment: string | undefined;
  readonly token: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** What differs by place, or is secret. */
export interface Environment {
  readonly configFile: string;
  /** Whether npm runs this process as one of the package's scripts, through a shell that passes no signal on. */
  readonly isNpmScript: boolean;
  readonly dataDir: string;
  /** What relative paths on the command line are relative to: npm runs its scripts in the package's own folder. */
  readonly workingDir: string;
  /** Cloud Run sets K_SERVICE, for Cloud Functions too: what is written to the disk there takes memory, and goes with the instance. */
  readonly isCloudRun: boolean;
  /** To listen on: this machine only, unless HOST says otherwise or this runs on Cloud Run. */
  readonly host: string;
  /** Undefined: the role's own default. */
  readonly port: number | undefined;
  readonly basePort: number;
  readonly model: string | undefined;
  /** LANE: the lane of the model that this process belongs to. */
  readonly lane: Lane;
  /** Counted from 0. */
  readonly shard: { readonly index: number; readonly of: number } | undefined;
  readonly mongodbUri: string | undefined;
  readonly amqpUrl: string | undefined;
  readonly bucket: string | undefined;
  readonly wrapperUrl: string | undefined;
  /** Where the models known by name are fetched from instead of their official addresses: a URL or a folder that holds a folder for each. */
  readonly modelMirror: string | undefined;
  /** Through which models are downloaded. */
  readonly proxy: ProxySettings;
  /** Of the gateway's callers. */
  readonly apiKeys: ApiKeys;
  /** The key that commands send to a gateway. */
  readonly apiKey: string | undefined;
  /** Origins whose pages may call the gateway's API. */
  readonly corsOrigins: readonly string[];
  /** CIDR ranges of the proxies that are believed what they say of a client, its address among it. */
  readonly trustProxy: readonly string[];
  readonly logLevel: string;
  /** CLOUDSDK_CORE_PROJECT and CLOUDSDK_FUNCTIONS_REGION, which gcloud reads too: where functions are deployed. */
  readonly google: { readonly project: string | undefined; readonly region: string | undefined };
  /** Those variables that a function reads and that are set here: what a deployed one is given. */
  readonly functionVariables: Readonly<Record<string, string>>;
  /** OTEL_EXPORTER_OTLP_ENDPOINT: where traces go; undefined: nothing is traced. */
  readonly otlpEndpoint: string | undefined;
  /** MLFLOW_*, as MLflow's own client reads them: where evaluations are logged. As they are written: one that is of no use here is no error of any process. */
  readonly mlflow: MlflowSettings;
  readonly fetchFrom: FetchSettings;
  readonly limits: Limits;
  /** FUNCTION_URL_<MODEL>; of its second lane FUNCTION_URL_<MODEL>_NEXT. */
  functionUrl(model: string, lane?: Lane): string | undefined;
  /** INDEX_URLS_<MODEL>, or INDEX_URLS_<MODEL>_NEXT: by shard, the addresses of its replicas. */
  indexUrls(model: string, lane?: Lane): readonly (readonly string[])[] | undefined;
}

/**
 * Without the ports below 1024 that are not the web's. What listens there speaks other protocols (mail, shells, files), and
 * a stranger's URL makes this machine, by its good name, connect to them. Web servers that are not at 80 or 443 are above.
 */
const DEFAULT_FETCH_PORTS = '80,443,1024-65535';

/** Limits that the function holds. That of its images at once is its concurrency in config.json. */
const FUNCTION_LIMITS: readonly (keyof Limits)[] = ['imageBytesMax', 'imagePixelsMax', 'decodeTimeoutMs', 'fetchTimeoutMs', 'fetchRedirectsMax', 'urlLengthMax', 'functionTimeoutMs'];
/** The variables that a function reads. */
export const FUNCTION_VARIABLES: readonly string[] = ['LOG_LEVEL', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'EIS_FETCH_ALLOW', 'EIS_FETCH_DENY', 'EIS_FETCH_PORTS', ...FUNCTION_LIMITS.map(limitVariable)];

/**
 * What `platform.environment` of config.json may hold: what every process of a deployment may be given alike. A function's images at once
 * are its `concurrency`, and how long a pod drains is the deployment's own.
 */
export const PLATFORM_VARIABLES: readonly string[] = [
  'LOG_LEVEL',
  'EIS_CORS_ORIGINS',
  'EIS_FETCH_ALLOW',
  'EIS_FETCH_DENY',
  'EIS_FETCH_PORTS',
  ...(Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).filter((name) => name !== 'functionConcurrency' && name !== 'drainMs').map(limitVariable),
];

const PACKAGE_NAME = 'elastic-image-search';
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

/**
 * Validates environment variables and completes them with defaults. An empty variable counts as unset.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID naming the variable and what would be right
 */
export function parseEnvironment(variables: Readonly<Record<string, string | undefined>>): Environment {
  const read = (name: string): string | undefined => variables[name] || undefined;
  const invalid = (variable: string, detail: string): never => {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable, detail });
  };
  const integer = (name: string, min: number, max: number): number | undefined => {
    const text = read(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    return Number.isInteger(value) && value >= min && value <= max ? value : invalid(name, `${JSON.stringify(text)} is not a whole number from ${min} to ${max}.`);
  };
  const url = (name: string): string | undefined => {
    const text = read(name);
    if (text !== undefined && !isHttpUrl(text)) invalid(name, `${JSON.stringify(text)} is not an http:// or https:// URL.`);
    return text?.replace(/\/+$/, '');
  };
  const readProxy = (name: string): string | undefined => url(name) ?? url(name.toLowerCase());
  const level = read('LOG_LEVEL') ?? 'info';
  if (!LOG_LEVELS.includes(level)) invalid('LOG_LEVEL', `${JSON.stringify(level)} is none of ${LOG_LEVELS.join(', ')}.`);
  const isCloudRun = read('K_SERVICE') !== undefined;
  const isNpmScript = read('npm_package_name') === PACKAGE_NAME && read('npm_lifecycle_event') !== undefined;
  return {
    configFile: resolve(read('EIS_CONFIG') ?? packagePath('config.json')),
    isNpmScript,
    dataDir: resolve(read('EIS_DATA_DIR') ?? 'data'),
    workingDir: resolve(isNpmScript ? (read('INIT_CWD') ?? '.') : '.'),
    isCloudRun,
    host: read('HOST') ?? (isCloudRun ? '0.0.0.0' : '127.0.0.1'),
    port: integer('PORT', 0, 65_535),
    basePort: integer('EIS_BASE_PORT', 1, 64_000) ?? 8080,
    model: read('MODEL'),
    lane: readLane(read('LANE'), invalid),
    shard: readShard(read('SHARD'), invalid),
    mongodbUri: readMongodbUri(read('MONGODB_URI'), invalid),
    amqpUrl: readAmqpUrl(read('AMQP_URL'), invalid),
    bucket: read('BUCKET'),
    wrapperUrl: url('WRAPPER_URL'),
    modelMirror: readMirror(read('EIS_MODEL_MIRROR'), invalid),
    proxy: { httpsProxy: readProxy('HTTPS_PROXY'), httpProxy: readProxy('HTTP_PROXY'), noProxy: read('NO_PROXY') ?? read('no_proxy') },
    apiKeys: parseApiKeys(splitList(read('EIS_API_KEYS')), (detail) => invalid('EIS_API_KEYS', detail)),
    apiKey: readApiKey(read('EIS_API_KEY'), invalid),
    corsOrigins: readOrigins(splitList(read('EIS_CORS_ORIGINS')), invalid),
    trustProxy: readRanges(splitList(read('EIS_TRUST_PROXY')), invalid),
    logLevel: level,
    google: { project: read('CLOUDSDK_CORE_PROJECT'), region: read('CLOUDSDK_FUNCTIONS_REGION') },
    functionVariables: pickFunctionVariables(read),
    otlpEndpoint: url('OTEL_EXPORTER_OTLP_ENDPOINT'),
    mlflow: { trackingUri: read('MLFLOW_TRACKING_URI'), experiment: read('MLFLOW_EXPERIMENT_NAME'), token: read('MLFLOW_TRACKING_TOKEN'), username: read('MLFLOW_TRACKING_USERNAME'), password: read('MLFLOW_TRACKING_PASSWORD') },
    fetchFrom: { allow: splitList(read('EIS_FETCH_ALLOW')), deny: splitList(read('EIS_FETCH_DENY')), ports: splitList(read('EIS_FETCH_PORTS') ?? DEFAULT_FETCH_PORTS) },
    limits: readLimits(integer),
    functionUrl: (model, lane) => url(`FUNCTION_URL_${variableSuffix(model, lane)}`),
    indexUrls: (model, lane) => {
      const name = `INDEX_URLS_${variableSuffix(model, lane)}`;
      const shards = read(name)?.split(';').map(splitList);
      for (const address of shards?.flat() ?? []) if (!isHttpUrl(address)) invalid(name, `${JSON.stringify(address)} is not an http:// URL. Separate shards by ";" and the replicas of one by ",".`);
      if (shards?.some((replicas) => replicas.length === 0)) invalid(name, 'a shard has no address. Separate shards by ";" and the replicas of one by ",".');
      return shards?.map((replicas) => replicas.map((address) => address.replace(/\/+$/, '')));
    },
  };
}

/** A folder of this machine is no bucket of a function's. */
function pickFunctionVariables(read: (name: string) => string | undefined): Readonly<Record<string, string>> {
  const names = read('BUCKET')?.startsWith('gs://') ? ['BUCKET', ...FUNCTION_VARIABLES] : FUNCTION_VARIABLES;
  return Object.fromEntries(names.map((name) => [name, read(name)] as const).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function readMirror(text: string | undefined, invalid: (variable: string, detail: string) => never): string | undefined {
  if (text === undefined) return undefined;
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return resolve(text);
  if (/^[^/]*\/\/(?:[/?#]|$)/.test(text)) return invalid('EIS_MODEL_MIRROR', `${JSON.stringify(text)} names no host, or no bucket. Write it whole: https://host/folder or gs://bucket/folder.`);
  if (!URL.canParse(text) || !/^(https?|gs):$/.test(new URL(text).protocol)) return invalid('EIS_MODEL_MIRROR', `${JSON.stringify(text)} is neither a folder nor an http://, https:// or gs:// URL.`);
  return text.replace(/^([^?#]*?)\/+(?=$|[?#])/, '$1');
}

/** What is wrong with it is said without it: it may hold a password. */
function readAmqpUrl(text: string | undefined, invalid: (variable: string, detail: string) => never): string | undefined {
  if (text === undefined) return undefined;
  const { protocol, hostname } = URL.canParse(text) ? new URL(text) : { protocol: '', hostname: '' };
  return /^amqps?:$/.test(protocol) && hostname !== '' ? text : invalid('AMQP_URL', 'it is no amqp:// or amqps:// URL with a host, such as amqp://user:password@broker:5672/vhost (special characters of the password percent-encoded).');
}

/** Its options are read by the driver, when the store is opened. As of AMQP_URL, what is wrong is said without it. */
function readMongodbUri(text: string | undefined, invalid: (variable: string, detail: string) => never): string | undefined {
  if (text === undefined || /^mongodb(\+srv)?:\/\/([^@/?]*@)?[^@/?,:][^@/?]*(\/[^@?]*)?(\?.*)?$/i.test(text)) return text;
  return invalid('MONGODB_URI', 'it is no mongodb:// or mongodb+srv:// URI with a host, such as mongodb://user:password@host1,host2/eis?replicaSet=rs0 (special characters of user and password percent-encoded).');
}

function readApiKey(text: string | undefined, invalid: (variable: string, detail: string) => never): string | undefined {
  return text === undefined || isKey(text) ? text : invalid('EIS_API_KEY', 'it is no API key. Give the key alone, without its scopes: 16 to 256 letters, digits, "-", ".", "_", "~", "+" or "/".');
}

function readOrigins(origins: readonly string[], invalid: (variable: string, detail: string) => never): readonly string[] {
  for (const origin of origins) if (!isHttpUrl(origin) || new URL(origin).origin !== origin) invalid('EIS_CORS_ORIGINS', `${JSON.stringify(origin)} is no origin. Write scheme and host as browsers do, and the port unless it is the usual one: https://app.example.com.`);
  return origins;
}

function readRanges(ranges: readonly string[], invalid: (variable: string, detail: string) => never): readonly string[] {
  for (const range of ranges) {
    const [, address = '', bits = ''] = /^([^/]+)\/(\d{1,3})$/.exec(range) ?? [];
    const version = isIP(address);
    if (version === 0 || Number(bits) < 1 || Number(bits) > (version === 4 ? 32 : 128)) invalid('EIS_TRUST_PROXY', `${JSON.stringify(range)} is no CIDR range of proxies. Write one as 10.0.0.0/8; one address is 10.1.2.3/32.`);
  }
  return ranges;
}

/** A model's name as it ends the variables that are named after it: `my-model` → `MY_MODEL`, of its second lane `MY_MODEL_NEXT`. */
export function variableSuffix(model: string, lane: Lane = 'main'): string {
  return `${model.toUpperCase().replace(/[^A-Z0-9]/g, '_')}${lane === 'next' ? '_NEXT' : ''}`;
}

function readLane(text: string | undefined, invalid: (variable: string, detail: string) => never): Lane {
  const lane = LANES.find((known) => known === (text ?? 'main'));
  return lane ?? invalid('LANE', `${JSON.stringify(text)} is none of ${LANES.join(', ')}.`);
}

function splitList(text: string | undefined): string[] {
  return (text ?? '').split(',').map((part) => part.trim()).filter((part) => part !== '');
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function readShard(text: string | undefined, invalid: (variable: string, detail: string) => never): Environment['shard'] {
  if (text === undefined) return undefined;
  const [, index, of] = /^(\d{1,5})\/(\d{1,5})$/.exec(text) ?? [];
  if (index === undefined || of === undefined || Number(index) >= Number(of)) return invalid('SHARD', `${JSON.stringify(text)} is not "i/n" with i from 0 to n-1, for example 0/2.`);
  return { index: Number(index), of: Number(of) };
}

const MAY_BE_ZERO: ReadonlySet<keyof Limits> = new Set(['fetchRedirectsMax', 'writeBatchWaitMs', 'embeddingCacheBytesMax', 'drainMs']);

function readLimits(integer: (name: string, min: number, max: number) => number | undefined): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];
  return Object.freeze(Object.fromEntries(names.map((name) => [name, integer(limitVariable(name), MAY_BE_ZERO.has(name) ? 0 : 1, Number.MAX_SAFE_INTEGER) ?? DEFAULT_LIMITS[name]])) as unknown as Limits);
}
