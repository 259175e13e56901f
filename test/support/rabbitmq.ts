/**
 * A private RabbitMQ node for tests: its own name, ports, folders and cookie, and its own epmd, so that it meets no other
 * broker of the machine. Both are stopped by their pids.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from './free-ports.js';

/** Debian's, without its wrapper, which changes to another user and folder. */
const DEFAULT_SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const START_TIMEOUT_MS = 50_000;

const named = process.env['EIS_TEST_RABBITMQ'];
const server = named ?? DEFAULT_SERVER;

/** Why no broker can be had, or undefined. Where EIS_TEST_RABBITMQ names one it must be there. */
export const RABBITMQ_MISSING: string | undefined = named === undefined && !existsSync(DEFAULT_SERVER) ? `there is no ${DEFAULT_SERVER} (apt-get install rabbitmq-server, or name one with EIS_TEST_RABBITMQ)` : undefined;

export class Broker {
  readonly #folder = mkdtempSync(join(tmpdir(), 'eis-rabbitmq-'));
  readonly #ports: readonly number[];
  #epmd: ChildProcess | undefined;
  #node: ChildProcess | undefined;

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    process.once('exit', () => this.#killAll());
  }

  static async start(): Promise<Broker> {
    const broker = new Broker(await freePorts(3));
    broker.#prepareFolder();
    broker.#epmd = spawn('epmd', ['-address', '127.0.0.1', '-port', String(broker.#ports[1])], { stdio: 'ignore' });
    await broker.restart().catch(async (error: unknown) => {
      await broker.stop();
      throw error;
    });
    return broker;
  }

  get port(): number {
    return this.#ports[0]!;
  }

  get url(): string {
    return `amqp://127.0.0.1:${this.port}`;
  }

  /** Starts the node, on the folder that it had before; resolves when it takes connections. */
  async restart(): Promise<void> {
    const node = spawn(server, [], { cwd: this.#folder, env: this.#variables(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.#node = node;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${server} ${why}:\n${said.slice(-3000)}`));
      const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS);
      const hear = (chunk: Buffer): void => {
        said = (said + chunk.toString()).slice(-20_000);
        if (!said.includes('Server startup complete')) return;
        clearTimeout(timer);
        resolve();
      };
      node.stdout.on('data', hear);
      node.stderr.on('data', hear);
      node.once('error', (error) => fail(error.message));
      node.once('exit', () => fail('ended'));
    });
  }

  /** As a power cut would end it. */
  async kill(): Promise<void> {
    const node = this.#node;
    if (node?.pid === undefined || node.exitCode !== null || node.signalCode !== null) return;
    const ended = once(node, 'exit');
    node.kill('SIGKILL');
    await ended;
  }

  /** Runs rabbitmqctl against the node. */
  async ctl(...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(join(dirname(server), 'rabbitmqctl'), ['--quiet', ...args], { cwd: this.#folder, env: this.#variables() });
    return stdout;
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#killAll();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #killAll(): void {
    this.#node?.kill('SIGKILL');
    this.#epmd?.kill('SIGKILL');
  }

  #prepareFolder(): void {
    for (const name of ['home', 'mnesia', 'log']) mkdirSync(join(this.#folder, name));
    writeFileSync(join(this.#folder, 'enabled_plugins'), '[].');
    writeFileSync(join(this.#folder, 'rabbitmq.conf'), [`listeners.tcp.1 = 127.0.0.1:${this.port}`, 'log.console = true', 'log.console.level = info', 'log.file = false', 'disk_free_limit.absolute = 1MB', ''].join('\n'));
  }

  #variables(): NodeJS.ProcessEnv {
    const [port, epmdPort, distPort] = this.#ports.map(String);
    const inFolder = (name: string): string => join(this.#folder, name);
    return {
      PATH: process.env['PATH'],
      HOME: inFolder('home'),
      LANG: 'C.UTF-8',
      RUNNING_UNDER_SYSTEMD: 'true', // replaces its shell by the node, so that the pid is the node's
      ERL_EPMD_PORT: epmdPort,
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `eis-test-${port}@localhost`,
      RABBITMQ_NODE_PORT: port,
      RABBITMQ_DIST_PORT: distPort,
      RABBITMQ_MNESIA_BASE: inFolder('mnesia'),
      RABBITMQ_LOG_BASE: inFolder('log'),
      RABBITMQ_LOGS: '-',
      RABBITMQ_CONFIG_FILE: inFolder('rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: inFolder('enabled_plugins'),
      RABBITMQ_FEATURE_FLAGS_FILE: inFolder('feature_flags'),
      RABBITMQ_GENERATED_CONFIG_DIR: inFolder('generated'),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
    };
  }
}
