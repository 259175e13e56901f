/**
 * From the pods of the manifests to services of docker-compose.yml: the same images, commands, variables, files and bounds,
 * told to another orchestrator. What differs is said here once: Secrets are variables of .env, a Service is a name on the
 * network, a claim is a named volume, an emptyDir memory.
 */
import type { Config } from '../../common/config.js';
import { ownImage, OWN_IMAGE } from '../manifests/images.js';
import { COMPONENT_LABEL, HTTP_PORT, SECRETS, type Component } from '../manifests/names.js';
import type { Container, EnvVar, Manifest, PodTemplate, Probe, Volume } from '../manifests/objects.js';
import type { RenderContext } from '../manifests/pod.js';

/** As far as they are used here (compose-spec). */
export interface ComposeService {
  readonly image: string;
  readonly build?: string;
  readonly profiles?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  readonly hostname?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: { readonly default: { readonly aliases: readonly string[] } };
  readonly network_mode?: string;
  readonly depends_on?: Readonly<Record<string, Dependency>>;
  readonly healthcheck?: Healthcheck;
  /** Left out: it is run by hand, and ends. */
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly cpus: number;
  readonly mem_limit: string;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly logging: object;
}

export interface Dependency {
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  /** With it, when compose makes that one anew: for who keeps its address. */
  readonly restart?: boolean;
}

export interface Healthcheck {
  readonly test: readonly string[];
  readonly interval: string;
  readonly timeout: string;
  readonly retries: number;
  readonly start_period: string;
}

/** Where `eis compose` puts the files that services read, beside docker-compose.yml. */
export const FILES_FOLDER = 'compose';

/** What is the same for all: nothing but volumes to write to, no capability, logs that end. */
export const COMMON = {
  read_only: true,
  cap_drop: ['ALL'],
  security_opt: ['no-new-privileges:true'],
  logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } },
} as const;

/** And of what runs for good. */
export const SERVER = { ...COMMON, restart: 'unless-stopped' } as const;

/** Variables of .env, by the Secret and key of the manifests. Those that are optional may be empty. */
const SECRET_VARIABLES: Readonly<Record<string, string>> = {
  [`${SECRETS.mongo.name}/${SECRETS.mongo.keys.rootPassword}`]: 'MONGO_ROOT_PASSWORD',
  [`${SECRETS.mongo.name}/${SECRETS.mongo.keys.password}`]: 'MONGO_PASSWORD',
  [`${SECRETS.rabbitmq.name}/${SECRETS.rabbitmq.keys.password}`]: 'RABBITMQ_PASSWORD',
  [`${SECRETS.rabbitmq.name}/${SECRETS.rabbitmq.keys.cookie}`]: 'RABBITMQ_COOKIE',
  [`${SECRETS.apiKeys.name}/${SECRETS.apiKeys.keys.keys}`]: 'EIS_API_KEYS',
  [`${SECRETS.tracing.name}/${SECRETS.tracing.keys.headers}`]: 'OTEL_EXPORTER_OTLP_HEADERS',
};

/** What is a place of the cloud there, and a folder of the machine here: images lie in a volume that wrapper and workers share. */
const IMAGES_VOLUME = 'images';
const DATA = '/data';
const PLACES: Readonly<Record<string, string | undefined>> = { BUCKET: `${DATA}/bucket`, GOOGLE_APPLICATION_CREDENTIALS: undefined };
const SHARED_DATA: readonly Component[] = ['wrapper', 'worker'];

/** Where config.json names none. */
export const LOG_LEVEL: EnvVar = { name: 'LOG_LEVEL', value: 'info' };

/** A variable without which compose does not begin. */
export function required(variable: string): string {
  return `\${${variable}:?set it in .env, as .env.example says}`;
}

/** The image of this package by its name alone, which is built here, unless a registry is named. */
export function ownComposeImage({ platform }: Config, version: string): string {
  return platform.imageRegistry === undefined ? `${OWN_IMAGE}:${version}` : ownImage(platform, version);
}

/** @param startPeriod until then it may be as it is; what waits for it goes on as soon as it answers */
export function healthcheck(test: readonly string[], { every = '5s', startPeriod = '2m' } = {}): Healthcheck {
  return { test, interval: every, timeout: every, retries: 6, start_period: startPeriod };
}

/** For what starts a machine of its own to ask: mongosh, Erlang. */
export const DEAR_CHECK = { every: '15s' };

/** Of a container of ours. Index pods load, and functions download, for longer than others start. */
export function ownHealthcheck(path: string, isSlow = false): Healthcheck {
  return healthcheck(['CMD', 'node', 'docker/healthcheck.mjs', path], isSlow ? { startPeriod: '1h' } : {});
}

/** Images have different tools for asking. */
const ASK: Partial<Record<Component, (url: string) => readonly string[]>> = {
  nginx: (url) => ['CMD', 'curl', '-fsS', '-o', '/dev/null', url],
  prometheus: (url) => ['CMD', 'wget', '-q', '-O', '/dev/null', url],
};

function healthcheckOf(component: Component, probe: Probe | undefined, port: number): Healthcheck | undefined {
  if (probe?.httpGet === undefined) return component === 'rabbitmq' ? healthcheck(['CMD', 'rabbitmq-diagnostics', '-q', 'check_port_connectivity'], DEAR_CHECK) : undefined;
  const path = probe.httpGet.path ?? '/';
  return ASK[component] ? healthcheck(ASK[component](`http://127.0.0.1:${port}${path}`)) : ownHealthcheck(path, component === 'index');
}

/** The variables of a container as compose reads them: `$(NAME)` of Kubernetes is put in, and every other `$` is one. */
export function environmentOf(variables: readonly EnvVar[], name: string): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const { name: key, value, valueFrom } of variables) {
    const { secretKeyRef, fieldRef } = valueFrom ?? {};
    if (key in PLACES) {
      if (PLACES[key] !== undefined) environment[key] = PLACES[key];
    } else if (secretKeyRef) {
      const variable = SECRET_VARIABLES[`${secretKeyRef.name}/${secretKeyRef.key}`] ?? fail(`the Secret ${secretKeyRef.name}/${secretKeyRef.key}`);
      environment[key] = secretKeyRef.optional ? `\${${variable}:-}` : required(variable);
    } else if (key === 'LOG_LEVEL') {
      environment[key] = `\${LOG_LEVEL:-${value ?? fail('the variable LOG_LEVEL')}}`; // .env has the last word
    } else if (fieldRef?.fieldPath === 'metadata.name') {
      environment[key] = `${name}-0`;
    } else {
      environment[key] = (value ?? fail(`the variable ${key}`)).replace(/\$\((\w+)\)|\$/g, (_, other?: string) => (other === undefined ? '$$' : (environment[other] as string)));
    }
  }
  return environment;
}

/** What the manifests grew, and this file does not know yet: a fault of ours. */
function fail(what: string): never {
  throw new Error(`docker-compose.yml has no place for ${what}.`);
}

interface Storage {
  readonly volumes: readonly string[];
  readonly tmpfs: readonly string[];
}

function storageOf(mounts: Container['volumeMounts'] = [], volumes: readonly Volume[], { component, name }: { readonly component: Component; readonly name: string }): Storage {
  const places = mounts.map(({ name: volumeName, mountPath }): Storage => {
    const volume = volumes.find((each) => each.name === volumeName);
    if (volume?.configMap) return { volumes: [fileMount(volume.configMap.name ?? fail(volumeName), mountPath)], tmpfs: [] };
    if (volume?.secret?.secretName === SECRETS.google.name) return { volumes: [], tmpfs: [] };
    if (volume === undefined) return { volumes: [`${name}-data:${mountPath}`], tmpfs: [] };
    if (mountPath === DATA && SHARED_DATA.includes(component)) return { volumes: [`${IMAGES_VOLUME}:${mountPath}`], tmpfs: [] };
    return { volumes: [], tmpfs: [mountPath] };
  });
  return { volumes: places.flatMap((place) => place.volumes), tmpfs: places.flatMap((place) => place.tmpfs) };
}

/** A folder of files that `eis compose` wrote; `z` lets containers read it where SELinux is. */
export function fileMount(folder: string, path: string): string {
  return `./${FILES_FOLDER}/${folder}:${path}:ro,z`;
}

/** Images whose own entry points would make them this user; those of Debian have it so. */
const USERS: Partial<Record<Component, string>> = { 'mongo-shard': '999:999', rabbitmq: '999:999' };

/** Members of a cluster know themselves by their pod's name. */
const SELF_NAMED: readonly Component[] = ['mongo-shard', 'rabbitmq'];

/** Names under which others ask for a pod: of every Service that selects it, and its own. */
function aliasesOf(object: Manifest, component: Component, { objects, config }: { readonly objects: readonly Manifest[]; readonly config: Config }): string[] {
  const { name, labels } = object.metadata;
  const services = objects.filter((each) => each.kind === 'Service' && Object.entries(each.spec?.selector ?? {}).every(([key, value]) => labels[key] === value)).map(({ metadata }) => metadata.name);
  const own = object.kind === 'StatefulSet' && SELF_NAMED.includes(component) ? [`${name}-0.${object.spec?.serviceName ?? ''}`, `${name}-0.${object.spec?.serviceName ?? ''}.${config.platform.namespace}`] : [];
  return [...services, ...own].filter((alias) => alias !== name);
}

/** Requests are Kubernetes' own; limits are kept. */
export function boundsOf({ cpu, memory }: { readonly cpu: number; readonly memory: string }): Pick<ComposeService, 'cpus' | 'mem_limit'> {
  return { cpus: cpu, mem_limit: memory.replace('Mi', 'm').replace('Gi', 'g').toLowerCase() };
}

/** The one container of a Deployment or StatefulSet as a service, without what it waits for. */
export function serviceOf(object: Extract<Manifest, { kind: 'Deployment' | 'StatefulSet' }>, context: RenderContext, objects: readonly Manifest[]): ComposeService {
  const { config, version } = context;
  const { name } = object.metadata;
  const component = object.metadata.labels[COMPONENT_LABEL] as Component;
  const template: PodTemplate = object.spec?.template ?? fail(name);
  const container = template.spec?.containers[0] ?? fail(name);
  const isOwn = container.image === ownImage(config.platform, version);
  const aliases = aliasesOf(object, component, { objects, config });
  const environment = environmentOf([...(isOwn ? [LOG_LEVEL] : []), ...(container.env ?? [])], name);
  const { volumes, tmpfs } = storageOf(container.volumeMounts, template.spec?.volumes ?? [], { component, name });
  const check = healthcheckOf(component, container.readinessProbe, container.ports?.[0]?.containerPort ?? HTTP_PORT);
  const { cpu, memory } = (container.resources?.limits ?? {}) as { readonly cpu?: string; readonly memory?: string };
  return {
    image: isOwn ? ownComposeImage(config, version) : (container.image ?? fail(name)),
    ...(isOwn ? { build: '.' } : {}),
    entrypoint: (container.command ?? fail(name)).map((word) => word.replaceAll('$', '$$$$')),
    ...(USERS[component] === undefined ? {} : { user: USERS[component] }),
    ...(SELF_NAMED.includes(component) ? { hostname: `${name}-0` } : {}),
    ...(Object.keys(environment).length > 0 ? { environment } : {}),
    ...(volumes.length > 0 ? { volumes } : {}),
    ...(tmpfs.length > 0 ? { tmpfs } : {}),
    ...(aliases.length > 0 ? { networks: { default: { aliases } } } : {}),
    ...(check ? { healthcheck: check } : {}),
    ...SERVER,
    stop_grace_period: `${template.spec?.terminationGracePeriodSeconds ?? 30}s`,
    ...boundsOf({ cpu: Number.parseInt(cpu ?? fail(name), 10) / 1000, memory: memory ?? fail(name) }),
  };
}
