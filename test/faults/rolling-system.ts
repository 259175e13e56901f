/** Two of each role of the real system, as processes, behind balancers, as in a cluster; queue, store and bucket are the embedded ones. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiledUrl } from '../../common/package-root.js';
import { Balancer } from '../support/balancer.js';
import { RoleProcess } from '../support/role-process.js';

const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');
const REPLICAS = [0, 1] as const;

export type RoleName = 'function' | 'index' | 'wrapper' | 'worker' | 'gateway';

/** The processes of a role; `balancer`: what stands before them, where something does. */
export interface Role {
  readonly name: RoleName;
  readonly processes: readonly RoleProcess[];
  readonly balancer?: Balancer;
}

export interface RollingSystem {
  readonly url: string;
  readonly roles: readonly Role[];
  close(): Promise<void>;
}

interface Starting {
  readonly entry: string;
  readonly args?: readonly string[];
  readonly readyPath?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The data folder of one of them; default: the one that all share. */
  readonly dataDir?: (replica: number) => string;
}

/** @param env for every process, beside what joins them */
export async function startRollingSystem(env: Readonly<Record<string, string>>): Promise<RollingSystem> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-rolling-'));
  const closing: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  const configFile = join(folder, 'config.json');
  const data = join(folder, 'data');
  mkdirSync(join(data, 'store'), { recursive: true });
  writeFileSync(configFile, JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: 1 }] }] }));
  const roles: Role[] = [];
  const start = async (name: RoleName, { entry, args, readyPath = '/readyz', env: own = {}, dataDir = () => data }: Starting): Promise<Role & { readonly urls: readonly string[] }> => {
    const processes = await Promise.all(REPLICAS.map(async (i) => {
      const shared = { EIS_CONFIG: configFile, EIS_DATA_DIR: dataDir(i), MODEL: 'builtin', SHARD: '', MONGODB_URI: '', AMQP_URL: '', BUCKET: '', LOG_LEVEL: 'info' };
      const role = await RoleProcess.start({ entry, ...(args ? { args } : {}), readyPath, env: { ...shared, ...env, ...own }, logFile: join(folder, `${name}-${i}.log`) });
      closing.push(() => role.stop());
      return role;
    }));
    const urls = processes.map(({ url }) => url);
    const isBalanced = name !== 'index' && name !== 'worker';
    const balancer = isBalanced ? await Balancer.start({ targets: urls, readyPath }) : undefined;
    if (balancer) closing.push(() => balancer.close());
    const role = { name, processes, ...(balancer ? { balancer } : {}) };
    roles.push(role);
    return { ...role, urls };
  };
  /** Each index pod keeps files of its own beside the store that all share. */
  const podFolder = (i: number): string => {
    const own = join(folder, `index-${i}`);
    mkdirSync(own, { recursive: true });
    symlinkSync(join(data, 'store'), join(own, 'store'));
    return own;
  };
  try {
    const fn = await start('function', { entry: FRAMEWORK, args: ['--target=embed', `--source=${fileURLToPath(compiledUrl('functions/index.ts'))}`], readyPath: '/ready' });
    const functionUrl = { FUNCTION_URL_BUILTIN: (fn.balancer as Balancer).url };
    const index = await start('index', { entry: 'indexer/main.ts', dataDir: podFolder });
    const wrapper = await start('wrapper', { entry: 'ingest/wrapper-main.ts', env: functionUrl });
    await start('worker', { entry: 'ingest/worker-main.ts', env: functionUrl });
    const gateway = await start('gateway', { entry: 'gateway/main.ts', env: { ...functionUrl, INDEX_URLS_BUILTIN: index.urls.join(','), WRAPPER_URL: (wrapper.balancer as Balancer).url } });
    return { url: (gateway.balancer as Balancer).url, roles, close };
  } catch (error) {
    await close();
    throw error;
  }
}
