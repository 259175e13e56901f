/**
 * The ingest half of the system as it runs in a cluster, on one machine: a private RabbitMQ, the wrapper, two workers and
 * the real function, each a process of its own that can be killed; a proxy before the broker for each of them, and one
 * before the function.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnvironment } from '../../common/environment.js';
import { compiledUrl } from '../../common/package-root.js';
import { openStore } from '../../common/store/open-store.js';
import type { Store } from '../../common/store/store.js';
import { FunctionProxy } from '../support/function-proxy.js';
import { Broker } from '../support/rabbitmq.js';
import { RoleProcess } from '../support/role-process.js';
import { TcpProxy } from '../support/tcp-proxy.js';

export const MODEL = 'builtin';

/** A process that reaches the broker through a proxy of its own. */
export interface Connected {
  readonly role: RoleProcess;
  readonly proxy: TcpProxy;
}

export interface IngestSystem {
  readonly broker: Broker;
  readonly functionProxy: FunctionProxy;
  readonly wrapper: Connected;
  readonly workers: readonly Connected[];
  /** Opens the store that the system has. */
  readonly openStore: () => Promise<Store>;
  close(): Promise<void>;
}

const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');

export interface IngestSystemOptions {
  readonly workers: number;
  /** For every process, beside what joins them. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startIngestSystem({ workers, env = {} }: IngestSystemOptions): Promise<IngestSystem> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-faults-'));
  const closing: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end();
  };
  try {
    const configFile = join(folder, 'config.json');
    // The slower engine: with the faster one a small run would be over before anything breaks.
    writeFileSync(configFile, JSON.stringify({ models: [{ name: MODEL, engine: 'tfjs-wasm' }] }));
    const shared = { EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, 'data'), MODEL, LOG_LEVEL: 'info', ...env };
    const broker = await Broker.start();
    closing.push(() => broker.stop());
    const embed = await RoleProcess.start({ entry: FRAMEWORK, args: ['--target=embed', `--source=${fileURLToPath(compiledUrl('functions/index.ts'))}`], env: shared, logFile: join(folder, 'function.log'), readyPath: '/ready' });
    closing.push(() => embed.stop());
    const functionProxy = await FunctionProxy.start(embed.url);
    closing.push(() => functionProxy.close());
    const connect = async (entry: string, name: string): Promise<Connected> => {
      const proxy = await TcpProxy.start(broker.port);
      closing.push(() => proxy.close());
      const role = await RoleProcess.start({ entry, env: { ...shared, AMQP_URL: `amqp://127.0.0.1:${proxy.port}`, FUNCTION_URL_BUILTIN: functionProxy.url }, logFile: join(folder, `${name}.log`) });
      closing.push(() => role.stop());
      return { role, proxy };
    };
    const wrapper = await connect('ingest/wrapper-main.ts', 'wrapper');
    const connected: Connected[] = [];
    for (let i = 0; i < workers; i++) connected.push(await connect('ingest/worker-main.ts', `worker-${i}`));
    return { broker, functionProxy, wrapper, workers: connected, openStore: () => openStore(parseEnvironment(shared)), close };
  } catch (error) {
    await close();
    throw error;
  }
}
