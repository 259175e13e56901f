/** What compose runs that is no pod of the manifests: functions (there Google's), MongoDB's first steps, Grafana, commands. */
import { extname, dirname, relative, resolve } from 'node:path';
import { definitionFile } from '../../common/config-defaults.js';
import type { Config, ModelConfig } from '../../common/config.js';
import { limitVariable } from '../../common/limits.js';
import { imageOf } from '../manifests/images.js';
import { SCRIPTS } from '../manifests/mongo.js';
import { HTTP_PORT, resourceName } from '../manifests/names.js';
import type { Manifest } from '../manifests/objects.js';
import type { RenderContext } from '../manifests/pod.js';
import { contentName } from '../manifests/role-config.js';
import { platformEnv } from '../manifests/platform-env.js';
import { boundsOf, COMMON, DEAR_CHECK, environmentOf, fileMount, healthcheck, LOG_LEVEL, ownComposeImage, ownHealthcheck, required, SERVER, type ComposeService } from './service.js';

/** A file of FILES_FOLDER. */
export interface ComposeFile {
  readonly path: string;
  readonly text: string;
}

const ETC = '/etc/eis';

/** What processes of ours are given everywhere (see `roleContainer` of manifests/roles.ts). */
function ownEnv(config: Config, name: string): Record<string, string> {
  return { NODE_ENV: 'production', ...environmentOf([LOG_LEVEL, ...platformEnv(config.platform)], name) };
}

export function functionService(model: Pick<ModelConfig, 'kubernetesName'>): string {
  return resourceName('function', model.kubernetesName);
}

/** Where a function's `model_url` of this machine is mounted: a folder, a folder around a model.json, or the one file. */
function modelMount({ name, modelUrl }: ModelConfig, folder: string): { readonly volumes: readonly string[]; readonly modelUrl: string | undefined } {
  if (modelUrl === undefined || /^[a-z][a-z0-9+.-]*:\/\//i.test(modelUrl)) return { volumes: [], modelUrl };
  const place = `/models/${name}`;
  const isFolder = extname(modelUrl) === '';
  const source = isFolder || extname(modelUrl) !== '.json' ? modelUrl : dirname(modelUrl);
  const path = relative(resolve(folder), source);
  const inside = source === modelUrl ? `${place}${isFolder ? '' : extname(modelUrl)}` : place;
  return { volumes: [`${path.startsWith('.') ? path : `./${path}`}:${inside}:ro,z`], modelUrl: source === modelUrl ? inside : `${place}/${modelUrl.slice(source.length + 1)}` };
}

/** A model's function, with the bounds that Google is told; what it downloads and compiles lies in a volume. @param folder of docker-compose.yml */
export function renderFunction(model: ModelConfig, folder: string, { config, version }: RenderContext): { readonly service: ComposeService; readonly file: ComposeFile } {
  const name = functionService(model);
  const { memory, cpu, concurrency } = config.functions.get(model.name) as NonNullable<ReturnType<Config['functions']['get']>>;
  const { volumes, modelUrl } = modelMount(model, folder);
  const text = `${JSON.stringify({ models: [{ name: model.name, ...definitionFile({ ...model, modelUrl }) }] }, null, 2)}\n`;
  const files = contentName(name, text);
  return {
    file: { path: `${files}/config.json`, text },
    service: {
      image: ownComposeImage(config, version),
      build: '.',
      command: ['function'],
      environment: { ...ownEnv(config, name), EIS_CONFIG: `${ETC}/config.json`, MODEL: model.name, [limitVariable('functionConcurrency')]: String(concurrency) },
      volumes: [fileMount(files, ETC), ...volumes, `${name}-data:/data`],
      tmpfs: ['/tmp'],
      healthcheck: ownHealthcheck('/ready', true),
      ...SERVER,
      stop_grace_period: '30s',
      ...boundsOf({ cpu, memory }),
    },
  };
}

/** MongoDB's key comes from .env, and must be a file that its user alone may read. */
const WRITE_KEYFILE = ['sh', '-c', 'printf %s "$$MONGO_KEYFILE" > /etc/mongo/keyfile && exec "$$@"', 'sh'];

/** @param service of the StatefulSet of `renderLoneMongo` */
export function completeMongo(service: ComposeService): ComposeService {
  const ask = 'mongosh --quiet "mongodb://root:$$MONGO_ROOT_PASSWORD@127.0.0.1:27017/admin?directConnection=true" --eval "quit(db.hello().isWritablePrimary ? 0 : 1)"';
  return {
    ...service,
    entrypoint: [...WRITE_KEYFILE, ...(service.entrypoint ?? [])],
    environment: { ...service.environment, MONGO_KEYFILE: required('MONGO_KEYFILE') },
    networks: { default: { aliases: [...(service.networks?.default.aliases ?? []), 'mongo-router'] } },
    healthcheck: healthcheck(['CMD-SHELL', ask], DEAR_CHECK),
  };
}

/** Makes the user of the store, then the store's indexes; each ends, and may run at any time. */
export function renderMongoSteps(mongo: ComposeService, index: ComposeService, { config, version }: RenderContext): Readonly<Record<string, ComposeService>> {
  const { MONGO_PASSWORD = '', MONGODB_URI = '' } = index.environment ?? {};
  const { MONGO_ROOT_PASSWORD = '', MEMBERS = '', REPLICA_SET = '', HOME = '' } = mongo.environment ?? {};
  const once = { ...COMMON, restart: 'on-failure:5', ...boundsOf({ cpu: 1, memory: '512Mi' }), tmpfs: ['/tmp'] };
  return {
    'mongo-init': {
      image: mongo.image,
      entrypoint: ['mongosh', '--quiet', '--nodb', `${SCRIPTS}/store-user.js`],
      ...(mongo.user === undefined ? {} : { user: mongo.user }),
      environment: { HOME, MEMBERS, REPLICA_SET, MONGO_ROOT_PASSWORD, MONGO_PASSWORD },
      volumes: (mongo.volumes ?? []).filter((volume) => volume.includes(`:${SCRIPTS}:`)),
      depends_on: { mongo: { condition: 'service_healthy' } },
      ...once,
    },
    'store-init': {
      image: ownComposeImage(config, version),
      build: '.',
      command: ['cli', 'store', 'init'],
      environment: { ...ownEnv(config, 'store-init'), MONGODB_URI },
      depends_on: { 'mongo-init': { condition: 'service_completed_successfully' } },
      ...once,
    },
  };
}

const GRAFANA_PORT = 3000;

/** Grafana, with the folders that the manifests have for it (`elastic-image-search/mount-at` says where). */
export function renderGrafanaService(objects: readonly Manifest[], { config: { platform } }: RenderContext): ComposeService {
  const folders = objects.flatMap((object) => {
    const path = object.kind === 'ConfigMap' ? object.metadata.annotations?.['elastic-image-search/mount-at'] : undefined;
    return path === undefined ? [] : [fileMount(object.metadata.name, path)];
  });
  return {
    image: imageOf('grafana', platform),
    environment: { GF_SECURITY_ADMIN_PASSWORD: required('GRAFANA_PASSWORD'), GF_ANALYTICS_REPORTING_ENABLED: 'false', GF_ANALYTICS_CHECK_FOR_UPDATES: 'false', GF_PLUGINS_PREINSTALL_DISABLED: 'true' },
    volumes: ['grafana-data:/var/lib/grafana', ...folders],
    tmpfs: ['/tmp'],
    ports: [`127.0.0.1:\${GRAFANA_PORT:-3000}:${GRAFANA_PORT}`],
    depends_on: { prometheus: { condition: 'service_started' } },
    healthcheck: healthcheck(['CMD', 'wget', '-q', '-O', '/dev/null', `http://127.0.0.1:${GRAFANA_PORT}/api/health`]),
    ...SERVER,
    stop_grace_period: '10s',
    ...boundsOf({ cpu: 1, memory: '512Mi' }),
  };
}

/** `docker compose run --rm eis status`: a command with the key of .env, at nginx' own address, where it looks for a gateway. */
export function renderCli({ config, version }: RenderContext): ComposeService {
  return {
    image: ownComposeImage(config, version),
    build: '.',
    profiles: ['commands'],
    entrypoint: ['node', 'dist/cli.js'],
    environment: { NODE_ENV: 'production', EIS_API_KEY: '${EIS_API_KEY:-}' },
    network_mode: 'service:nginx',
    tmpfs: ['/tmp', '/data'],
    ...COMMON,
    ...boundsOf({ cpu: 2, memory: '1Gi' }),
  };
}

/** Ports of this machine that are open, by service. */
export const OPEN_PORTS: Readonly<Record<string, readonly string[]>> = {
  nginx: [`127.0.0.1:\${EIS_PORT:-8080}:${HTTP_PORT}`],
  prometheus: ['127.0.0.1:${PROMETHEUS_PORT:-9090}:9090'],
};
