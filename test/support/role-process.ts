/** One role of the system in a process of its own, started through the entry point that its pod uses, for tests that kill it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { compiledUrl } from '../../common/package-root.js';
import { freePort } from './free-ports.js';
import { readMemoryMb } from './process-memory.js';

export interface RoleProcessOptions {
  /** The source of its entry point: `ingest/worker-main.ts`. */
  readonly entry: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly readyPath?: string;
  /** Called with the pid as soon as there is one. */
  readonly onSpawn?: (pid: number) => void;
}

const START_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 20;
const KILL_AFTER_MS = 6_000;

const RUNNING = new Set<ChildProcess>();
process.once('exit', () => RUNNING.forEach((child) => child.kill('SIGKILL')));

export class RoleProcess {
  readonly port: number;
  readonly #options: RoleProcessOptions;
  #child: ChildProcess | undefined;

  private constructor(port: number, options: RoleProcessOptions) {
    this.port = port;
    this.#options = options;
  }

  /** Resolves when it says that it can serve. */
  static async start(options: RoleProcessOptions): Promise<RoleProcess> {
    const role = new RoleProcess(await freePort(), options);
    await role.restart();
    return role;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get log(): string {
    return readFileSync(this.#options.logFile, 'utf8');
  }

  /** The most memory that it ever had, in MB. */
  get peakRssMb(): number {
    return readMemoryMb(this.#child?.pid, 'VmHWM');
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Sends it a signal and does not wait for what comes of it. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when it is gone: with its exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals> {
    const child = this.#child as ChildProcess;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode ?? (child.signalCode as NodeJS.Signals);
  }

  /** Starts it, on the port that it had before. */
  async restart(): Promise<void> {
    const { entry, args = [], env, logFile, readyPath = '/readyz' } = this.#options;
    const log = openSync(logFile, 'a');
    const path = entry.startsWith('/') ? entry : fileURLToPath(compiledUrl(entry));
    const child = spawn(process.execPath, [path, ...args], { env: { ...process.env, NODE_ENV: 'production', ...env, HOST: '127.0.0.1', PORT: String(this.port) }, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    RUNNING.add(child);
    child.once('exit', () => RUNNING.delete(child));
    if (child.pid !== undefined) this.#options.onSpawn?.(child.pid);
    for (const end = Date.now() + START_TIMEOUT_MS; ; await sleep(READY_POLL_MS)) {
      if (child.exitCode !== null || Date.now() > end) throw new Error(`${entry} did not start:\n${this.log.slice(-3_000)}`);
      if (child.signalCode !== null) return; // killed while it started
      const response = await fetch(`${this.url}${readyPath}`).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.ok) return;
    }
  }

  /** As nothing but a crash ends it. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** As a cluster ends it: resolves when it is gone. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await ended;
    clearTimeout(timer);
  }
}
